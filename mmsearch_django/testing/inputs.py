"""What the contract gives to an embedder: the ordinary, and what the world sends."""

from collections.abc import Iterator
from io import BytesIO

from PIL import Image as Pillow
from PIL.Image import Image

from mmsearch_django.embedders.selftest import CAPTIONS, captioned_pictures
from mmsearch_django.media.images import decode

DIFFERENT_TEXTS = (*CAPTIONS.values(), "a red car by the sea", "coffee")
"""No model may take any of these for another."""
TEXTS = (*DIFFERENT_TEXTS, "x", "deux chats " * 20, "снег и лёд", "猫", "a b")
"""Of many lengths, which batches have to pad."""
WRONG_TEXTS: tuple[object, ...] = ("a text alone", [None], [b"bytes"], ["a text", 1], [["nested"]])
WRONG_PICTURES: tuple[object, ...] = ([None], ["/a/path.png"], [b"bytes"])
HOSTILE_TEXTS = {
    "empty": "",
    "white space": " \n\t\u200b",
    "NUL": "a\0b",
    "half of a surrogate pair": "\ud800 half",
    "emoji": "👩‍👩‍👧‍👦" * 100,
    "right to left": "\u202eسيارة حمراء",
    "stacked accents": "a" + "\u0301" * 2000,
    "one word of 100,000 letters": "x" * 100_000,
    "100,000 letters in words": "word " * 20_000,
    "special tokens": "<s></s><pad><|endoftext|>[SEP][MASK]",
}
SIZES = ((1, 1), (1024, 1), (1, 1024), (1024, 1024))
MODES = {"1": "PNG", "L": "PNG", "LA": "PNG", "P": "PNG", "RGBA": "PNG", "I;16": "PNG", "CMYK": "TIFF", "F": "TIFF"}
"""Modes that files have, and a format that keeps them."""


def different_pictures() -> list[Image]:
    """No model may take any of these for another."""
    return captioned_pictures()


def pictures() -> list[Image]:
    """Of several shapes and sizes."""
    return [*different_pictures(), Pillow.new("RGB", (30, 40), "red"), Pillow.new("RGB", (9, 3), "blue")]


def hostile_pictures() -> Iterator[tuple[str, Image]]:
    """What each is, and the picture as ``media.images`` hands it on."""
    for width, height in SIZES:
        yield f"{width} x {height}", Pillow.new("RGB", (width, height), "red")
    for colour in ("black", "white"):
        yield f"all {colour}", Pillow.new("RGB", (64, 64), colour)
    for mode, format in MODES.items():
        yield f"a {format} of mode {mode}", decode(_encoded(mode, format))


def _encoded(mode: str, format: str) -> bytes:
    data = BytesIO()
    # Pillow converts to I;16 from whole numbers alone.
    whole = Pillow.new("I", (40, 30), 30_000).convert(mode) if mode == "I;16" else Pillow.new(mode, (40, 30))
    whole.save(data, format)
    return data.getvalue()

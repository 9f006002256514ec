"""What the chaos writes, and what must become of it: by the name of a file, or by a text alone."""

from functools import cache
from io import BytesIO
from pathlib import Path

from PIL import Image

from tests.chaos.deadly import DEADLY_COLOUR, DEADLY_WORD
from tests.media import deadly as decoder

GOOD = 40


def picture(number):
    """No two look alike."""
    image = Image.new("RGB", (16, 16), (number * 37 % 256, number * 101 % 256, number * 17 % 256))
    image.paste((255, 255, 255), (number % 8, number // 8, 16, 16))
    return image


@cache
def encoded(number):
    data = BytesIO()
    picture(number).save(data, "PNG")
    return data.getvalue()


def _killer():
    data = BytesIO()
    Image.new("RGB", (16, 16), DEADLY_COLOUR).save(data, "PNG")
    return data.getvalue()


BAD = {
    "cut-short.png": (encoded(0)[:60], "CorruptFile"),
    "empty.png": (b"", "EmptyFile"),
    "text.png": (b"this is no picture, whatever it is called", "UnsupportedFile"),
    "segfault.png": (encoded(1) + decoder.DEADLY + b"segfault", "DecoderDied"),
    "kills-workers.png": (_killer(), "WorkerDied"),
    "missing.png": (None, "MissingFile"),
}
RARE = ("segfault.png", "kills-workers.png")


def make(folder: Path):
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(GOOD):
        (folder / f"{number}.png").write_bytes(encoded(number))
    (folder / "song.mp3").write_bytes(b"ID3 and so on, for long enough to look like no picture at all, whoever looks")
    for name, (data, _) in BAD.items():
        if data is not None:
            (folder / name).write_bytes(data)


def a_file(random):
    chance = random.random()
    if chance < 0.8:
        return f"{random.randrange(GOOD)}.png"
    if chance < 0.9:
        return random.choice(["", "song.mp3"])
    return random.choice([name for name in BAD if name not in RARE or random.random() < 0.05])


def a_text(random):
    if random.random() < 0.002:
        return f"{DEADLY_WORD} {random.random()}"
    return "" if random.random() < 0.05 else f"{random.choice(['red', 'green', 'blue'])} {random.randrange(10**6)}"


def end_of_file(name):
    """Status and error class."""
    if name in BAD:
        return "failed", BAD[name][1]
    return ("skipped", "") if name in ("", "song.mp3") else ("ready", "")


def end_of_text(text):
    if DEADLY_WORD in text:
        return "failed", "WorkerDied"
    return ("ready", "") if text else ("skipped", "")

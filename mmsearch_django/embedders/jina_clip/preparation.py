"""What Jina CLIP v2 reads: token ids of texts, and pixels as CLIPImageProcessor prepares them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image, Resampling

from mmsearch_django.embedders.base import Vectors
from mmsearch_django.media.images import middle

MAX_TOKENS = 512
MAX_CHARACTERS = 20_000
"""Far more than any 512 tokens need; keeps a novel from being tokenised for its first page."""
PADDING = 1
"""The graph takes no mask: whatever has this id does not count."""

SIDE = 512
MEAN = np.array([0.48145466, 0.4578275, 0.40821073], dtype=np.float32)
DEVIATION = np.array([0.26862954, 0.26130258, 0.27577711], dtype=np.float32)

NO_TOKENS = np.ones((1, 1), dtype=np.int64)
"""For a picture. None at all is refused."""
NO_PIXELS = np.zeros((0, 3, SIDE, SIDE), dtype=np.float32)
"""For texts, however many: an empty batch costs nothing, one of zeros as much as pictures."""


class Tokens:
    """Texts to ids, through a ``tokenizer.json``."""

    def __init__(self, path: Path) -> None:
        from tokenizers import Tokenizer

        self.tokenizer = Tokenizer.from_file(str(path))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(MAX_TOKENS)

    def __call__(self, text: str) -> list[int]:
        """At most 512 ids. Halves of surrogate pairs, which no tokenizer takes, are replaced."""
        ids: list[int] = self.tokenizer.encode(text[:MAX_CHARACTERS].encode(errors="replace").decode()).ids
        return ids

    @staticmethod
    def padded(rows: Sequence[Sequence[int]]) -> NDArray[np.int64]:
        """The rows as one array, as long as the longest."""
        ids = np.full((len(rows), max(map(len, rows))), PADDING, dtype=np.int64)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = row
        return ids


def pixels(image: Image) -> Vectors:
    """The middle of a picture, its shorter side made 512: float32 of shape (3, 512, 512), normalised."""
    image = middle(image.convert("RGB"))
    shorter = min(image.size)
    size = (SIDE * image.width // shorter, SIDE * image.height // shorter)
    left, top = ((side - SIDE) // 2 for side in size)
    square = image.resize(size, Resampling.BICUBIC).crop((left, top, left + SIDE, top + SIDE))
    values = (np.asarray(square, dtype=np.float32) / 255 - MEAN) / DEVIATION
    return np.ascontiguousarray(values.transpose(2, 0, 1))

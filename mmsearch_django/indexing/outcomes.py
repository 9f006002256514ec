"""How the work on one object ended."""

import random
from dataclasses import dataclass

import numpy as np
from django.db import InterfaceError, OperationalError
from numpy.typing import NDArray

from mmsearch_django.exceptions import (
    AssetError,
    ConfigurationError,
    EmbedderUnavailable,
    InputRefused,
    SelfTestFailed,
)
from mmsearch_django.indexing.claims import Claim
from mmsearch_django.models import State
from mmsearch_django.sources import Content, Skip

STOPS = (EmbedderUnavailable, SelfTestFailed, ConfigurationError, OperationalError, InterfaceError)
"""Not the fault of one asset: nothing could be embedded now."""
MAX_RETRIES = 8
"""About an hour of a storage that does not answer."""
FIRST_DELAY = 15
LONGEST_DELAY = 3600
MESSAGE_LENGTH = 1000
INTERRUPTION = "SoftTimeLimitExceeded"
"""Celery's, by its name: Celery may not be installed, and has no base class for it that is not an Exception's."""


@dataclass(frozen=True)
class Read:
    """What was read for a claim, and the fingerprint of the columns it was read from."""

    claim: Claim
    fingerprint: bytes
    content: Content


@dataclass(frozen=True)
class Outcome:
    claim: Claim
    fingerprint: bytes
    status: str
    error_class: str = ""
    message: str = ""
    delay: float | None = None
    """Pending again: the seconds to wait before the next try."""
    digest: bytes | None = None
    vector: NDArray[np.float32] | None = None
    """Ready without one: the vector that stands was made from the same content."""


def ready(read: Read, vector: NDArray[np.float32] | None) -> Outcome:
    return Outcome(read.claim, read.fingerprint, State.Status.READY, digest=read.content.digest, vector=vector)


def ended_by(error: Exception, claim: Claim, fingerprint: bytes) -> Outcome:
    """Skipped, failed, or to be tried again."""
    if isinstance(error, Skip):
        return Outcome(claim, fingerprint, State.Status.SKIPPED, message=_text(error))
    if not isinstance(error, AssetError | InputRefused) or error.permanent:
        return Outcome(claim, fingerprint, State.Status.FAILED, type(error).__name__, _text(error))
    if claim.retries < MAX_RETRIES:
        message = f"{_text(error)} It will be tried again."
        delay = _delay(claim.retries)
        return Outcome(claim, fingerprint, State.Status.PENDING, type(error).__name__, message, delay=delay)
    message = (
        f"{_text(error)} It was tried {claim.retries + 1} times; 'manage.py mmsearch_index --retry-failed' goes on."
    )
    return Outcome(claim, fingerprint, State.Status.FAILED, type(error).__name__, message)


def raise_interruption(error: BaseException) -> None:
    """Raise the soft time limit if it is behind an error.

    It strikes wherever the code happens to be, and storages and libraries wrap it in errors of their own: no asset is
    to blame for it.
    """
    seen: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in seen:
        if any(kind.__name__ == INTERRUPTION for kind in type(cause).__mro__):
            raise cause
        seen.append(cause)
        cause = cause.__cause__ or cause.__context__


def _delay(retries: int) -> float:
    """Longer each time, and not the same for all that failed together."""
    return min(FIRST_DELAY * 2.0**retries, LONGEST_DELAY) * random.uniform(0.5, 1.5)


def _text(error: Exception) -> str:
    """The message as the database can hold it: no NUL, no half characters from odd file names."""
    message = str(error).encode(errors="replace").decode().replace("\0", "")
    return message[:MESSAGE_LENGTH]

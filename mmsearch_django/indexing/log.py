"""Log lines of indexing: ``event key=value ...``, with the same values in the record's ``mmsearch`` for formatters.

They name fields, keys and errors, never contents.
"""

import logging
from collections import Counter
from collections.abc import Iterable
from typing import Any

from mmsearch_django.indexing.outcomes import Outcome
from mmsearch_django.indexing.targets import Target
from mmsearch_django.models import State

logger = logging.getLogger("mmsearch_django.indexing")

NEEDS_QUOTES = frozenset(' "=')


def event(level: int, name: str, **values: Any) -> None:
    """One line. ``record.mmsearch`` is ``{"event": name, **values}``."""
    if logger.isEnabledFor(level):
        text = " ".join(f"{key}={_value(value)}" for key, value in values.items())
        logger.log(level, "%s %s", name, text, extra={"mmsearch": {"event": name, **values}})


def batch(target: Target, counts: Counter[str], outcomes: Iterable[Outcome], seconds: float) -> None:
    """What became of a batch, and each that failed."""
    numbers = {str(status): counts[status] for status in State.Status}
    pace = round(counts.total() / seconds, 1) if seconds else 0.0
    event(logging.INFO, "batch", field=str(target), **numbers, seconds=round(seconds, 3), per_second=pace)
    for outcome in outcomes:
        if outcome.status == State.Status.FAILED:
            error = {"error_class": outcome.error_class, "message": outcome.message}
            event(logging.WARNING, "failed", field=str(target), object=outcome.claim.key, **error)


def _value(value: Any) -> str:
    text = str(value).replace("\n", " ")
    return '"' + text.replace('"', "'") + '"' if not text or NEEDS_QUOTES & set(text) else text

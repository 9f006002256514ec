"""What happens while indexing, as log records: ``key=value`` text, and the same values as attributes for formatters.

No record holds what an asset says or shows. Quiet until the site configures logging.
"""

import json
import logging
import time
from collections import Counter
from types import TracebackType
from typing import Any, Self

from mmsearch_django.indexing.targets import Target

logger = logging.getLogger("mmsearch_django.indexing")
logger.addHandler(logging.NullHandler())  # Else Python prints warnings, between the lines of a progress bar.

REASON_LENGTH = 200


def log(level: int, event: str, target: Target, **values: Any) -> None:
    if not logger.isEnabledFor(level):
        return
    values = {"field": str(target), "database": target.using, **values}
    text = " ".join([event, *(f"{name}={_written(value)}" for name, value in values.items())])
    logger.log(level, "%s", text, extra={"event": event, **values})


def failed(target: Target, key: str, error_class: str, message: str) -> None:
    reason = message[:REASON_LENGTH]
    log(logging.WARNING, "asset_failed", target, object=key, error_class=error_class, reason=reason)


class Work:
    """``with Work(target) as log:`` says that work began, how each batch ended, and the sum at the end.

    Nothing is said where there was nothing to do.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.sum: Counter[str] = Counter()
        self.began = False
        self.start = self.since = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def begin(self) -> None:
        """Something was claimed."""
        if not self.began:
            self.began = True
            log(logging.INFO, "work_started", self.target)

    def batch(self, counts: Counter[str]) -> Counter[str]:
        """One ended so, which is given back. Its seconds are those since the one before."""
        since, self.since = self.since, time.monotonic()
        self.sum.update(counts)
        self._ended("batch_finished", counts, self.since - since)
        return counts

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.began:
            self._ended("work_ended", self.sum, time.monotonic() - self.start)

    def _ended(self, event: str, counts: Counter[str], seconds: float) -> None:
        log(
            logging.INFO,
            event,
            self.target,
            ready=counts["ready"],
            failed=counts["failed"],
            skipped=counts["skipped"],
            retried=counts["pending"],
            seconds=round(seconds, 3),
            per_second=round(counts.total() / max(seconds, 0.001), 1),
        )


def _written(value: Any) -> str:
    """Quoted where it is not one plain word: a file name cannot forge a line."""
    text = str(value)
    return text if text and all(c.isalnum() or c in "._:/+-@#" for c in text) else json.dumps(text)

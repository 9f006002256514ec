"""What tasks and commands run: work on a model for some time, and the periodic round over all of them."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from math import ceil

from django.db import DatabaseError, models
from django.utils import timezone

from mmsearch_django.conf import conf
from mmsearch_django.exceptions import MmsearchError
from mmsearch_django.fields import EmbeddingField, all_embedding_fields
from mmsearch_django.indexing import claims, floors, log, status, sweep
from mmsearch_django.indexing.lanes import LIVE
from mmsearch_django.indexing.outcomes import raise_interruption
from mmsearch_django.indexing.pipeline import RENEW_SECONDS, work
from mmsearch_django.indexing.targets import Target, target, targets
from mmsearch_django.models import Example

logger = logging.getLogger("mmsearch_django")

HELP_SECONDS = 10
"""So long at a time a worker helps another model before it goes on with its own."""
BUSY_SECONDS = 2 * RENEW_SECONDS
"""A worker that claimed nothing for so long, nor renewed a claim, is not counted as one."""


def others_wanted(model: type[models.Model]) -> int:
    """How many more workers the backlog would feed, beside the one that asks; none if some are at it already."""
    found = targets(model)
    if any(status.workers(one, BUSY_SECONDS) for one in found):
        return 0
    batches = sum(status.unfinished(one) for one in found if status.claimable(one)) / conf.BATCH_SIZE
    return max(min(conf.WORKERS, ceil(batches)) - 1, 0)


def work_on(
    model: type[models.Model],
    seconds: float,
    *,
    may_help: Callable[[str], bool] = lambda label: False,
    stopping: Callable[[], bool] = lambda: False,
) -> bool:
    """Work on all embedding fields of a model in turn. Returns whether something is left to do.

    After each round of batches it embeds what people have written to other models that it may help, by their labels: so
    nobody waits for the backfill of another model. Once it is told to stop, it ends the batches in hand and no more.

    A field that cannot be embedded does not stop the others; its error is raised at the end.
    """
    over = _over(seconds, stopping)
    found = targets(model)
    others = [field for field in all_embedding_fields() if field.model != model and may_help(_label(field))]
    errors: list[MmsearchError] = []
    running: list[Iterator[Counter[str]]] = [work(one, over=over) for one in found]
    while running:
        running = [one for one in running if _advance(one, errors)]
        others = [field for field in others if _help(field, stopping)]
    if errors:
        raise errors[0]
    left = any(status.claimable(one) for one in found)
    if not left and not stopping():
        for one in found:
            floors.refresh(one)
    return left


def _advance(batches: Iterator[Counter[str]], errors: list[MmsearchError]) -> bool:
    try:
        return next(batches, None) is not None
    except MmsearchError as error:
        errors.append(error)
        return False


def _help(field: EmbeddingField, stopping: Callable[[], bool]) -> bool:
    """Embed what is live of another model. Returns False if that cannot be; a task of its own says why."""
    try:
        other = target(field)
        if status.claimable(other, LIVE):
            for _ in work(other, lanes=LIVE, over=_over(HELP_SECONDS, stopping)):
                pass
    except (MmsearchError, DatabaseError):
        return False
    return True


def _over(seconds: float, stopping: Callable[[], bool]) -> Callable[[], bool]:
    until = time.monotonic() + seconds
    return lambda: stopping() or time.monotonic() >= until


def tick() -> dict[str, int]:
    """Drain, verify a slice of each field, and say how many workers each model still wants, by its label."""
    Example.objects.filter(expires_at__lte=timezone.now()).delete()
    wanted: Counter[str] = Counter()
    for field in all_embedding_fields():
        try:
            workers = _tick(target(field))
        except Exception as error:  # One field's trouble must not leave the others unverified.
            raise_interruption(error)
            logger.exception("The sweep of %s failed.", field.label)
            continue
        wanted[_label(field)] = max(wanted[_label(field)], workers)
    return {label: workers for label, workers in wanted.items() if workers}


def _tick(one: Target) -> int:
    claims.drain(one)
    if found := sweep.sweep_slice(one):
        log.event(logging.INFO, "swept", field=str(one), marked=found)
    if not status.claimable(one):
        return 0
    return max(conf.WORKERS - status.workers(one, BUSY_SECONDS), 0)


def _label(field: EmbeddingField) -> str:
    return field.model._meta.label

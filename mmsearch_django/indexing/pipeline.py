"""Claim a batch, read its sources, embed, write. One bad asset never stops or shifts its neighbours."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from math import inf
from typing import Any

from django.db import DatabaseError, connections

from mmsearch_django.conf import conf
from mmsearch_django.embedders.base import Vectors
from mmsearch_django.indexing import claims, log, status, writing
from mmsearch_django.indexing.claims import Claim
from mmsearch_django.indexing.lanes import BOTH, Lanes
from mmsearch_django.indexing.outcomes import STOPS, Outcome, Read, ended_by, raise_interruption, ready
from mmsearch_django.indexing.reading import Reader
from mmsearch_django.indexing.targets import Target
from mmsearch_django.triggers.locks import is_contention

Embed = Callable[[list[Any]], Vectors]
LOCK_PAUSE = 0.2
LARGEST = 32
"""Times BATCH_SIZE: as many texts are claimed and written together at most."""
RENEW_SHARE = 0.25
RENEW_SECONDS = 10
"""A lease is renewed after this share of it, and after so long at most."""
LONGEST_SECONDS = 600
"""A batch that takes longer hangs, and is left to others when its lease ends."""
QUICK_SECONDS = 0.5
SLOW_SECONDS = 2.0


def work(
    target: Target, *, size: int | None = None, over: Callable[[], bool] = lambda: False, lanes: Lanes = BOTH
) -> Iterator[Counter[str]]:
    """Drain and embed batch by batch until nothing can be claimed, or it is ``over``: then it ends what it has begun.

    While a thread embeds one batch, the next is read here, where the database connection is. Yields how each batch
    ended, as numbers by status. Raises EmbedderError or ConfigurationError when nothing can be embedded at all.
    Whatever is raised, what was claimed and not finished is given back.
    """
    writing.check_signature(target)
    writing.check_dimensions(target)
    pace = Pace(target, size)
    with UnderWay(target) as under_way:
        for batch in _batches(target, pace, over, lanes):
            suspect = batch[0].attempts > 1
            if suspect:  # If it kills again, no neighbour is blamed: none is under way, nor claimed before it ended.
                yield from under_way.finish()
            under_way.start(batch)
            for counts in under_way.finish(leave=0 if suspect else 1):
                pace.finished()
                yield counts
        yield from under_way.finish()


class Pace:
    """How many to claim at once: more while batches are quick, for each costs a dozen statements.

    Pictures are held decoded, so their batches do not grow.
    """

    def __init__(self, target: Target, size: int | None) -> None:
        self.size = self.smallest = size or conf.BATCH_SIZE
        grows = size is None and target.field.source.modality == "text"
        self.largest = self.size * (LARGEST if grows else 1)
        self.since = time.monotonic()

    def finished(self) -> None:
        """Another batch."""
        seconds, self.since = time.monotonic() - self.since, time.monotonic()
        if seconds < QUICK_SECONDS:
            self.size = min(self.size * 2, self.largest)
        elif seconds > SLOW_SECONDS:
            self.size = max(self.size // 2, self.smallest)


def _batches(target: Target, pace: Pace, over: Callable[[], bool], lanes: Lanes) -> Iterator[list[Claim]]:
    while not over():
        drained = claims.drain(target)
        batch = claims.claim(target, pace.size, lanes)
        if batch:
            yield batch
        elif not drained or not status.claimable(target, lanes):
            return


@dataclass
class Batch:
    """Claimed, and being read; then what is new of it is with the embedder."""

    claims: Sequence[Claim]
    began: float
    renewed: float
    embedding: "Future[list[Outcome]]" = field(default_factory=Future)


class UnderWay:
    """Batches that were claimed and are not finished, oldest first. Gives back what is left at the end.

    While it waits for threads that read or embed, it renews the leases of all, so that they can be short: what is slow
    is not taken for the work of a process that died.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.batches: deque[Batch] = deque()
        self.embedder = target.field.embedder.here()
        self.warm = self.embedder.loaded
        self.reader = Reader(target)
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="mmsearch-embedder")

    def __enter__(self) -> "UnderWay":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.thread.shutdown(cancel_futures=True)
        self.reader.close()
        for batch in self.batches:
            self._release(batch.claims, error)

    def start(self, claimed: Sequence[Claim]) -> None:
        """Read what was claimed, and hand it to the embedder."""
        now = time.monotonic()
        batch = Batch(claimed, began=now, renewed=now)
        self.batches.append(batch)
        self._renew()
        ended, new = self.reader.read(claimed, self._wait)
        if new and not self.warm:
            self._warm_up(batch)
        batch.embedding = self.thread.submit(_embed_apart, self._embed, ended, new)

    def _warm_up(self, batch: Batch) -> None:
        """A process that is killed while it loads the model (by a deploy, or as memory runs out) is nobody's fault."""
        claims.count(self.target, batch.claims, -1)
        try:
            loading = self.thread.submit(self.embedder.warm_up)
            self._wait([loading])
            loading.result()
        finally:
            claims.count(self.target, batch.claims, 1)
        self.warm = True

    @property
    def _embed(self) -> Embed:
        text = self.target.field.source.modality == "text"
        return self.embedder.embed_texts if text else self.embedder.embed_images

    def finish(self, *, leave: int = 0) -> Iterator[Counter[str]]:
        """Write the oldest as they become ready, but the newest ``leave``."""
        while len(self.batches) > leave:
            batch = self.batches[0]
            self._wait([batch.embedding])
            outcomes = batch.embedding.result()
            try:
                counts = writing.finish(self.target, batch.claims, outcomes)
            except DatabaseError as error:
                if not is_contention(error):
                    raise
                self._release(batch.claims, error)
                time.sleep(LOCK_PAUSE)
                counts = Counter()
            self.batches.popleft()
            log.batch(self.target, counts, outcomes, time.monotonic() - batch.began)
            self._renew()
            yield counts

    def _wait(self, futures: Sequence["Future[Any]"], *, until: float = inf) -> None:
        """Until all are done, renewing leases meanwhile."""
        while wait(futures, timeout=self._moment(until)).not_done and time.monotonic() < until:
            self._renew()

    @staticmethod
    def _moment(until: float) -> float:
        return max(min(_renewal() / 2, until - time.monotonic()), 0)

    def _renew(self) -> None:
        """All in one statement, since by their leases workers are counted."""
        now = time.monotonic()
        held = [batch for batch in self.batches if now - batch.began < LONGEST_SECONDS]
        if any(now - batch.renewed > _renewal() for batch in held):
            renewed = iter(claims.renew(self.target, [claim for batch in held for claim in batch.claims]))
            for batch in held:
                batch.claims, batch.renewed = list(islice(renewed, len(batch.claims))), now

    def _release(self, batch: Sequence[Claim], error: BaseException | None) -> None:
        """An embedder that names a time after which it can be asked again is not asked before."""
        connection = connections[self.target.using]
        with suppress(DatabaseError):
            if not (connection.in_atomic_block or connection.is_usable()):
                connection.close()  # The server was restarted, or a query was interrupted: another one serves.
            claims.release(self.target, batch, delay=getattr(error, "retry_after", None))


def _renewal() -> float:
    """Seconds after which a lease is renewed."""
    return min(conf.LEASE_SECONDS * RENEW_SHARE, RENEW_SECONDS)


def _embed_apart(embed: Embed, ended: list[Outcome], reads: Sequence[Read]) -> list[Outcome]:
    """Each content once. Runs in a thread of its own."""
    first = {read.content.digest: read for read in reversed(reads)}
    unique = list(first.values())
    parts = (unique[start : start + conf.BATCH_SIZE] for start in range(0, len(unique), conf.BATCH_SIZE))
    try:
        outcomes = [outcome for part in parts for outcome in _embed_batch(embed, part)]
    finally:
        connections.close_all()  # What a site's own embedder may have opened in this thread.
    ends = {outcome.claim.state: outcome for outcome in outcomes}
    copies = ((read, first[read.content.digest]) for read in reads)
    again = [_as(ends[one.claim.state], read) for read, one in copies if one is not read]
    return ended + outcomes + again


def _as(end: Outcome, read: Read) -> Outcome:
    """The end of one, for another of the same content."""
    return replace(end, claim=read.claim, fingerprint=read.fingerprint)


def _embed_batch(embed: Embed, reads: Sequence[Read]) -> list[Outcome]:
    try:
        vectors = embed([read.content.value for read in reads])
    except STOPS:
        raise
    except Exception as error:
        raise_interruption(error)
        if len(reads) == 1:
            return [ended_by(error, reads[0].claim, reads[0].fingerprint)]
        # Halves of halves: one that cannot be embedded costs a server few more requests.
        middle = len(reads) // 2
        return _embed_batch(embed, reads[:middle]) + _embed_batch(embed, reads[middle:])
    return [ready(read, vector) for read, vector in zip(reads, vectors, strict=True)]

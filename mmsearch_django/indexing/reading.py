"""Reading what was claimed: the rows in one query, their contents by several threads if they are pictures."""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from typing import Any, Protocol

from django.db import connections

from mmsearch_django.conf import conf
from mmsearch_django.exceptions import StorageUnavailable, WorkerDied
from mmsearch_django.indexing import claims, writing
from mmsearch_django.indexing.claims import Claim
from mmsearch_django.indexing.outcomes import STOPS, Outcome, Read, ended_by, raise_interruption, ready
from mmsearch_django.indexing.targets import Target

READERS = min(4, os.cpu_count() or 1)
"""Pictures that one worker fetches and decodes at once: each takes a decoder, and the memory for it."""
CLOSE_SECONDS = 1
"""How long each thread is waited for in the end."""

Loaded = tuple[Claim, Any, bytes]
"""A claim, its row or what was raised when it was loaded, and the row's fingerprint."""


class Wait(Protocol):
    """Returns when all are done, or the monotonic clock shows ``until``."""

    def __call__(self, futures: Sequence[Future[None]], *, until: float) -> None: ...


class Reader:
    """Reads batches, and keeps its threads between them: some storages keep a connection for each.

    They are daemons, for a storage that never answers must not keep the process from ending.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.jobs: SimpleQueue[Job | None] = SimpleQueue()
        self.threads: list[threading.Thread] = []

    def close(self) -> None:
        """Returns when the threads have ended, or in a moment: one that waits for a storage ends when that answers."""
        for thread in self._dismiss():
            thread.join(CLOSE_SECONDS)

    def read(self, batch: Sequence[Claim], wait: Wait) -> tuple[list[Outcome], list[Read]]:
        """What ended already, because it cannot be read or its vector is known, and what is to be embedded.

        What a slow storage left no time for is in neither, and so given back: others may have more luck with it. What
        has not come when reading and decoding must have ended is to be tried again later.
        """
        until = time.monotonic() + conf.LEASE_SECONDS / 2
        waiting = deque(_load(self.target, batch))
        # Threads have connections of their own, which see nothing of a transaction that the caller is in.
        if self.target.field.source.modality == "text" or connections[self.target.using].in_atomic_block:
            jobs = [Job(self.target, waiting, until)]
            jobs[0].run()
        else:
            jobs = [Job(self.target, waiting, until) for _ in range(READERS)]
            self._run_together(jobs, partial(wait, until=until + conf.READ_SECONDS + conf.DECODE_SECONDS))
        results = [result for job in jobs for result in job.end()]
        outcomes = [result for result in results if isinstance(result, Outcome)]
        same, new = _known(self.target, [result for result in results if isinstance(result, Read)])
        return outcomes + same, new

    def _run_together(self, jobs: Sequence["Job"], wait: Callable[[Sequence[Future[None]]], None]) -> None:
        self._hire()
        for job in jobs:
            self.jobs.put(job)
        try:
            wait([job.done for job in jobs])
        finally:
            jobs[0].waiting.clear()  # Whatever was raised, no thread takes another.
        if not all(job.done.done() for job in jobs):
            self._dismiss()  # Those that hang are not waited for, nor given more to do.

    def _dismiss(self) -> list[threading.Thread]:
        dismissed = self.threads
        for _ in dismissed:
            self.jobs.put(None)
        self.jobs, self.threads = SimpleQueue(), []
        return dismissed

    def _hire(self) -> None:
        while len(self.threads) < READERS:
            self.threads.append(threading.Thread(target=_serve, args=[self.jobs], name="mmsearch-reader", daemon=True))
            self.threads[-1].start()


class Job:
    """What one thread reads of a batch: the next that waits, until none does."""

    def __init__(self, target: Target, waiting: deque[Loaded], until: float) -> None:
        self.target, self.waiting, self.until = target, waiting, until
        self.done: Future[None] = Future()
        self.results: list[Outcome | Read] = []
        self.reading: Loaded | None = None

    def run(self) -> None:
        try:
            while (loaded := self._next()) is not None:
                self.reading = loaded
                self.results.append(_read(self.target, *loaded))
        except BaseException as error:
            self.done.set_exception(error)
        else:
            self.done.set_result(None)

    def _next(self) -> Loaded | None:
        """At least one, if the others leave one; none when the monotonic clock shows ``until``."""
        if self.results and time.monotonic() > self.until:
            return None
        try:
            return self.waiting.popleft()
        except IndexError:
            return None

    def end(self) -> list[Outcome | Read]:
        """What was read. Raises what stopped it; what has not come until now is to be tried again later."""
        if self.done.done():
            self.done.result()
        reading, results = self.reading, list(self.results)
        if reading is None or any(result.claim is reading[0] for result in results):
            return results
        claim, _, fingerprint = reading
        error = StorageUnavailable("The storage has not given the file, nor said that it cannot.")
        return [*results, ended_by(error, claim, fingerprint)]


def _serve(jobs: "SimpleQueue[Job | None]") -> None:
    """Runs in a thread of its own."""
    for job in iter(jobs.get, None):
        job.run()
        connections.close_all()  # What a source may have opened in this thread, to ask for related rows.


def _load(target: Target, batch: Sequence[Claim]) -> list[Loaded]:
    """A row that is gone is marked, for the drain to forget it."""
    try:
        rows = {row.mm_key: (row, row.mm_fingerprint) for row in target.rows_of(claim.key for claim in batch)}
    except STOPS:
        raise
    except Exception as error:  # A column that cannot be turned into Python.
        raise_interruption(error)
        if len(batch) > 1:
            return [loaded for claim in batch for loaded in _load(target, [claim])]
        values = target.rows_of([batch[0].key]).values_list("mm_key", "mm_fingerprint")
        rows = {key: (error, fingerprint) for key, fingerprint in values}
    claims.mark(target, [claim.key for claim in batch if claim.key not in rows])
    return [(claim, row, bytes(mark)) for claim in batch if claim.key in rows for row, mark in [rows[claim.key]]]


def _read(target: Target, claim: Claim, row: Any, fingerprint: bytes) -> Outcome | Read:
    try:
        if isinstance(row, Exception):
            raise row
        if claim.attempts > conf.MAX_ATTEMPTS:
            raise WorkerDied(f"{claim.attempts - 1} workers ended while they worked on it; it is set aside.")
        return Read(claim, fingerprint, target.field.source.read(row))
    except STOPS:
        raise
    except Exception as error:  # Also a bug in reading one file.
        raise_interruption(error)
        return ended_by(error, claim, fingerprint)


def _known(target: Target, reads: Sequence[Read]) -> tuple[list[Outcome], list[Read]]:
    """What has a vector that was made from the same content, its own or another object's, and what has not."""
    known = writing.known(target, {read.claim.key: read.content.digest for read in reads})
    same = [ready(read, known[read.claim.key]) for read in reads if read.claim.key in known]
    return same, [read for read in reads if read.claim.key not in known]

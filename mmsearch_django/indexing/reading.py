"""Reading what was claimed: the rows in one query, their contents by several threads if they are pictures."""

import os
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connections

from mmsearch_django.conf import conf
from mmsearch_django.exceptions import StorageUnavailable, WorkerDied
from mmsearch_django.indexing import claims, writing
from mmsearch_django.indexing.claims import Claim
from mmsearch_django.indexing.outcomes import STOPS, Outcome, Read, ended_by, raise_interruption, ready
from mmsearch_django.indexing.targets import Target

READERS = min(4, os.cpu_count() or 1)
"""Pictures that one worker fetches and decodes at once: each takes a decoder, and the memory for it."""

Loaded = tuple[Claim, Any, bytes]
"""A claim, its row or what was raised when it was loaded, and the row's fingerprint."""


class Reader:
    """Reads batches, and keeps its threads between them: some storages keep a connection for each."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.threads = ThreadPoolExecutor(READERS, thread_name_prefix="mmsearch-reader")

    def close(self) -> None:
        """Returns when no thread reads any more."""
        self.threads.shutdown()

    def read(self, batch: Sequence[Claim]) -> tuple[list[Outcome], list[Read]]:
        """What ended already, because it cannot be read or its vector is known, and what is to be embedded.

        What a slow storage left no time for is in neither, and so given back: a batch must end before its lease, or
        another worker would take it over and blame this one's death on the files.
        """
        until = time.monotonic() + conf.LEASE_SECONDS / 2
        waiting = deque(_load(self.target, batch))
        # Threads have connections of their own, which see nothing of a transaction that the caller is in.
        if self.target.field.source.modality == "text" or connections[self.target.using].in_atomic_block:
            results = _read_some(self.target, waiting, until)
        else:
            results = self._read_together(waiting, until)
        outcomes = [result for result in results if isinstance(result, Outcome)]
        same, new = _known(self.target, [result for result in results if isinstance(result, Read)])
        return outcomes + same, new

    def _read_together(self, waiting: deque[Loaded], until: float) -> list[Outcome | Read]:
        shares = [self.threads.submit(_read_apart, self.target, waiting, until) for _ in range(READERS)]
        try:
            return [result for share in shares for result in share.result()]
        finally:
            waiting.clear()  # Whatever was raised, no thread takes another.


def _read_apart(target: Target, waiting: deque[Loaded], until: float) -> list[Outcome | Read]:
    """Runs in one of the threads."""
    try:
        return _read_some(target, waiting, until)
    finally:
        connections.close_all()  # What a source may have opened in this thread, to ask for related rows.


def _read_some(target: Target, waiting: deque[Loaded], until: float) -> list[Outcome | Read]:
    """One after the other, until none is waiting or the monotonic clock shows ``until``; at least one."""
    results: list[Outcome | Read] = []
    while not results or time.monotonic() <= until:
        try:
            loaded = waiting.popleft()
        except IndexError:  # Another thread has taken the last.
            break
        results.append(_read(target, *loaded))
    return results


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
        if not isinstance(error, StorageUnavailable):  # What the storage did not give is tried again after others.
            raise_interruption(error)
        return ended_by(error, claim, fingerprint)


def _known(target: Target, reads: Sequence[Read]) -> tuple[list[Outcome], list[Read]]:
    """What has a vector that was made from the same content, its own or another object's, and what has not."""
    known = writing.known(target, {read.claim.key: read.content.digest for read in reads})
    same = [ready(read, known[read.claim.key]) for read in reads if read.claim.key in known]
    return same, [read for read in reads if read.claim.key not in known]

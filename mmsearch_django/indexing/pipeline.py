"""Claim a batch, read its sources, embed, write. One bad asset never stops or shifts its neighbours."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, cast

from django.db import DatabaseError, InterfaceError, OperationalError

from mmsearch_django.conf import conf
from mmsearch_django.embedders.base import Vectors
from mmsearch_django.exceptions import ConfigurationError, EmbedderUnavailable, SelfTestFailed, WorkerDied
from mmsearch_django.indexing import claims, writing
from mmsearch_django.indexing.claims import Claim
from mmsearch_django.indexing.outcomes import Outcome, Read, ended_by, ready
from mmsearch_django.indexing.targets import Target
from mmsearch_django.triggers.locks import is_contention

STOPS = (EmbedderUnavailable, SelfTestFailed, ConfigurationError, OperationalError, InterfaceError)
"""Not the fault of one asset: nothing could be embedded now."""
LOCK_PAUSE = 0.2


def work(target: Target, *, size: int | None = None, until: float | None = None) -> Iterator[Counter[str]]:
    """Drain and embed batch by batch until nothing can be claimed, or the monotonic clock shows ``until``.

    Yields how each batch ended, as numbers by status. Raises EmbedderError or ConfigurationError when nothing can be
    embedded at all; what was claimed is then given back.
    """
    writing.check_signature(target)
    writing.check_dimensions(target)
    while until is None or time.monotonic() < until:
        drained = claims.drain(target)
        batch = claims.claim(target, size or conf.BATCH_SIZE)
        if batch:
            yield process(target, batch)
        elif not drained:
            return


def process(target: Target, batch: Sequence[Claim]) -> Counter[str]:
    """Bring the claimed objects to an end. Whatever is raised, the claims are given back."""
    try:
        outcomes, reads = read(target, batch)
        outcomes += embed(target, reads)
        return writing.finish(target, batch, outcomes)
    except BaseException as error:
        with suppress(DatabaseError):
            claims.release(target, batch)
        if isinstance(error, DatabaseError) and is_contention(error):
            time.sleep(LOCK_PAUSE)
            return Counter()
        raise


def read(target: Target, batch: Sequence[Claim]) -> tuple[list[Outcome], list[Read]]:
    """What ended already, and what is to be embedded."""
    results = [_read(target, claim, row, fingerprint) for claim, row, fingerprint in _load(target, batch)]
    return [r for r in results if isinstance(r, Outcome)], [r for r in results if isinstance(r, Read)]


def _load(target: Target, batch: Sequence[Claim]) -> list[tuple[Claim, Any, bytes]]:
    """Each claim with its row, or what was raised when the row was loaded, and the row's fingerprint.

    A row that is gone is marked, for the drain to forget it.
    """
    try:
        rows = {row.mm_key: (row, row.mm_fingerprint) for row in target.rows_of(claim.key for claim in batch)}
    except STOPS:
        raise
    except Exception as error:  # A column that cannot be turned into Python.
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
        return ended_by(error, claim, fingerprint)


def embed(target: Target, reads: Sequence[Read]) -> list[Outcome]:
    """Embed what was read, except where the vector that stands was made from the same content."""
    standing = writing.standing_digests(target, [read.claim.key for read in reads])
    same = [read for read in reads if standing.get(read.claim.key) == read.content.digest]
    new = [read for read in reads if standing.get(read.claim.key) != read.content.digest]
    return [ready(read, None) for read in same] + _embed_batch(target, new)


def _embed_batch(target: Target, reads: Sequence[Read]) -> list[Outcome]:
    if not reads:
        return []
    try:
        vectors = _vectors(target, reads)
    except STOPS:
        raise
    except Exception as error:
        if len(reads) == 1:
            return [ended_by(error, reads[0].claim, reads[0].fingerprint)]
        return [outcome for read in reads for outcome in _embed_batch(target, [read])]
    return [ready(read, vector) for read, vector in zip(reads, vectors, strict=True)]


def _vectors(target: Target, reads: Sequence[Read]) -> Vectors:
    embedder = target.field.embedder
    contents = [cast(Any, read.content.value) for read in reads]
    return embedder.embed_texts(contents) if target.field.source.modality == "text" else embedder.embed_images(contents)

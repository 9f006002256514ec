"""The HNSW index: built beside running writes once it pays, replaced when a build was cut short."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256

from django.db import connections
from django.db.backends.utils import truncate_name

from mmsearch_django.exceptions import ConfigurationError
from mmsearch_django.fields import IDENTIFIER_BYTES
from mmsearch_django.indexing import log
from mmsearch_django.indexing.targets import Target
from mmsearch_django.triggers.names import quote

PAYS = 10_000
"""Vectors from which on an index is worth it; below, search is exact and needs none."""

GRAPH_BYTES = 700
"""Of one vector in the graph of m = 16, beside the vector itself."""


def index_name(target: Target) -> str:
    table = target.field.vectors._meta.db_table.replace('"', "").replace(".", "_")
    return truncate_name(f"{table}_hnsw", IDENTIFIER_BYTES)


def state(target: Target) -> str:
    """``none``, ``invalid`` (a build was cut short) or ``valid``."""
    found = _found(target)
    return "none" if not found else "valid" if any(found.values()) else "invalid"


def _found(target: Target) -> dict[str, bool]:
    """The HNSW indexes of the table, and whether they are valid. A renamed table keeps the one that it had."""
    with connections[target.using].cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
            "JOIN pg_am a ON a.oid = c.relam WHERE i.indrelid = to_regclass(%s) AND a.amname = 'hnsw'",
            [target.vector_table],
        )
        return dict(cursor.fetchall())


def pays(target: Target) -> bool:
    return target.vectors.order_by()[PAYS - 1 : PAYS].exists()


def is_missing(target: Target) -> bool:
    """Whether it would pay to have one, and there is none that is valid."""
    return state(target) != "valid" and pays(target)


def is_in_the_way(target: Target, pending: int) -> bool:
    """Whether so many vectors are written faster without it, and it is built again at the end.

    A write with the index in place takes about six times the time that a row costs when it is built afterwards.
    """
    return pending >= PAYS and state(target) != "none" and pending >= target.vectors.count()


def build(target: Target) -> bool:
    """Build the index if it pays and is missing or invalid. Returns whether it did; False if another is at it."""
    connection = connections[target.using]
    if connection.in_atomic_block:
        raise ConfigurationError(f"The index of {target} cannot be built inside a transaction.")
    with _alone(target) as alone:
        if not alone or not is_missing(target):
            return False
        drop(target)
        begun = time.monotonic()
        with connection.cursor() as cursor:
            cursor.execute(
                f"CREATE INDEX CONCURRENTLY {quote(index_name(target))} ON {target.vector_table} "
                f"USING hnsw (vector halfvec_cosine_ops) WITH (m = 16, ef_construction = 64)"
            )
        log.event(logging.INFO, "index_built", field=str(target), seconds=round(time.monotonic() - begun, 1))
    return True


def drop(target: Target) -> None:
    """Drop the index, if there is one, beside running searches; they are exact from then on."""
    connection, found = connections[target.using], _found(target)
    if not found:
        return
    if connection.in_atomic_block:
        raise ConfigurationError(f"The index of {target} cannot be dropped inside a transaction.")
    with connection.cursor() as cursor:
        for name in found:
            cursor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {quote(name)}")


@dataclass(frozen=True)
class Progress:
    """How far a build is: of the table's blocks of 8 kB, in the present phase."""

    phase: str
    done: int
    total: int


def progress(target: Target) -> Progress | None:
    """Of a build that runs now, in whichever connection; None if there is none."""
    with connections[target.using].cursor() as cursor:
        cursor.execute(
            "SELECT phase, blocks_done, blocks_total FROM pg_stat_progress_create_index "
            "WHERE datname = current_database() AND relid = to_regclass(%s)",
            [target.vector_table],
        )
        row = cursor.fetchone()
    return row and Progress(*row)


def lack_of_memory(target: Target) -> str:
    """What to say before a build whose graph does not fit into maintenance_work_mem, with the fix; empty if it does."""
    needed = target.vectors.count() * (2 * (target.field.dimensions or 0) + GRAPH_BYTES)
    with connections[target.using].cursor() as cursor:
        cursor.execute(
            "SELECT pg_size_bytes(current_setting('maintenance_work_mem')), current_setting('maintenance_work_mem'), "
            "current_setting('max_parallel_maintenance_workers')"
        )
        size, memory, workers = cursor.fetchone()
    if size >= needed:
        return ""
    megabytes = needed // 10**6 + 1
    return (
        f"The HNSW index of {target} is built in about {megabytes:,} MB of memory; with less it takes several "
        f"times as long. maintenance_work_mem is {memory}, max_parallel_maintenance_workers {workers}; raise them for "
        f"one run by PGOPTIONS='-c maintenance_work_mem={megabytes}MB -c max_parallel_maintenance_workers=...'"
    )


def lock_key(target: Target) -> int:
    return int.from_bytes(sha256(index_name(target).encode()).digest()[:8], "big", signed=True)


@contextmanager
def _alone(target: Target) -> Iterator[bool]:
    """A lock of the session: the only one, for what cannot run in a transaction."""
    key = lock_key(target)
    with connections[target.using].cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [key])
        alone = bool(cursor.fetchone()[0])
        try:
            yield alone
        finally:
            if alone:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [key])

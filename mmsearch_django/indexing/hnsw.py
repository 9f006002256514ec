"""The HNSW index: built beside running writes once it pays, replaced when a build was cut short."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256

from django.db import connections
from django.db.backends.utils import truncate_name

from mmsearch_django.exceptions import ConfigurationError
from mmsearch_django.fields import IDENTIFIER_BYTES
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
    with connections[target.using].cursor() as cursor:
        cursor.execute(
            "SELECT i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
            "WHERE i.indrelid = to_regclass(%s) AND c.relname = %s",
            [target.vector_table, index_name(target)],
        )
        row = cursor.fetchone()
    return "none" if row is None else "valid" if row[0] else "invalid"


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
        with connection.cursor() as cursor:
            cursor.execute(
                f"CREATE INDEX CONCURRENTLY {quote(index_name(target))} ON {target.vector_table} "
                f"USING hnsw (vector halfvec_cosine_ops) WITH (m = 16, ef_construction = 64)"
            )
    return True


def drop(target: Target) -> None:
    """Drop the index, if there is one, beside running searches; they are exact from then on."""
    connection = connections[target.using]
    if state(target) == "none":
        return
    if connection.in_atomic_block:
        raise ConfigurationError(f"The index of {target} cannot be dropped inside a transaction.")
    with connection.cursor() as cursor:
        cursor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {quote(index_name(target))}")


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

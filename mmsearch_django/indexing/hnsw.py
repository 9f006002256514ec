"""The HNSW index: built beside running writes once it pays, replaced when a build was cut short."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
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


def build(target: Target) -> bool:
    """Build the index if it pays and is missing or invalid. Returns whether it did; False if another is at it."""
    connection = connections[target.using]
    if connection.in_atomic_block:
        raise ConfigurationError(f"The index of {target} cannot be built inside a transaction.")
    with _alone(target) as alone:
        found = state(target)
        if not alone or found == "valid" or not pays(target):
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
    connection = connections[target.using]
    if state(target) == "none":
        return
    if connection.in_atomic_block:
        raise ConfigurationError(f"The index of {target} cannot be dropped inside a transaction.")
    with connection.cursor() as cursor:
        cursor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {quote(index_name(target))}")


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

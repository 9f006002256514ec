"""The write phase: one transaction for a batch, only for objects that are still as they were claimed."""

import struct
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
import psycopg
from django.db import connections, transaction
from django.db.models import QuerySet
from numpy.typing import NDArray
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.types import TypeInfo

from mmsearch_django.exceptions import ConfigurationError
from mmsearch_django.indexing import claims
from mmsearch_django.indexing.claims import Claim
from mmsearch_django.indexing.outcomes import Outcome
from mmsearch_django.indexing.targets import MARKS, STATES, Target, migrated_dimensions
from mmsearch_django.models import Space, State
from mmsearch_django.signals import embedding_ready
from mmsearch_django.triggers.locks import brief_locks


class Half(bytes):
    """A vector in the binary form of pgvector's halfvec."""


def half(vector: NDArray[np.float32]) -> Half:
    return Half(struct.pack(">HH", len(vector), 0) + vector.astype(">f2").tobytes())


def finish(target: Target, batch: Sequence[Claim], outcomes: Iterable[Outcome]) -> Counter[str]:
    """Write outcomes; whoever changed since it was claimed stays pending. Returns numbers by status.

    Raises SignatureMismatch if another embedder has taken the space over meanwhile. The lock, which the write would
    take anyway, is taken before the signature is read: so none can do so between the two.
    """
    with brief_locks(target.using):
        with connections[target.using].cursor() as cursor:
            cursor.execute(f"LOCK TABLE {target.vector_table} IN ROW EXCLUSIVE MODE")
        check_signature(target)
        still = _lock(target, batch)
        written = [outcome for outcome in outcomes if outcome.claim.state in still]
        _write_vectors(target, [outcome for outcome in written if outcome.vector is not None])
        _remove_vectors(target, [outcome for outcome in written if outcome.status in REMOVED])
        _write_states(target, written)
        claims.release(target, batch)
        transaction.on_commit(partial(_announce, target, written), using=target.using)
    return Counter(outcome.status for outcome in written)


def check_signature(target: Target) -> None:
    """Record what a new space's vectors are made with. Raises SignatureMismatch rather than mix two in one space."""
    embedder = target.field.embedder
    if not target.signature:
        unmade = Space.objects.using(target.using).filter(pk=target.space, signature="")
        unmade.update(signature=str(embedder.signature), preprocessing=embedder.preprocessing)
    target.field.require_signature(target.signature, target.using)


def check_dimensions(target: Target) -> None:
    """Raises ConfigurationError if the embedder's vectors do not fit into the migrated column."""
    dimensions, embedder = migrated_dimensions(target.field, target.using), target.field.embedder
    if dimensions != embedder.dimensions:
        app, database = target.field.vectors._meta.app_label, target.using
        raise ConfigurationError(
            f"The table of {target} takes vectors of {dimensions} dimensions in '{database}', but embedder "
            f"'{embedder.alias}' makes {embedder.dimensions}. Run manage.py makemigrations {app}, then "
            f"manage.py migrate --database {database}, then mmsearch_index again."
        )


def standing(target: Target, keys: Collection[str]) -> dict[str, bytes]:
    """Content digests of these objects' vectors, where this embedder would make the same again."""
    vectors = _comparable(target).filter(pk__in=target.parse(keys))
    digests = {key: bytes(digest) for key, digest in vectors.values_list("pk", "digest") if digest is not None}
    return {key: digests[parsed] for key in keys if (parsed := target.parse_one(key)) in digests}


def twins(target: Target, digests: Collection[bytes]) -> dict[bytes, NDArray[np.float32]]:
    """Vectors that any object has of these contents, float32 of shape (dimensions,), by digest."""
    if not digests:
        return {}
    embedder = target.field.embedder
    with connections[target.using].cursor() as cursor:
        cursor.execute(
            TWINS.format(table=target.vector_table), [list(digests), embedder.signature.short, embedder.preprocessing]
        )
        keys = [row[0] for row in cursor.fetchall()]
    rows: Any = _comparable(target).filter(pk__in=keys).values_list("digest", "vector") if keys else []
    return {bytes(digest): np.asarray(vector, dtype=np.float32) for digest, vector in rows}


def _comparable(target: Target) -> "QuerySet[Any]":
    embedder = target.field.embedder
    return target.vectors.filter(signature=embedder.signature.short, preprocessing=embedder.preprocessing)


def _lock(target: Target, batch: Sequence[Claim]) -> set[int]:
    """Those that nobody changed since they were claimed. Holding a state's lock is the right to write its vector."""
    states, generations = [claim.state for claim in batch], [claim.generation for claim in batch]
    with connections[target.using].cursor() as cursor:
        cursor.execute(LOCK, [states, generations])
        return {row[0] for row in cursor.fetchall()}


def _write_vectors(target: Target, outcomes: Sequence[Outcome]) -> None:
    if not outcomes:
        return
    embedder = target.field.embedder
    connection = connections[target.using]
    sql = UPSERT.format(table=target.vector_table, key_type=target.key_type)
    values = {
        "keys": [outcome.claim.key for outcome in outcomes],
        "vectors": [half(outcome.vector) for outcome in outcomes if outcome.vector is not None],
        "digests": [outcome.digest for outcome in outcomes],
        "signature": embedder.signature.short,
        "preprocessing": embedder.preprocessing,
    }
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        _register_halfvec(cursor)
        cursor.execute(sql, values)


def _register_halfvec(cursor: "psycopg.Cursor[Any]") -> None:
    """Teach this one cursor to send vectors in binary; the site's connection stays as it is."""
    info = TypeInfo.fetch(cursor.connection, "halfvec")
    if info is None:
        raise ConfigurationError("The database has no type halfvec. Run: CREATE EXTENSION vector;")
    info.register(cursor)
    cursor.adapters.register_dumper(Half, type("HalfDumper", (_HalfDumper,), {"oid": info.oid}))


class _HalfDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Half) -> bytes:
        return obj


def _remove_vectors(target: Target, outcomes: Sequence[Outcome]) -> None:
    """What could not be embedded must not be found by what it was before."""
    if outcomes:
        target.vectors.filter(pk__in=target.parse(outcome.claim.key for outcome in outcomes)).delete()


def _write_states(target: Target, outcomes: Sequence[Outcome]) -> None:
    if not outcomes:
        return
    rows = [(o.claim.state, o.status, o.fingerprint, o.error_class, o.message, o.delay) for o in outcomes]
    with connections[target.using].cursor() as cursor:
        cursor.execute(FINISH, [list(column) for column in zip(*rows, strict=True)])


def _announce(target: Target, outcomes: Sequence[Outcome]) -> None:
    keys = target.parse(outcome.claim.key for outcome in outcomes if outcome.vector is not None)
    if keys:
        embedding_ready.send_robust(
            sender=target.field.model, field=target.field.name, object_ids=keys, using=target.using
        )


REMOVED = (State.Status.FAILED, State.Status.SKIPPED)

LOCK = f"""
SELECT s.id FROM {STATES} AS s
JOIN unnest(%s::bigint[], %s::bigint[]) AS c(id, generation) ON s.id = c.id AND s.generation = c.generation
WHERE s.status = 'pending'
  AND NOT EXISTS (SELECT FROM {MARKS} AS m WHERE m.space_id = s.space_id AND m.object_id = s.object_id)
  AND NOT EXISTS (SELECT FROM {MARKS} AS m WHERE m.space_id = s.space_id AND m.object_id IS NULL)
FOR UPDATE OF s SKIP LOCKED
"""

# OFFSET 0 keeps the lookups apart, each by the index. As one join or one list, a table that grows faster than its
# statistics would be read as a whole for each batch.
TWINS = """
SELECT DISTINCT ON (asked.digest) v.object_id FROM unnest(%s::bytea[]) AS asked(digest) CROSS JOIN LATERAL (
    SELECT object_id FROM {table} WHERE digest = asked.digest AND signature = %s AND preprocessing = %s OFFSET 0
) AS v
"""

UPSERT = """
INSERT INTO {table} AS v (object_id, vector, digest, signature, preprocessing, embedded_at)
SELECT key::{key_type}, vector, digest, %(signature)s, %(preprocessing)s, now()
FROM unnest(%(keys)s::text[], %(vectors)b::halfvec[], %(digests)s::bytea[]) AS new(key, vector, digest)
ON CONFLICT (object_id) DO UPDATE SET
    vector = EXCLUDED.vector, digest = EXCLUDED.digest, signature = EXCLUDED.signature,
    preprocessing = EXCLUDED.preprocessing, embedded_at = EXCLUDED.embedded_at
"""

# What is to be tried again goes to the end of the queue: changed_at orders it.
FINISH = f"""
UPDATE {STATES} AS s SET
    status = c.status, fingerprint = c.fingerprint, error_class = c.error_class, message = c.message,
    lease_until = NULL, attempts = 0, not_before = now() + c.delay * interval '1 second',
    changed_at = COALESCE(now() + c.delay * interval '1 second', s.changed_at),
    retries = CASE WHEN c.status = 'pending' THEN s.retries + 1 ELSE 0 END, finished_at = clock_timestamp()
FROM unnest(%s::bigint[], %s::text[], %s::bytea[], %s::text[], %s::text[], %s::float[])
    AS c(id, status, fingerprint, error_class, message, delay)
WHERE s.id = c.id
"""

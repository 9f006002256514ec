"""The write phase: one transaction for a batch, only for objects that are still as they were claimed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from django.db import connections, transaction
from numpy.typing import NDArray

from mmsearch_django.exceptions import ConfigurationError
from mmsearch_django.indexing import claims
from mmsearch_django.indexing.binary import HalfVectors, binding_cursor, half_vector, register_half_vectors
from mmsearch_django.indexing.claims import Claim
from mmsearch_django.indexing.outcomes import Outcome
from mmsearch_django.indexing.targets import MARKS, STATES, Target, migrated_dimensions
from mmsearch_django.models import Space, State
from mmsearch_django.signals import embedding_ready
from mmsearch_django.triggers.locks import brief_locks


def finish(target: Target, batch: Sequence[Claim], outcomes: Sequence[Outcome]) -> Counter[str]:
    """Write outcomes; whoever changed since it was claimed stays pending. Returns numbers by status.

    Raises SignatureMismatch if another embedder has taken the space over meanwhile. The lock, which the write would
    take anyway, is taken before the signature is read: so none can do so between the two.
    """
    with brief_locks(target.using):
        with connections[target.using].cursor() as cursor:
            cursor.execute(f"LOCK TABLE {target.vector_table} IN ROW EXCLUSIVE MODE")
        check_signature(target)
        ended = _write_states(target, outcomes)
        written = [outcome for outcome in outcomes if outcome.claim.state in ended]
        _write_vectors(target, [outcome for outcome in written if outcome.vector is not None])
        _remove_vectors(target, [outcome for outcome in written if outcome.status in REMOVED])
        claims.release(target, [claim for claim in batch if claim.state not in ended])
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


def known(target: Target, digests: Mapping[str, bytes]) -> dict[str, NDArray[np.float32] | None]:
    """Of these keys those whose content has a vector that this embedder would make again.

    None for an object's own vector, which can stay; else that of another object with the same content.
    """
    embedder = target.field.embedder
    values = {
        "keys": list(digests),
        "digests": list(digests.values()),
        "signature": embedder.signature.short,
        "preprocessing": embedder.preprocessing,
    }
    with binding_cursor(target.using) as cursor:
        cursor.execute(KNOWN.format(table=target.vector_table, key_type=target.key_type), values)
        return {key: None if vector is None else half_vector(vector) for key, vector in cursor}


def _write_vectors(target: Target, outcomes: Sequence[Outcome]) -> None:
    if not outcomes:
        return
    embedder = target.field.embedder
    values = {
        "keys": [outcome.claim.key for outcome in outcomes],
        "vectors": HalfVectors([outcome.vector for outcome in outcomes if outcome.vector is not None]),
        "digests": [outcome.digest for outcome in outcomes],
        "signature": embedder.signature.short,
        "preprocessing": embedder.preprocessing,
    }
    with binding_cursor(target.using) as cursor:
        register_half_vectors(cursor)
        cursor.execute(UPSERT.format(table=target.vector_table, key_type=target.key_type), values)


def _remove_vectors(target: Target, outcomes: Sequence[Outcome]) -> None:
    """What could not be embedded must not be found by what it was before."""
    if outcomes:
        target.vectors.filter(pk__in=target.parse(outcome.claim.key for outcome in outcomes)).delete()


def _write_states(target: Target, outcomes: Sequence[Outcome]) -> set[int]:
    """Of what nobody changed since it was claimed: returns which. Holding a state is the right to write its vector."""
    if not outcomes:
        return set()
    rows = [
        (o.claim.state, o.claim.generation, o.status, o.fingerprint, o.error_class, o.message, o.delay)
        for o in outcomes
    ]
    with binding_cursor(target.using) as cursor:
        cursor.execute(FINISH, [list(column) for column in zip(*rows, strict=True)])
        return {state for (state,) in cursor}


def _announce(target: Target, outcomes: Sequence[Outcome]) -> None:
    keys = target.parse(outcome.claim.key for outcome in outcomes if outcome.vector is not None)
    if keys:
        embedding_ready.send_robust(
            sender=target.field.model, field=target.field.name, object_ids=keys, using=target.using
        )


REMOVED = (State.Status.FAILED, State.Status.SKIPPED)

# LIMIT: whatever the planner believes about a table that is being filled, it looks up one content after the other.
KNOWN = """
SELECT new.key, CASE WHEN own.object_id IS NULL THEN halfvec_send(twin.vector) END
FROM unnest(%(keys)b::text[], %(digests)b::bytea[]) AS new(key, digest)
LEFT JOIN LATERAL (
    SELECT v.object_id FROM {table} AS v
    WHERE v.object_id = new.key::{key_type} AND v.digest = new.digest
      AND v.signature = %(signature)s AND v.preprocessing = %(preprocessing)s LIMIT 1
) AS own ON true
LEFT JOIN LATERAL (
    SELECT v.vector FROM {table} AS v
    WHERE own.object_id IS NULL AND v.digest = new.digest
      AND v.signature = %(signature)s AND v.preprocessing = %(preprocessing)s LIMIT 1
) AS twin ON true
WHERE own.object_id IS NOT NULL OR twin.vector IS NOT NULL
"""

UPSERT = """
INSERT INTO {table} AS v (object_id, vector, digest, signature, preprocessing, embedded_at)
SELECT key::{key_type}, vector, digest, %(signature)s, %(preprocessing)s, now()
FROM unnest(%(keys)b::text[], %(vectors)b, %(digests)b::bytea[]) AS new(key, vector, digest)
ON CONFLICT (object_id) DO UPDATE SET
    vector = EXCLUDED.vector, digest = EXCLUDED.digest, signature = EXCLUDED.signature,
    preprocessing = EXCLUDED.preprocessing, embedded_at = EXCLUDED.embedded_at
"""

# SKIP LOCKED: what another is changing right now is not as it was claimed. What is to be tried again goes to the end of
# the queue: changed_at orders it.
FINISH = f"""
WITH ended AS (
    SELECT * FROM unnest(%b::bigint[], %b::bigint[], %b::text[], %b::bytea[], %b::text[], %b::text[], %b::float[])
        AS ended (id, generation, status, fingerprint, error_class, message, delay)
), still AS MATERIALIZED (
    SELECT s.id FROM {STATES} AS s JOIN ended AS c ON s.id = c.id AND s.generation = c.generation
    WHERE s.status = 'pending'
      AND NOT EXISTS (SELECT FROM {MARKS} AS m WHERE m.space_id = s.space_id AND m.object_id = s.object_id)
      AND NOT EXISTS (SELECT FROM {MARKS} AS m WHERE m.space_id = s.space_id AND m.object_id IS NULL)
    FOR UPDATE OF s SKIP LOCKED
)
UPDATE {STATES} AS s SET
    status = c.status, fingerprint = c.fingerprint, error_class = c.error_class, message = c.message,
    lease_until = NULL, attempts = 0, not_before = now() + c.delay * interval '1 second',
    changed_at = COALESCE(now() + c.delay * interval '1 second', s.changed_at),
    retries = CASE WHEN c.status = 'pending' THEN s.retries + 1 ELSE 0 END, finished_at = clock_timestamp()
FROM ended AS c JOIN still ON still.id = c.id
WHERE s.id = c.id
RETURNING s.id
"""

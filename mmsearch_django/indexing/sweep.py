"""The verifying sweep: finds what no trigger told, slice by slice, and marks it. The drain does the rest.

Triggers miss what happens while they are disabled or missing, with session_replication_role = replica, under logical
replication, and in direct writes to a partition.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connections, transaction
from django.utils import timezone

from mmsearch_django.indexing import claims
from mmsearch_django.indexing.targets import STATES, Target
from mmsearch_django.models import Space

SLICE = 5000


@dataclass(frozen=True)
class Slice:
    """One step: what it found stale, and where it ended; None at the end of the phase."""

    stale: list[str]
    end: str | None


def sweep_slice(target: Target, size: int = SLICE) -> int:
    """Verify the next slice from the stored cursor. Returns how many objects it marked; 0 if another is at it."""
    with transaction.atomic(target.using):
        locked = Space.objects.using(target.using).select_for_update(skip_locked=True).filter(pk=target.space)
        space = locked.first()
        if space is None:
            return 0
        marked, space.sweep_cursor = step(target, space.sweep_cursor, size)
        space.swept_at = timezone.now()
        space.save(using=target.using, update_fields=["sweep_cursor", "swept_at"])
        return marked


def sweep_all(target: Target, size: int = SLICE, verified: Callable[[int], Any] = lambda count: None) -> int:
    """Verify every row now, and tell ``verified`` of how many after each slice. Returns how many objects it marked."""
    total, cursor = step(target, "", size)
    while cursor:
        verified(size if cursor.startswith("rows") else 0)
        marked, cursor = step(target, cursor, size)
        total += marked
    Space.objects.using(target.using).filter(pk=target.space).update(swept_at=timezone.now())
    return total


def step(target: Target, cursor: str, size: int) -> tuple[int, str]:
    """Verify one slice. A cursor is a phase and the last key of it; empty before the first and after the last."""
    phase, _, after = cursor.partition(" ")
    names = list(PHASES)
    phase = phase if phase in PHASES else names[0]
    found = PHASES[phase](target, after, size)
    claims.mark(target, found.stale)
    if found.end is not None:
        return len(found.stale), f"{phase} {found.end}"
    following = names[names.index(phase) + 1 :]
    return len(found.stale), f"{following[0]} " if following else ""


def stale_rows(target: Target, after: str, size: int) -> Slice:
    """Rows that have no state, were embedded from other contents, or whose vector and state disagree."""
    rows = target.rows().order_by("pk").values_list("pk", "mm_key", "mm_fingerprint")
    last = target.parse_one(after) if after else None
    if last is not None:
        rows = rows.filter(pk__gt=last)
    sql, params = rows[:size].query.get_compiler(target.using).as_sql()
    return _slice(target, STALE_ROWS.format(rows=sql, vectors=target.vector_table), [*params, target.space], size)


def orphan_states(target: Target, after: str, size: int) -> Slice:
    """States of objects that are gone."""
    keys = list(
        target.states.filter(object_id__gt=after).order_by("object_id").values_list("object_id", flat=True)[:size]
    )
    existing = set(target.rows_of(keys).values_list("mm_key", flat=True))
    return Slice([key for key in keys if key not in existing], keys[-1] if len(keys) == size else None)


def orphan_vectors(target: Target, after: str, size: int) -> Slice:
    """Vectors without a state: if the object exists, it is embedded; else the vector goes."""
    vectors = target.vectors.order_by("pk").values_list("pk")
    last = target.parse_one(after) if after else None
    if last is not None:
        vectors = vectors.filter(pk__gt=last)
    sql, params = vectors[:size].query.get_compiler(target.using).as_sql()
    return _slice(target, ORPHAN_VECTORS.format(rows=sql), [*params, target.space], size)


def _slice(target: Target, sql: str, params: Sequence[Any], size: int) -> Slice:
    with connections[target.using].cursor() as cursor:
        cursor.execute(sql, params)
        stale, count, last = cursor.fetchone()
    return Slice(stale, last if count == size else None)


PHASES: dict[str, Callable[[Target, str, int], Slice]] = {
    "rows": stale_rows,
    "states": orphan_states,
    "vectors": orphan_vectors,
}

STALE_ROWS = f"""
WITH slice(pk, key, fingerprint) AS MATERIALIZED ({{rows}})
SELECT ARRAY(
    SELECT key FROM slice
    LEFT JOIN {STATES} AS s ON s.space_id = %s AND s.object_id = slice.key
    LEFT JOIN {{vectors}} AS v ON v.object_id = slice.pk
    WHERE s.id IS NULL OR (s.status <> 'pending' AND (
        s.fingerprint IS DISTINCT FROM slice.fingerprint OR (s.status = 'ready') <> (v.object_id IS NOT NULL)))
), (SELECT count(*) FROM slice), (SELECT key FROM slice ORDER BY pk DESC LIMIT 1)
"""

ORPHAN_VECTORS = f"""
WITH slice(pk) AS MATERIALIZED ({{rows}})
SELECT ARRAY(
    SELECT pk::text FROM slice
    WHERE NOT EXISTS (SELECT FROM {STATES} AS s WHERE s.space_id = %s AND s.object_id = slice.pk::text)
), (SELECT count(*) FROM slice), (SELECT pk::text FROM slice ORDER BY slice.pk DESC LIMIT 1)
"""

"""The queue: marks are drained into states, pending states are claimed for a time, and given back.

Nobody waits here: what is locked is passed over, or the step is given up after a moment and taken up again later.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import OperationalError, connections, models

from mmsearch_django.conf import conf
from mmsearch_django.indexing.binary import binding_cursor
from mmsearch_django.indexing.targets import MARKS, STATES, Target
from mmsearch_django.triggers.locks import brief_locks, is_contention

DRAIN = 5000
"""Marks taken in one transaction."""
GENERATION = f"nextval(pg_get_serial_sequence('{STATES}', 'id'))"


@dataclass(frozen=True)
class Claim:
    """The right to work on one object until the lease ends."""

    state: int
    key: str
    generation: int
    attempts: int
    retries: int
    lease_until: datetime


def drain(target: Target, limit: int = DRAIN) -> int:
    """Turn marks into pending states, and forget objects that are gone. Returns how many marks it took."""
    try:
        with brief_locks(target.using):
            taken, everything, keys = _take(target, limit)
            if keys:
                existing = set(target.rows_of(keys).values_list("mm_key", flat=True))
                forget(target, set(keys) - existing)
            if everything:
                _forget_missing(target)
            return taken
    except OperationalError as error:
        if not is_contention(error):
            raise
        return 0


def mark(target: Target, keys: Iterable[str]) -> None:
    """Append marks, as triggers do."""
    keys = list(keys)
    if not keys:
        return
    with connections[target.using].cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {MARKS} (space_id, object_id, live) SELECT %s, key, false FROM unnest(%s::text[]) AS k(key)",
            [target.space, keys],
        )


def mark_found(target: Target, keys: "models.QuerySet[Any, Any]") -> None:
    """The same for a query of keys as text, however many there are: the drain takes them in slices."""
    sql, params = keys.order_by().query.get_compiler(target.using).as_sql()
    with connections[target.using].cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {MARKS} (space_id, object_id, live) SELECT %s, key, false FROM ({sql}) AS found(key)",
            [target.space, *params],
        )


def forget(target: Target, keys: Collection[str]) -> None:
    """Remove states and vectors of objects that are gone."""
    if keys:
        target.states.filter(object_id__in=keys).delete()
        target.vectors.filter(pk__in=target.parse(keys)).delete()


def claim(target: Target, size: int) -> list[Claim]:
    """Take pending objects, what people wrote before what was loaded in bulk.

    One whose worker died is taken alone, so that if it kills again, no neighbour is blamed.
    """
    with binding_cursor(target.using) as cursor:
        cursor.execute(CLAIM, {"space": target.space, "size": size, "lease": conf.LEASE_SECONDS})
        return [Claim(*row) for row in cursor.fetchall()]


def renew(target: Target, claims: Iterable[Claim]) -> list[Claim]:
    """The claims with a lease that begins now; what another worker took over, or what changed, stays as it is."""
    claims = list(claims)
    ids, generations = [claim.state for claim in claims], [claim.generation for claim in claims]
    leases = [claim.lease_until for claim in claims]
    with connections[target.using].cursor() as cursor:
        cursor.execute(RENEW, [conf.LEASE_SECONDS, ids, generations, leases])
        renewed = dict(cursor.fetchall())
    return [replace(claim, lease_until=renewed.get(claim.state, claim.lease_until)) for claim in claims]


def release(target: Target, claims: Iterable[Claim], *, delay: float | None = None) -> None:
    """Give back what was claimed and not finished, for now or for after so many seconds.

    A claim that another worker took over is theirs.
    """
    claims = list(claims)
    if not claims:
        return
    with connections[target.using].cursor() as cursor:
        cursor.execute(
            RELEASE,
            [
                delay,
                [claim.state for claim in claims],
                [claim.generation for claim in claims],
                [claim.lease_until for claim in claims],
            ],
        )


def _take(target: Target, limit: int) -> tuple[int, bool, list[str]]:
    with connections[target.using].cursor() as cursor:
        cursor.execute(TAKE, {"space": target.space, "limit": limit})
        taken, everything, keys = cursor.fetchone()
    return taken, bool(everything), keys


def _forget_missing(target: Target) -> None:
    """After TRUNCATE nobody knows which objects went, so all are compared."""
    objects, key = target.object_table, target.key_column
    with connections[target.using].cursor() as cursor:
        cursor.execute(
            f"DELETE FROM {STATES} AS s WHERE s.space_id = %s "
            f"AND NOT EXISTS (SELECT FROM {objects} AS o WHERE o.{key}::text = s.object_id)",
            [target.space],
        )
        cursor.execute(
            f"DELETE FROM {target.vector_table} AS v "
            f"WHERE NOT EXISTS (SELECT FROM {objects} AS o WHERE o.{key} = v.object_id)"
        )


# Ordered, so that two who drain the same objects meet in the same order. ARRAY: the inner query must run once.
TAKE = f"""
WITH taken AS (
    DELETE FROM {MARKS} WHERE id = ANY(ARRAY(
        SELECT id FROM {MARKS} WHERE space_id = %(space)s LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
    RETURNING object_id, live
), grouped AS (
    SELECT object_id, bool_or(live) AS live FROM taken WHERE object_id IS NOT NULL GROUP BY object_id
), changed AS (
    INSERT INTO {STATES} AS s (space_id, object_id, live, generation)
    SELECT %(space)s, object_id, live, {GENERATION} FROM (SELECT * FROM grouped ORDER BY object_id) AS ordered
    ON CONFLICT (space_id, object_id) DO UPDATE SET
        status = 'pending', generation = EXCLUDED.generation, changed_at = now(),
        live = EXCLUDED.live OR (s.live AND s.status = 'pending'),
        attempts = 0, retries = 0, lease_until = NULL, not_before = NULL, error_class = '', message = ''
    RETURNING object_id
)
SELECT (SELECT count(*) FROM taken), (SELECT bool_or(object_id IS NULL) FROM taken),
       ARRAY(SELECT object_id FROM changed)
"""

CLAIM = f"""
WITH picked AS MATERIALIZED (
    SELECT id, attempts, live, changed_at FROM {STATES}
    WHERE space_id = %(space)s AND status = 'pending'
      AND (lease_until IS NULL OR lease_until < now()) AND (not_before IS NULL OR not_before <= now())
    ORDER BY live DESC, changed_at LIMIT %(size)s FOR UPDATE SKIP LOCKED
), suspect AS (
    SELECT id FROM picked WHERE attempts > 0 ORDER BY live DESC, changed_at LIMIT 1
)
UPDATE {STATES} SET attempts = attempts + 1, lease_until = now() + %(lease)s * interval '1 second'
WHERE id = ANY(ARRAY(SELECT id FROM suspect UNION ALL SELECT id FROM picked WHERE NOT EXISTS (SELECT FROM suspect)))
RETURNING id, object_id, generation, attempts, retries, lease_until
"""

RENEW = f"""
UPDATE {STATES} AS s SET lease_until = clock_timestamp() + %s * interval '1 second'
FROM unnest(%s::bigint[], %s::bigint[], %s::timestamptz[]) AS c(id, generation, lease_until)
WHERE s.id = c.id AND s.generation = c.generation AND s.lease_until = c.lease_until AND s.status = 'pending'
RETURNING s.id, s.lease_until
"""

RELEASE = f"""
UPDATE {STATES} AS s SET lease_until = NULL, attempts = GREATEST(s.attempts - 1, 0),
    not_before = now() + %s::float * interval '1 second'
FROM unnest(%s::bigint[], %s::bigint[], %s::timestamptz[]) AS c(id, generation, lease_until)
WHERE s.id = c.id AND s.generation = c.generation AND s.lease_until = c.lease_until AND s.status = 'pending'
"""

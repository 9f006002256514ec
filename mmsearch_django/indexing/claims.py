"""The queue: marks are drained into states, pending states are claimed for a time, and given back.

Nobody waits here: what is locked is passed over, or the step is given up after a moment and taken up again later.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import OperationalError, connections, models
from django.utils import timezone

from mmsearch_django.conf import conf
from mmsearch_django.indexing.binary import binding_cursor
from mmsearch_django.indexing.lanes import BOTH, CONDITIONS, Lanes, allowed, held, open_lanes, spend
from mmsearch_django.indexing.targets import MARKS, STATES, Target
from mmsearch_django.models import Lane
from mmsearch_django.triggers.locks import brief_locks, is_contention

DRAIN = 5000
"""Marks taken in one transaction."""
GENERATION = f"nextval(pg_get_serial_sequence('{STATES}', 'id'))"
LONGEST_PAUSE = 2 * 3600
"""Seconds: nothing waits longer before it is tried again."""


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
    """Turn marks into pending states, live ones first, and forget objects that are gone. Returns how many it took."""
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


def claim(target: Target, size: int, lanes: Lanes = BOTH) -> list[Claim]:
    """Take pending objects, what people wrote before what was loaded in bulk, from lanes that nothing holds back.

    Those whose worker died are taken apart from others, those that saw fewer deaths first: a 32nd of as many for each
    death, in the end one alone. So what kills is found soon in the largest batch, no neighbour is blamed for it, and
    whoever met somebody who kills workers at random gets through.
    """
    rows = held(target)
    if any(lane.per_minute is not None for lane in rows.values()):
        return _claim_by_rate(target, size, lanes)
    return _claim(target, size, lanes & open_lanes(rows))


def renew(target: Target, claims: Iterable[Claim]) -> list[Claim]:
    """The claims with a lease that begins now; what another worker took over, or what changed, stays as it is."""
    claims = list(claims)
    with connections[target.using].cursor() as cursor:
        cursor.execute(RENEW, [conf.LEASE_SECONDS, *_columns(claims)])
        renewed = dict(cursor.fetchall())
    return [replace(claim, lease_until=renewed.get(claim.state, claim.lease_until)) for claim in claims]


def count(target: Target, claims: Iterable[Claim], attempts: int) -> None:
    """Add so many attempts, which may be fewer than none: without its attempt, a claim's end is blamed on nothing."""
    with connections[target.using].cursor() as cursor:
        cursor.execute(COUNT, [attempts, *_columns(claims)])


def release(target: Target, claims: Iterable[Claim], *, delay: float | None = None) -> None:
    """Give back what was claimed and not finished, for now or for after so many seconds.

    A claim that another worker took over is theirs.
    """
    claims = list(claims)
    if not claims:
        return
    with connections[target.using].cursor() as cursor:
        cursor.execute(RELEASE, [None if delay is None else min(delay, LONGEST_PAUSE), *_columns(claims)])


def _columns(claims: Iterable[Claim]) -> list[list[Any]]:
    """Parameters of STILL_HELD."""
    rows = [(claim.state, claim.generation, claim.lease_until) for claim in claims]
    return [list(column) for column in zip(*rows, strict=True)] or [[], [], []]


def _claim_by_rate(target: Target, size: int, lanes: Lanes) -> list[Claim]:
    """From one lane at a time. Workers take turns while they count what its rate still allows."""
    try:
        with brief_locks(target.using):
            rows = held(target, lock=True)
            for name in Lane.Name.values:
                lane, now = rows.get(name), timezone.now()
                most = size if lane is None else allowed(lane, now, size)
                if batch := _claim(target, most, lanes & open_lanes(rows) & {name}):
                    if lane is not None:
                        spend(lane, len(batch), now)
                    return batch
    except OperationalError as error:
        if not is_contention(error):
            raise
    return []


def _claim(target: Target, size: int, lanes: Lanes) -> list[Claim]:
    if not lanes:
        return []
    values = {"space": target.space, "size": size, "lease": conf.LEASE_SECONDS}
    with binding_cursor(target.using) as cursor:
        cursor.execute(CLAIM.format(lanes=CONDITIONS[lanes]), values)
        return [Claim(*row) for row in cursor.fetchall()]


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


# Ordered, so that two who drain the same objects meet in the same order. ARRAY: the inner queries must run once. Live
# ones first: they must not wait until millions that were loaded in bulk are drained.
TAKE = f"""
WITH live AS MATERIALIZED (SELECT ARRAY(
        SELECT id FROM {MARKS} WHERE space_id = %(space)s AND live LIMIT %(limit)s FOR UPDATE SKIP LOCKED) AS ids
), bulk AS MATERIALIZED (SELECT ARRAY(
        SELECT id FROM {MARKS} WHERE space_id = %(space)s AND NOT live
        LIMIT %(limit)s - (SELECT cardinality(ids) FROM live) FOR UPDATE SKIP LOCKED) AS ids
), taken AS (
    DELETE FROM {MARKS} WHERE id = ANY((SELECT ids FROM live) || (SELECT ids FROM bulk))
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

# A time further ahead than any that is ever set was written before the clock was set back, and holds nobody up.
LEASED = "(s.lease_until BETWEEN now() AND now() + 2 * %(lease)s * interval '1 second')"
PAUSED = f"(s.not_before > now() AND s.not_before <= now() + {LONGEST_PAUSE} * interval '1 second')"
CLAIMABLE = f"s.space_id = %(space)s AND s.status = 'pending' AND {LEASED} IS NOT TRUE AND {PAUSED} IS NOT TRUE"

CLAIM = f"""
WITH picked AS MATERIALIZED (
    SELECT id, attempts, live, changed_at FROM {STATES} AS s WHERE {CLAIMABLE} AND {{lanes}}
    ORDER BY live DESC, changed_at LIMIT %(size)s FOR UPDATE SKIP LOCKED
), seen AS (
    SELECT min(attempts) AS deaths FROM picked WHERE attempts > 0
), suspect AS (
    SELECT id FROM picked, seen WHERE attempts = deaths ORDER BY live DESC, changed_at
    LIMIT (SELECT GREATEST(%(size)s / 32 ^ deaths, 1)::int FROM seen)
)
UPDATE {STATES} SET attempts = attempts + 1, lease_until = now() + %(lease)s * interval '1 second'
WHERE id = ANY(ARRAY(SELECT id FROM suspect UNION ALL SELECT id FROM picked WHERE NOT EXISTS (SELECT FROM suspect)))
RETURNING id, object_id, generation, attempts, retries, lease_until
"""

# A claim that another worker took over has another lease; what changed has another generation, or ended.
STILL_HELD = """FROM unnest(%s::bigint[], %s::bigint[], %s::timestamptz[]) AS c(id, generation, lease_until)
WHERE s.id = c.id AND s.generation = c.generation AND s.lease_until = c.lease_until AND s.status = 'pending'
"""

RENEW = f"""
UPDATE {STATES} AS s SET lease_until = statement_timestamp() + %s * interval '1 second'
{STILL_HELD}
RETURNING s.id, s.lease_until
"""

COUNT = f"""
UPDATE {STATES} AS s SET attempts = GREATEST(s.attempts + %s, 0)
{STILL_HELD}
"""

RELEASE = f"""
UPDATE {STATES} AS s SET lease_until = NULL, attempts = GREATEST(s.attempts - 1, 0),
    not_before = now() + %s::float * interval '1 second'
{STILL_HELD}
"""

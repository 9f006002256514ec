"""How far indexing has come: every row is counted once."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from django.db import connections

from mmsearch_django.indexing.targets import MARKS, STATES, Target
from mmsearch_django.models import Space


@dataclass(frozen=True)
class Status:
    """Numbers of rows. ``pending`` holds the claimed, the marked and those without a state."""

    model: str
    field: str
    ready: int
    pending: int
    claimed: int
    failed: int
    skipped: int
    total: int
    errors: dict[str, int]
    """Failed rows by error class."""
    swept_at: datetime | None
    """When the verifying sweep last ran."""


def status(target: Target) -> Status:
    with connections[target.using].cursor() as cursor:
        cursor.execute(COUNTS.format(objects=target.object_table, key=target.key_column), {"space": target.space})
        rows = cursor.fetchall()
    counts: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    for kind, error_class, claimed, count in rows:
        counts[kind] += count
        counts["claimed"] += claimed
        if kind == "failed":
            errors[error_class] += count
    return Status(
        model=target.field.model._meta.label,
        field=target.field.name,
        **{kind: counts[kind] for kind in ("ready", "pending", "claimed", "failed", "skipped")},
        total=sum(row[-1] for row in rows),
        errors=dict(errors.most_common()),
        swept_at=Space.objects.using(target.using).values_list("swept_at", flat=True).get(pk=target.space),
    )


def claimable(target: Target) -> bool:
    """Whether a worker would find something to do now. Cheap."""
    with connections[target.using].cursor() as cursor:
        cursor.execute(CLAIMABLE, {"space": target.space})
        return bool(cursor.fetchone()[0])


def unfinished(target: Target) -> int:
    """Pending states and marks: what is known to be left, without looking at the rows."""
    with connections[target.using].cursor() as cursor:
        cursor.execute(UNFINISHED, {"space": target.space})
        return int(cursor.fetchone()[0])


def leased(target: Target) -> bool:
    """Whether a worker, perhaps a dead one, holds claims."""
    with connections[target.using].cursor() as cursor:
        cursor.execute(LEASED, {"space": target.space})
        return bool(cursor.fetchone()[0])


def workers(target: Target, seconds: int, lease: int) -> int:
    """How many workers claimed something in the last seconds: each claim of a batch has a time of its own."""
    with connections[target.using].cursor() as cursor:
        cursor.execute(WORKERS, {"space": target.space, "left": lease - seconds})
        return int(cursor.fetchone()[0])


COUNTS = f"""
WITH marked AS MATERIALIZED (SELECT DISTINCT object_id FROM {MARKS} WHERE space_id = %(space)s),
everything AS MATERIALIZED (SELECT EXISTS (SELECT FROM marked WHERE object_id IS NULL) AS marked)
SELECT CASE WHEN s.id IS NULL OR m.object_id IS NOT NULL OR e.marked THEN 'pending' ELSE s.status END AS kind,
       s.error_class, count(*) FILTER (WHERE s.status = 'pending' AND s.lease_until > now()), count(*)
FROM {{objects}} AS o
CROSS JOIN everything AS e
LEFT JOIN {STATES} AS s ON s.space_id = %(space)s AND s.object_id = o.{{key}}::text
LEFT JOIN marked AS m ON m.object_id = o.{{key}}::text
GROUP BY 1, 2
"""

CLAIMABLE = f"""
SELECT EXISTS (SELECT FROM {MARKS} WHERE space_id = %(space)s) OR EXISTS (
    SELECT FROM {STATES} WHERE space_id = %(space)s AND status = 'pending'
      AND (lease_until IS NULL OR lease_until < now()) AND (not_before IS NULL OR not_before <= now()))
"""

UNFINISHED = f"""
SELECT (SELECT count(*) FROM {STATES} WHERE space_id = %(space)s AND status = 'pending')
     + (SELECT count(*) FROM {MARKS} WHERE space_id = %(space)s)
"""

LEASED = f"""
SELECT EXISTS (SELECT FROM {STATES} WHERE space_id = %(space)s AND status = 'pending' AND lease_until >= now())
"""

WORKERS = f"""
SELECT count(DISTINCT lease_until) FROM {STATES}
WHERE space_id = %(space)s AND status = 'pending' AND lease_until > now() + %(left)s * interval '1 second'
"""

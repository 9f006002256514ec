"""How far indexing has come: every row is counted once."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connections, models
from django.db.models.functions import Cast

from mmsearch_django.conf import conf
from mmsearch_django.fields import EmbeddingField, embedding_fields, replacement, searched_fields
from mmsearch_django.indexing.claims import CLAIMABLE, LEASED
from mmsearch_django.indexing.lanes import BOTH, CONDITIONS, Lanes, held, open_lanes, reason
from mmsearch_django.indexing.switch import served_name
from mmsearch_django.indexing.targets import MARKS, SPACES, STATES, Target
from mmsearch_django.models import Lane, Mark, Space, State

LATE_SECONDS = 600
"""A sweep that has not run for so long has stopped."""
WINDOW_SECONDS = 300
"""Throughput is that of the last minutes."""
AGES = {"under a minute": 60, "under an hour": 3600, "under a day": 86400, "older": None}
"""How long rows have been pending, each with its limit in seconds."""


@dataclass(frozen=True)
class Status:
    """Numbers of rows. ``pending`` holds the claimed, the marked and those without a state.

    ``stale`` are found by vectors of a former preprocessing version, and not counted apart.
    """

    model: str
    field: str
    ready: int
    stale: int
    pending: int
    claimed: int
    failed: int
    skipped: int
    total: int
    ages: dict[str, int]
    """Pending rows by how long they have been so; "unseen" are those that no mark or state tells of yet."""
    errors: dict[str, int]
    """Failed rows by error class."""
    per_minute: float
    """Rows brought to an end in each of the last minutes in which any was."""
    signature: str
    """What made the vectors; empty before the first."""
    serves: str
    """The name by which searches ask it; empty while another field serves. See ``mmsearch_switch``."""
    floors: dict[str, Any]
    """Calibrations by kind of query, as learnt from this library; empty while the shipped ones serve."""
    swept_at: datetime | None
    """When the verifying sweep last ran."""
    held: dict[str, str]
    """What operators hold back, by lane ("live", "backfill"), in words such as "paused" or "600 a minute"."""

    @property
    def seconds_left(self) -> float | None:
        """Until nothing is pending, at the present rate; None while nothing moves."""
        if not self.pending:
            return 0.0
        return 60 * self.pending / self.per_minute if self.per_minute else None


def status(target: Target) -> Status:
    with connections[target.using].cursor() as cursor:
        parameters: dict[str, Any] = {
            "space": target.space,
            "window": WINDOW_SECONDS,
            "lease": conf.LEASE_SECONDS,
            "ages": [a for a in AGES.values() if a],
        }
        cursor.execute(COUNTS.format(objects=target.object_table, key=target.key_column), parameters)
        rows = cursor.fetchall()
    counts: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    ages: Counter[str] = Counter()
    for kind, error_class, age, claimed, count, ended, _first in rows:
        counts.update({kind: count, "claimed": claimed, "ended": ended, "total": count})
        if kind == "failed":
            errors[error_class] += count
        if kind == "pending":
            ages["unseen" if age is None else list(AGES)[age]] += count
    seconds = max((row[-1] for row in rows if row[-1] is not None), default=0.0)
    space = Space.objects.using(target.using).get(pk=target.space)
    return Status(
        model=target.field.model._meta.label,
        field=target.field.name,
        **{kind: counts[kind] for kind in ("ready", "pending", "claimed", "failed", "skipped", "total")},
        stale=target.stale.count(),
        ages={age: ages[age] for age in (*AGES, "unseen") if ages[age]},
        errors=dict(errors.most_common()),
        per_minute=60 * counts["ended"] / max(float(seconds), 60.0),
        signature=space.signature,
        serves=served_name(target),
        floors=space.floors,
        swept_at=space.swept_at,
        held=held_back(target),
    )


def held_back(target: Target) -> dict[str, str]:
    """What operators hold back, by lane."""
    return {name: words for name, lane in held(target).items() if (words := reason(lane))}


def claimable(target: Target, lanes: Lanes = BOTH, *, heed_rates: bool = True) -> bool:
    """Whether a worker would find something to do now, or would without rates. Cheap."""
    lanes &= open_lanes(held(target), heed_rates=heed_rates)
    with connections[target.using].cursor() as cursor:
        cursor.execute(
            ANY_CLAIMABLE.format(lanes=CONDITIONS[lanes]), {"space": target.space, "lease": conf.LEASE_SECONDS}
        )
        return bool(cursor.fetchone()[0])


def unfinished(target: Target) -> int:
    """Pending states and marks: what is known to be left, without looking at the rows."""
    with connections[target.using].cursor() as cursor:
        cursor.execute(UNFINISHED, {"space": target.space})
        return int(cursor.fetchone()[0])


def leased(target: Target) -> bool:
    """Whether a worker, perhaps a dead one, holds claims."""
    with connections[target.using].cursor() as cursor:
        cursor.execute(ANY_LEASED, {"space": target.space, "lease": conf.LEASE_SECONDS})
        return bool(cursor.fetchone()[0])


def workers(target: Target, seconds: int) -> int:
    """How many workers claimed or renewed something in the last seconds, by the times of their leases.

    One that holds two batches counts twice, until it renews them.
    """
    with connections[target.using].cursor() as cursor:
        cursor.execute(WORKERS, {"space": target.space, "lease": conf.LEASE_SECONDS, "seconds": seconds})
        return int(cursor.fetchone()[0])


COUNTS = f"""
WITH marked AS MATERIALIZED (
    SELECT object_id, min(marked_at) AS marked_at FROM {MARKS} WHERE space_id = %(space)s GROUP BY object_id
), everything AS MATERIALIZED (SELECT min(marked_at) AS marked_at FROM marked WHERE object_id IS NULL)
SELECT CASE WHEN s.id IS NULL OR m.object_id IS NOT NULL OR e.marked_at IS NOT NULL THEN 'pending'
            ELSE s.status END AS kind,
       s.error_class,
       width_bucket(extract(epoch FROM now() - COALESCE(m.marked_at, e.marked_at, s.changed_at)), %(ages)s) AS age,
       count(*) FILTER (WHERE s.status = 'pending' AND {LEASED}),
       count(*),
       count(*) FILTER (WHERE s.finished_at > now() - %(window)s * interval '1 second'),
       extract(epoch FROM now() - min(s.finished_at)
           FILTER (WHERE s.finished_at > now() - %(window)s * interval '1 second'))
FROM {{objects}} AS o
CROSS JOIN everything AS e
LEFT JOIN {STATES} AS s ON s.space_id = %(space)s AND s.object_id = o.{{key}}::text
LEFT JOIN marked AS m ON m.object_id = o.{{key}}::text
GROUP BY 1, 2, 3
"""

ANY_CLAIMABLE = f"""
SELECT EXISTS (SELECT FROM {MARKS} WHERE space_id = %(space)s AND {{lanes}})
    OR EXISTS (SELECT FROM {STATES} AS s WHERE {CLAIMABLE} AND {{lanes}})
"""

UNFINISHED = f"""
SELECT (SELECT count(*) FROM {STATES} WHERE space_id = %(space)s AND status = 'pending')
     + (SELECT count(*) FROM {MARKS} WHERE space_id = %(space)s)
"""

ANY_LEASED = f"""
SELECT EXISTS (SELECT FROM {STATES} AS s WHERE space_id = %(space)s AND status = 'pending' AND {LEASED})
"""

WORKERS = f"""
SELECT count(DISTINCT lease_until) FROM {STATES} AS s
WHERE space_id = %(space)s AND status = 'pending' AND {LEASED}
  AND lease_until > now() + (%(lease)s - %(seconds)s) * interval '1 second'
"""


# Of single objects, for the pages that show them


@dataclass(frozen=True)
class ObjectState:
    """How far one field of an object has come."""

    field: str
    status: str
    error_class: str = ""
    message: str = ""


def of_objects(model: type[models.Model], keys: Iterable[Any], using: str) -> dict[str, list[ObjectState]]:
    """The states of these objects in what serves, by their key as text.

    What has none, or was just written, is pending.
    """
    keys = [str(key) for key in keys]
    if not keys or not embedding_fields(model):
        return {}
    asked, parameters = _spaces(model).using(using).query.sql_with_params()
    with connections[using].cursor() as cursor:
        cursor.execute(OF_OBJECTS.format(spaces=asked), [*parameters, keys])
        found: dict[str, list[ObjectState]] = {}
        for key, *state in cursor.fetchall():
            found.setdefault(key, []).append(ObjectState(*state))
    return found


def held_fields(model: type[models.Model], using: str) -> dict[str, str]:
    """What operators hold back of the model, by field, also of those that are yet to serve."""
    fields = embedding_fields(model).values()
    spaces = models.Q(pk__in=[])
    for field in fields:
        spaces |= models.Q(space__model=field.model._meta.label_lower, space__field=field.name)
    found: dict[str, list[str]] = {}
    for lane in Lane.objects.using(using).filter(spaces).select_related("space").order_by("space", "name"):
        if words := reason(lane):
            found.setdefault(lane.space.field, []).append(f"{lane.name} {words}")
    return {name: "; ".join(lanes) for name, lanes in found.items()}


def failed(model: type[models.Model]) -> models.Exists:
    """A condition on rows of the model: some field could not be embedded, and nobody has asked again since."""
    marks = Mark.objects.filter(
        models.Q(object_id=models.OuterRef("object_id")) | models.Q(object_id=None), space=models.OuterRef("space")
    )
    return models.Exists(_of_row(State, model).filter(~models.Exists(marks), status=State.Status.FAILED))


def waiting(model: type[models.Model]) -> models.Q:
    """A condition on rows of the model: some field is not finished, or was just written."""
    everything = Mark.objects.filter(space__in=_spaces(model), object_id=None)
    unfinished: Any = models.Exists(_of_row(Mark, model)) | models.Exists(everything)
    for name in searched_fields(model):
        done = _of_row(State, model, name).exclude(status=State.Status.PENDING)
        unfinished |= ~models.Exists(done)
    condition: models.Q = unfinished
    return condition


def _of_row(table: type[Mark | State], model: type[models.Model], name: str | None = None) -> "models.QuerySet[Any]":
    """Marks or states of one row of the model, by one of its fields or all."""
    key = Cast(models.OuterRef("pk"), models.TextField())
    return table._base_manager.filter(space__in=_spaces(model, name), object_id=key)


def _spaces(model: type[models.Model], name: str | None = None) -> "models.QuerySet[Any, Any]":
    """The spaces of what serves for the names of the model's fields, or for one of them."""
    spaces = models.Q()
    for field in searched_fields(model).values():
        if name in (None, field.name):
            spaces |= _serving(field)
    return Space.objects.filter(spaces).values("pk")


def _serving(field: EmbeddingField) -> models.Q:
    label, other = field.model._meta.label_lower, replacement(field)
    itself = models.Q(model=label, field=field.name)
    if other is None:
        return itself
    instead = models.Q(model=label, field=other.name, serves=True)
    return instead | itself & ~models.Q(models.Exists(Space.objects.filter(instead)))


OF_OBJECTS = f"""
SELECT key, space.field, CASE WHEN s.id IS NULL OR EXISTS (
           SELECT FROM {MARKS} AS m WHERE m.space_id = space.id AND (m.object_id = key OR m.object_id IS NULL)
       ) THEN 'pending' ELSE s.status END, coalesce(s.error_class, ''), coalesce(s.message, '')
FROM (SELECT * FROM {SPACES} WHERE id IN ({{spaces}})) AS space
CROSS JOIN unnest(%s::text[]) AS key
LEFT JOIN {STATES} AS s ON s.space_id = space.id AND s.object_id = key
ORDER BY space.id, key
"""

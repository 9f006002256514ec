"""How far indexing has come: every row is counted once."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connections, models
from django.db.models.functions import Cast

from mmsearch_django.fields import embedding_fields
from mmsearch_django.indexing.targets import MARKS, SPACES, STATES, Target
from mmsearch_django.models import Mark, Space, State


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
        stale=target.stale.count(),
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


# Of single objects, for the pages that show them


@dataclass(frozen=True)
class ObjectState:
    """How far one field of an object has come."""

    field: str
    status: str
    error_class: str = ""
    message: str = ""


def of_objects(model: type[models.Model], keys: Iterable[Any], using: str) -> dict[str, list[ObjectState]]:
    """The states of these objects by their key as text; what has none, or was just written, is pending."""
    spaces = [(field.model._meta.label_lower, field.name) for field in embedding_fields(model).values()]
    keys = [str(key) for key in keys]
    if not keys or not spaces:
        return {}
    models_, fields = map(list, zip(*spaces, strict=True))
    with connections[using].cursor() as cursor:
        cursor.execute(OF_OBJECTS, {"models": models_, "fields": fields, "keys": keys})
        found: dict[str, list[ObjectState]] = {}
        for key, *state in cursor.fetchall():
            found.setdefault(key, []).append(ObjectState(*state))
    return found


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
    for name in embedding_fields(model):
        done = _of_row(State, model, name).exclude(status=State.Status.PENDING)
        unfinished |= ~models.Exists(done)
    condition: models.Q = unfinished
    return condition


def _of_row(table: type[Mark | State], model: type[models.Model], name: str | None = None) -> "models.QuerySet[Any]":
    """Marks or states of one row of the model, by one of its fields or all."""
    key = Cast(models.OuterRef("pk"), models.TextField())
    return table._base_manager.filter(space__in=_spaces(model, name), object_id=key)


def _spaces(model: type[models.Model], name: str | None = None) -> "models.QuerySet[Any, Any]":
    fields = [field for field in embedding_fields(model).values() if name in (None, field.name)]
    spaces = models.Q()
    for field in fields:
        spaces |= models.Q(model=field.model._meta.label_lower, field=field.name)
    return Space.objects.filter(spaces).values("pk")


OF_OBJECTS = f"""
SELECT key, space.field, CASE WHEN s.id IS NULL OR EXISTS (
           SELECT FROM {MARKS} AS m WHERE m.space_id = space.id AND (m.object_id = key OR m.object_id IS NULL)
       ) THEN 'pending' ELSE s.status END, coalesce(s.error_class, ''), coalesce(s.message, '')
FROM unnest(%(models)s::text[], %(fields)s::text[]) AS asked (model, field)
JOIN {SPACES} AS space ON space.model = asked.model AND space.field = asked.field
CROSS JOIN unnest(%(keys)s::text[]) AS key
LEFT JOIN {STATES} AS s ON s.space_id = space.id AND s.object_id = key
ORDER BY space.id, key
"""

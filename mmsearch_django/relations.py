"""Paths: values that a model's rows reach over relations, such as ``tags__name``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.core.exceptions import FieldError
from django.db import models
from django.db.models.constants import LOOKUP_SEP
from django.db.models.sql import Query

from mmsearch_django.exceptions import ConfigurationError


@dataclass(frozen=True)
class Hop:
    """One join on the way: its ``far`` column equals the ``near`` one of the table before."""

    near: str
    model: type[models.Model]
    far: str


@dataclass(frozen=True)
class Path:
    """A column behind one or more relations of ``model``."""

    model: type[models.Model]
    name: str
    hops: tuple[Hop, ...]
    column: "models.Field[Any, Any]"
    many: bool
    """Whether one row may reach several values."""

    @property
    def attribute(self) -> str:
        """Where a loaded row keeps its values."""
        return f"mm_{self.name}"

    @property
    def relation(self) -> str:
        """The path without its column."""
        return self.name.rpartition(LOOKUP_SEP)[0]

    def array(self, value: models.Expression | models.F | None = None) -> ArraySubquery:
        """All values of one row in SQL, in the order of the related rows' keys."""
        rows = self.model._base_manager.filter(pk=models.OuterRef("pk")).order_by(f"{self.relation}__pk")
        return ArraySubquery(rows.values_list(value or models.F(self.name)))

    def values(self, instance: models.Model) -> Sequence[Any]:
        """The same of a loaded row, which asks the database only if it was loaded without them."""
        if self.attribute in vars(instance):
            loaded: Sequence[Any] = vars(instance)[self.attribute]
            return loaded
        rows = self.model._base_manager.using(instance._state.db).filter(pk=instance.pk)
        return list(rows.order_by(f"{self.relation}__pk").values_list(self.name, flat=True))


def path(model: type[models.Model], name: str) -> Path:
    """The path of that name. Raises ConfigurationError unless each step is a relation by one column, and the last a
    column."""
    try:
        steps, column, _, rest = Query(model).names_to_path(name.split(LOOKUP_SEP), model._meta, fail_on_missing=True)
    except FieldError as error:
        raise ConfigurationError(f"{model._meta.label} has no {name!r}: {error}") from None
    if rest or not isinstance(column, models.Field) or not column.concrete or column.is_relation:
        raise ConfigurationError(f"{model._meta.label}: {name!r} ends in no column. Name one, as in 'tags__name'.")
    hops = []
    for step in steps:
        pairs = [(near.column, far.column) for near, far in step.join_field.get_joining_fields()]
        if len(pairs) != 1:
            raise ConfigurationError(f"{model._meta.label}: {name!r} joins by several columns; one can be watched.")
        [(near, far)] = pairs
        hops.append(Hop(near, step.to_opts.model, far))
    return Path(model, name, tuple(hops), column, any(step.m2m for step in steps))

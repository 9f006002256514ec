"""What is watched for each embedding field: its object's own table, those of its parents, and related ones."""

from collections.abc import Iterable, Mapping

from django.db import models

from mmsearch_django.exceptions import ConfigurationError
from mmsearch_django.fields import EmbeddingField
from mmsearch_django.models import Mark, State
from mmsearch_django.triggers.functions import Table, Watch
from mmsearch_django.triggers.names import column_of, objects_of, quote
from mmsearch_django.triggers.related import related_models, routes


def watched_tables(spaces: Iterable[tuple[EmbeddingField, int]], names: Mapping[str, tuple[str, str]]) -> list[Table]:
    """The tables to watch for these fields, each with its space's id.

    ``names`` maps declared table names to schema and name of those that exist.
    """
    watches: dict[type[models.Model], list[Watch]] = {}
    for field, space in sorted(spaces, key=lambda served: served[1]):
        for model, columns in watched_columns(field).items():
            watches.setdefault(model, []).append(Watch(space, tuple(columns), objects=model is objects_of(field)))
        for model, route, related in routes(field, names):
            watches.setdefault(model, []).append(Watch(space, related, route=route))
    mark, state = (quote(*names[model._meta.db_table]) for model in (Mark, State))
    return [
        Table(*names[model._meta.db_table], column_of(model), tuple(found), mark, state)
        for model, found in watches.items()
        if model._meta.db_table in names
    ]


def watched_models(field: EmbeddingField) -> list[type[models.Model]]:
    """All whose tables hold something that the field reads; none if its declaration is wrong, which a check reports."""
    try:
        return list(dict.fromkeys([*watched_columns(field), *related_models(field)]))
    except ConfigurationError:
        return []


def watched_columns(field: EmbeddingField) -> dict[type[models.Model], list[str]]:
    """The tables that hold what the field reads of an object itself, each with the columns; its own table always."""
    model = objects_of(field)
    found: dict[type[models.Model], list[str]] = {model: []}
    for column in field.source.columns(field.model):
        holder = column.model
        if not _shares_key(model, holder):
            raise ConfigurationError(
                f"{field.label} reads {column.name}, which is a column of {holder._meta.label}; only columns of the "
                f"model and of parents that share its primary key can be watched."
            )
        found.setdefault(holder, []).append(str(column.column))
    links = (path.hops[0].near for path in field.source.paths(field.model))
    found[model] += [link for link in links if link != column_of(model)]
    return {model: sorted(set(columns)) for model, columns in found.items()}


def _shares_key(model: type[models.Model], parent: type[models.Model]) -> bool:
    while model is not parent:
        key = model._meta.pk
        if not isinstance(key, models.OneToOneField) or not key.remote_field.parent_link:
            return False
        model = key.remote_field.model
    return True

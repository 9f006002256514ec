"""Names in SQL."""

from django.db import models
from psycopg import sql

from mmsearch_django.fields import EmbeddingField


def quote(*names: str) -> str:
    """A qualified name as SQL."""
    return sql.Identifier(*names).as_string(None)


def literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def objects_of(field: EmbeddingField) -> type[models.Model]:
    """The model whose table holds the objects; a proxy's is that of its concrete model."""
    return field.model._meta.concrete_model or field.model


def column_of(model: type[models.Model]) -> str:
    """The column of the primary key."""
    return str(model._meta.pk.column)

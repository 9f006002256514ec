"""Digests of the watched columns, computed in SQL so that they cost no transfer and belong to what was read."""

from collections.abc import Iterable
from typing import Any

from django.db import connections, models
from django.db.models.functions import Cast

from mmsearch_django.relations import Path

TEXT_TYPES = ("char", "varchar", "text", "citext")


def fingerprint(columns: Iterable["models.Field[Any, Any]"], paths: Iterable[Path], using: str) -> models.Func:
    """sha256 of the columns' binary form, which depends neither on TimeZone nor on DateStyle.

    The binary form of a row holds the types of its columns; texts are cast, so that a longer varchar changes nothing.
    """
    return models.Func(
        *(_comparable(column, column.attname, using) for column in columns),
        *(path.array(_comparable(path.column, path.name, using)) for path in paths),
        template="sha256(record_send(ROW(%(expressions)s)))",
        output_field=models.BinaryField(),
    )


def _comparable(column: "models.Field[Any, Any]", name: str, using: str) -> Cast | models.F:
    kind = column.db_type(connections[using]) or ""
    return Cast(name, models.TextField()) if kind.startswith(TEXT_TYPES) else models.F(name)

"""What indexing works on: one embedding field in one database."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.db import connections, models, router
from django.db.models.expressions import RawSQL
from django.db.models.functions import Cast

from mmsearch_django.exceptions import ConfigurationError
from mmsearch_django.fields import EmbeddingField, Vector, all_embedding_fields, embedding_fields
from mmsearch_django.indexing.fingerprints import fingerprint
from mmsearch_django.models import Mark, Space, State
from mmsearch_django.triggers.names import column_of, objects_of, quote

MARKS, STATES, SPACES = (quote(model._meta.db_table) for model in (Mark, State, Space))


@dataclass(frozen=True)
class Target:
    field: EmbeddingField
    using: str
    space: int

    def __str__(self) -> str:
        return self.field.label

    @property
    def states(self) -> "models.QuerySet[State]":
        return State.objects.using(self.using).filter(space=self.space)

    @property
    def vectors(self) -> "models.QuerySet[Vector]":
        return self.field.vectors._base_manager.using(self.using)

    @property
    def stale(self) -> "models.QuerySet[Vector]":
        """Vectors of this embedder by another version of its preprocessing."""
        embedder = self.field.embedder
        return self.vectors.filter(signature=embedder.signature.short).exclude(preprocessing=embedder.preprocessing)

    @property
    def signature(self) -> str:
        """What made its vectors, as its space records it; empty before the first."""
        return Space.objects.using(self.using).values_list("signature", flat=True).get(pk=self.space)

    @property
    def vector_table(self) -> str:
        return self._quoted(self.field.vectors)

    @property
    def object_table(self) -> str:
        return self._quoted(objects_of(self.field))

    @property
    def key_column(self) -> str:
        """The objects' primary key in ``object_table``."""
        return quote(column_of(objects_of(self.field)))

    @property
    def key_type(self) -> str:
        """Its type in SQL."""
        return str(objects_of(self.field)._meta.pk.rel_db_type(connections[self.using]))

    def rows(self) -> "models.QuerySet[Any]":
        """All objects, whatever the model's managers hide, each with its key as text and its fingerprint."""
        model, source = self.field.model, self.field.source
        paths = source.paths(model)
        # Not by its base manager, which may be one that hides rows, too (Meta.base_manager_name).
        everything: models.QuerySet[Any] = models.QuerySet(model).using(self.using)
        rows: models.QuerySet[Any] = everything.annotate(
            mm_key=Cast("pk", models.TextField()),
            mm_fingerprint=fingerprint(source.columns(model), paths, self.using),
            # In the same statement, so that what is embedded is what the fingerprint stands for.
            **{path.attribute: path.array() for path in paths},
        )
        return rows

    def rows_of(self, keys: Iterable[str]) -> "models.QuerySet[Any]":
        # One array rather than a parameter for each: Django takes its time over thousands.
        texts = [key for key in keys if self.parse_one(key) is not None]
        return self.rows().filter(
            pk__in=RawSQL(f"SELECT key::{self.key_type} FROM unnest(%s::text[]) AS k(key)", [texts])
        )

    def parse(self, keys: Iterable[str]) -> list[Any]:
        """Primary keys from their text. A text that is none (the key's type was changed) names no object."""
        parsed = (self.parse_one(key) for key in keys)
        return [key for key in parsed if key is not None]

    def parse_one(self, key: str) -> Any:
        try:
            return objects_of(self.field)._meta.pk.to_python(key)
        except (ValidationError, ValueError):
            return None

    def _quoted(self, model: type[models.Model]) -> str:
        return connections[self.using].ops.quote_name(model._meta.db_table)


def migrated_dimensions(field: EmbeddingField, using: str) -> int | None:
    """Those of the column in the database; None if its table is not there."""
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT atttypmod FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attname = 'vector'",
            [connections[using].ops.quote_name(field.vectors._meta.db_table)],
        )
        row = cursor.fetchone()
    return row and int(row[0])


def target(field: EmbeddingField, using: str | None = None) -> Target:
    """The field in the given database, or in the one that the model is written to."""
    using = using or router.db_for_write(field.model)
    rows = Space.objects.using(using).filter(model=field.model._meta.label_lower, field=field.name)
    space = rows.values_list("pk", flat=True).first()
    if space is None:
        raise ConfigurationError(
            f"{field.label} has no space in database '{using}'. Run 'manage.py migrate --database {using}'; "
            f"if its migrations are applied, 'manage.py mmsearch_triggers --database {using}'."
        )
    return Target(field, using, int(space))


def targets(model: type[models.Model] | None = None, using: str | None = None) -> list[Target]:
    """One for each embedding field of the model, or of the project."""
    fields = all_embedding_fields() if model is None else embedding_fields(model).values()
    return [target(field, using) for field in fields]

"""What each watched table should carry: the SQL of its trigger functions and triggers.

The functions only append marks. They must never break the site's write: fixed search_path, qualified names, a guard
that returns when a column or our table is gone, comparisons that cannot raise. They have no exception block, which
would lose marks in silence.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from textwrap import indent

from django.db import models
from django.db.backends.utils import truncate_name
from psycopg import sql

from mmsearch_django.exceptions import ConfigurationError
from mmsearch_django.fields import IDENTIFIER_BYTES, EmbeddingField
from mmsearch_django.models import Mark

PREFIX = "mmsearch_"
COMMENT = "mmsearch_django "
"""Begins the comment of all that is ours; a digest of the definition follows."""
LIVE_ROWS = 1000
"""A statement of more rows than this is a bulk load, and waits behind the writes of people."""
STATIC_ROWS = 50
"""Above, the statement is planned anew: PL/pgSQL keeps the plan that it made for one row, and a nested loop over
thousands is quadratic."""


def quote(*names: str) -> str:
    """A qualified name as SQL."""
    return sql.Identifier(*names).as_string(None)


def literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


@dataclass(frozen=True)
class Operation:
    """One kind of statement that writes. ``code`` is its pg_trigger.tgtype."""

    name: str
    code: int
    old: str | None = None
    new: str | None = None

    @property
    def referencing(self) -> str:
        tables = [f"{age} TABLE AS {name}" for age, name in (("OLD", self.old), ("NEW", self.new)) if name]
        return f" REFERENCING {' '.join(tables)}" if tables else ""


INSERT = Operation("insert", 4, new="new_rows")
UPDATE = Operation("update", 16, old="old_rows", new="new_rows")
DELETE = Operation("delete", 8, old="old_rows")
TRUNCATE = Operation("truncate", 32)
OPERATIONS = (INSERT, UPDATE, DELETE, TRUNCATE)


def function_name(table: str, operation: Operation) -> str:
    return truncate_name(f"{PREFIX}{operation.name}_{table}", IDENTIFIER_BYTES)


@dataclass(frozen=True)
class Watch:
    """What one space watches in one table."""

    space: int
    columns: tuple[str, ...]
    """Compared on update."""
    objects: bool
    """Whether the table's rows are the objects; otherwise it is a parent's, which only holds columns of theirs."""


@dataclass(frozen=True)
class Table:
    """A watched table, qualified, and what is watched in it."""

    schema: str
    name: str
    key: str
    watches: tuple[Watch, ...]
    mark: str
    """The qualified name of the table of marks."""

    @property
    def functions(self) -> list["Function"]:
        whole = any(watch.objects for watch in self.watches)
        return [Function(self, operation) for operation in (OPERATIONS if whole else (UPDATE,))]


@dataclass(frozen=True)
class Function:
    """A trigger function and the trigger that calls it: one for each table and operation."""

    table: Table
    operation: Operation

    @property
    def name(self) -> str:
        return function_name(self.table.name, self.operation)

    @property
    def trigger(self) -> str:
        return PREFIX + self.operation.name

    @property
    def on(self) -> str:
        return quote(self.table.schema, self.table.name)

    @property
    def signature(self) -> str:
        return f"{quote(self.table.schema, self.name)}()"

    @property
    def watches(self) -> list[Watch]:
        """Those whose objects this operation can change."""
        return [watch for watch in self.table.watches if watch.objects or self.operation is UPDATE]

    @cached_property
    def source(self) -> str:
        """The function's body."""
        return f"\nBEGIN\n{indent(self._guard + self._marking, '    ')}    RETURN NULL;\nEND\n"

    @property
    def create(self) -> str:
        return (
            f"CREATE OR REPLACE FUNCTION {self.signature} RETURNS trigger\n"
            f"LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp\n"
            f"AS $mmsearch${self.source}$mmsearch$"
        )

    @property
    def comment(self) -> str:
        return COMMENT + sha256(self.create.encode()).hexdigest()[:16]

    @property
    def create_function(self) -> list[str]:
        return [
            self.create,
            f"REVOKE ALL ON FUNCTION {self.signature} FROM PUBLIC",
            f"COMMENT ON FUNCTION {self.signature} IS {literal(self.comment)}",
        ]

    @property
    def create_trigger(self) -> str:
        return (
            f"CREATE OR REPLACE TRIGGER {self.trigger} AFTER {self.operation.name.upper()} ON {self.on}"
            f"{self.operation.referencing} FOR EACH STATEMENT EXECUTE FUNCTION {self.signature}"
        )

    @property
    def enable_trigger(self) -> str:
        return f"ALTER TABLE {self.on} ENABLE TRIGGER {self.trigger}"

    @property
    def _guard(self) -> str:
        columns = {self.table.key} if self.operation is not TRUNCATE else set()
        if self.operation is UPDATE:
            columns.update(column for watch in self.watches for column in watch.columns)
        needed = f"attrelid = to_regclass({literal(self.table.mark)}) AND attname IN ('space_id', 'object_id', 'live')"
        if columns:
            names = ", ".join(map(literal, sorted(columns)))
            needed += f"\n        OR attrelid = TG_RELID AND attname IN ({names})"
        return (
            f"IF (SELECT count(*) FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped AND (\n"
            f"        {needed})) <> {3 + len(columns)} THEN\n    RETURN NULL;\nEND IF;\n"
        )

    @property
    def _marking(self) -> str:
        if self.operation is TRUNCATE:
            return self._insert("s.space, NULL, false", f"(VALUES {self._spaces}) AS s(space)")
        if self.operation is UPDATE:
            return self._marking_updates()
        rows = self.operation.new or self.operation.old
        key = quote(self.table.key)
        return self._insert(
            f"s.space, r.{key}::text, {self._live(rows)}",
            f"{rows} AS r CROSS JOIN (VALUES {self._spaces}) AS s(space)",
        )

    def _marking_updates(self) -> str:
        key = quote(self.table.key)
        cases = ",\n    ".join(f"({watch.space}, {self._changed(watch)})" for watch in self.watches)
        insert = self._insert(
            f"s.space, COALESCE(n.{key}, o.{key})::text, {self._live('new_rows')}",
            f"old_rows AS o FULL JOIN new_rows AS n ON o.{key} = n.{key}\n"
            f"CROSS JOIN LATERAL (VALUES\n    {cases}) AS s(space, changed)\nWHERE s.changed",
        )
        few = f"(SELECT count(*) FROM (SELECT FROM new_rows LIMIT {STATIC_ROWS + 1}) AS few) <= {STATIC_ROWS}"
        return f"IF {few} THEN\n{indent(insert, '    ')}ELSE\n    EXECUTE $mark${insert[:-2]}$mark$;\nEND IF;\n"

    def _changed(self, watch: Watch) -> str:
        """A changed key marks the old object and the new one; only this comparison works for every type."""
        key = quote(self.table.key)
        changed = f"o.{key} IS NULL OR n.{key} IS NULL"
        if not watch.columns:
            return changed
        old, new = (", ".join(f"{row}.{quote(column)}" for column in watch.columns) for row in "on")
        return f"{changed} OR record_image_ne(ROW({old}), ROW({new}))"

    def _insert(self, values: str, rows: str) -> str:
        return f"INSERT INTO {self.table.mark} (space_id, object_id, live)\nSELECT {values}\nFROM {rows};\n"

    @property
    def _spaces(self) -> str:
        return ", ".join(f"({watch.space})" for watch in self.watches)

    def _live(self, rows: str | None) -> str:
        return f"(SELECT count(*) FROM (SELECT FROM {rows} LIMIT {LIVE_ROWS + 1}) AS few) <= {LIVE_ROWS}"


def watched_tables(spaces: Iterable[tuple[EmbeddingField, int]], names: Mapping[str, tuple[str, str]]) -> list[Table]:
    """The tables to watch for these fields, each with its space's id.

    ``names`` maps declared table names to schema and name of those that exist.
    """
    watches: dict[type[models.Model], list[Watch]] = {}
    for field, space in spaces:
        for model, columns in watched_columns(field).items():
            watches.setdefault(model, []).append(Watch(space, tuple(columns), objects=model is objects_of(field)))
    mark = quote(*names[Mark._meta.db_table])
    return [
        Table(*names[model._meta.db_table], column_of(model), tuple(sorted(found, key=lambda watch: watch.space)), mark)
        for model, found in watches.items()
        if model._meta.db_table in names
    ]


def watched_columns(field: EmbeddingField) -> dict[type[models.Model], list[str]]:
    """The models whose tables hold what the field reads, each with the columns; the objects' own table always."""
    model = objects_of(field)
    found: dict[type[models.Model], list[str]] = {model: []}
    for column in field.source.columns(field.model):
        holder = column.model
        if not _shares_key(model, holder):
            raise ConfigurationError(
                f"{field.label} reads {column.name}, which is a column of {holder._meta.label}; only columns of the "
                f"model and of parents that share its primary key can be watched."
            )
        if str(column.column) not in found.setdefault(holder, []):
            found[holder].append(str(column.column))
    return {model: sorted(columns) for model, columns in found.items()}


def objects_of(field: EmbeddingField) -> type[models.Model]:
    """The model whose table holds the objects; a proxy's is that of its concrete model."""
    return field.model._meta.concrete_model or field.model


def column_of(model: type[models.Model]) -> str:
    """The column of the primary key."""
    return str(model._meta.pk.column)


def _shares_key(model: type[models.Model], parent: type[models.Model]) -> bool:
    while model is not parent:
        key = model._meta.pk
        if not isinstance(key, models.OneToOneField) or not key.remote_field.parent_link:
            return False
        model = key.remote_field.model
    return True

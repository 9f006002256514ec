"""What each watched table should carry: the SQL of its trigger functions and triggers.

The functions only append marks. They must never break the site's write: fixed search_path, qualified names, a guard
that returns when a column or our table is gone, comparisons that cannot raise. They have no exception block, which
would lose marks in silence.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from textwrap import indent

from django.db.backends.utils import truncate_name

from mmsearch_django.fields import IDENTIFIER_BYTES
from mmsearch_django.triggers.names import literal, quote
from mmsearch_django.triggers.related import Route

PREFIX = "mmsearch_"
COMMENT = "mmsearch_django "
"""Begins the comment of all that is ours; a digest of the definition follows."""
LIVE_ROWS = 1000
"""A statement of more rows than this is a bulk load, and waits behind the writes of people."""
STATIC_ROWS = 50
"""Above, the statement is planned anew: PL/pgSQL keeps the plan that it made for one row, and a nested loop over
thousands is quadratic."""


@dataclass(frozen=True)
class Operation:
    """One kind of statement that writes. ``code`` is its pg_trigger.tgtype."""

    name: str
    code: int
    old: str | None = None
    new: str | None = None

    @property
    def rows(self) -> str:
        """The transition table whose rows are marked."""
        return self.new or self.old or ""

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
    objects: bool = False
    """Whether the table's rows are the objects; otherwise it is a parent's, which only holds columns of theirs."""
    route: Route | None = None
    """From a related table back to the objects."""


@dataclass(frozen=True)
class Table:
    """A watched table, qualified, and what is watched in it."""

    schema: str
    name: str
    key: str
    watches: tuple[Watch, ...]
    mark: str
    """The qualified name of the table of marks."""
    state: str
    """The same of the table of states."""

    @property
    def functions(self) -> list["Function"]:
        whole = any(watch.objects or watch.route for watch in self.watches)
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
        """Those whose objects are rows of this table and can be changed by this operation."""
        own = [watch for watch in self.table.watches if not watch.route]
        return [watch for watch in own if watch.objects or self.operation is UPDATE]

    @property
    def related(self) -> list[tuple[Watch, Route]]:
        """Those whose objects are reached from this table's rows."""
        return [(watch, watch.route) for watch in self.table.watches if watch.route]

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
        """Returns unless what every statement below names is there."""
        needed = [_there(_named(self.table.mark), {"space_id", "object_id", "live"})]
        if own := self._own_columns:
            needed.append(_there("TG_RELID", own))
        return f"IF NOT ({' AND '.join(needed)}) THEN\n    RETURN NULL;\nEND IF;\n"

    @property
    def _own_columns(self) -> set[str]:
        if self.operation is TRUNCATE:
            return set()
        columns = {self.table.key, *(route.start for _, route in self.related)}
        if self.operation is UPDATE:
            columns.update(column for watch in self.table.watches for column in watch.columns)
        return columns

    @property
    def _marking(self) -> str:
        return (self._marking_objects() if self.watches else "") + "".join(
            self._marking_related(watch.space, route, watch.columns) for watch, route in self.related
        )

    def _marking_objects(self) -> str:
        if self.operation is TRUNCATE:
            return self._insert("s.space, NULL, false", f"(VALUES {self._spaces}) AS s(space)")
        if self.operation is UPDATE:
            return self._marking_updates()
        rows = self.operation.rows
        key = quote(self.table.key)
        return self._insert(
            f"s.space, r.{key}::text, {self._live(rows)}",
            f"{rows} AS r CROSS JOIN (VALUES {self._spaces}) AS s(space)",
        )

    def _marking_related(self, space: int, route: Route, columns: tuple[str, ...]) -> str:
        """A block of its own: a table on the way that is being altered must not cost the marks of other fields."""
        if self.operation is TRUNCATE:  # Nobody knows any more which rows led where.
            marks = self._insert(f"{space}, s.object_id, false", f"{self.table.state} AS s WHERE s.space_id = {space}")
            return _guarded({self.table.state: {"space_id", "object_id"}}, marks)
        rows = self.operation.rows
        changed = self._changed_rows(route.start, columns) if self.operation is UPDATE else rows
        marks = self._insert(f"{space}, reached.key, {self._live('reached')}", "reached")
        insert = f"WITH reached AS MATERIALIZED (\n{indent(route.reached(changed), '    ')}\n)\n{marks}"
        return _guarded(route.needs, self._planned_for_many(rows, insert))

    def _changed_rows(self, start: str, columns: tuple[str, ...]) -> str:
        """The rows before and after, where a column that matters differs."""
        key = quote(self.table.key)
        before, after = (
            f"SELECT {side}.{quote(start)} FROM {mine} AS {side} LEFT JOIN {theirs} AS {other} "
            f"ON {side}.{key} = {other}.{key}\nWHERE {self._differ(columns)}"
            for side, mine, other, theirs in (("o", "old_rows", "n", "new_rows"), ("n", "new_rows", "o", "old_rows"))
        )
        return f"({before}\nUNION ALL {after})"

    def _marking_updates(self) -> str:
        key = quote(self.table.key)
        cases = ",\n    ".join(f"({watch.space}, {self._differ(watch.columns)})" for watch in self.watches)
        insert = self._insert(
            f"s.space, COALESCE(n.{key}, o.{key})::text, {self._live('new_rows')}",
            f"old_rows AS o FULL JOIN new_rows AS n ON o.{key} = n.{key}\n"
            f"CROSS JOIN LATERAL (VALUES\n    {cases}) AS s(space, changed)\nWHERE s.changed",
        )
        return self._planned_for_many("new_rows", insert)

    def _planned_for_many(self, rows: str, insert: str) -> str:
        few = f"(SELECT count(*) FROM (SELECT FROM {rows} LIMIT {STATIC_ROWS + 1}) AS few) <= {STATIC_ROWS}"
        return f"IF {few} THEN\n{indent(insert, '    ')}ELSE\n    EXECUTE $mark${insert[:-2]}$mark$;\nEND IF;\n"

    def _differ(self, columns: tuple[str, ...]) -> str:
        """A changed key marks the old object and the new one; only this comparison works for every type."""
        key = quote(self.table.key)
        changed = f"o.{key} IS NULL OR n.{key} IS NULL"
        if not columns:
            return changed
        old, new = (", ".join(f"{row}.{quote(column)}" for column in columns) for row in "on")
        return f"{changed} OR record_image_ne(ROW({old}), ROW({new}))"

    def _insert(self, values: str, rows: str) -> str:
        return f"INSERT INTO {self.table.mark} (space_id, object_id, live)\nSELECT {values}\nFROM {rows};\n"

    @property
    def _spaces(self) -> str:
        return ", ".join(f"({watch.space})" for watch in self.watches)

    def _live(self, rows: str) -> str:
        return f"(SELECT count(*) FROM (SELECT FROM {rows} LIMIT {LIVE_ROWS + 1}) AS few) <= {LIVE_ROWS}"


def _guarded(needs: Mapping[str, set[str]], block: str) -> str:
    """The block, if these columns of other tables are there and their owner lets us read them."""
    there = [_there(_named(table), columns, "SELECT") for table, columns in needs.items()]
    return f"IF {' AND '.join(there)} THEN\n{indent(block, '    ')}END IF;\n" if there else block


def _named(table: str) -> str:
    return f"to_regclass({literal(table)})"


def _there(table: str, columns: set[str], privilege: str = "") -> str:
    """SQL: whether the table, by its oid, has these columns, and gives us this right to them."""
    names = ", ".join(map(literal, sorted(columns)))
    within_reach = f" AND has_column_privilege(attrelid, attnum, {literal(privilege)})" if privilege else ""
    return (
        f"{len(columns)} = (SELECT count(*) FROM pg_attribute WHERE attrelid = {table} "
        f"AND attname IN ({names})\n    AND NOT attisdropped{within_reach})"
    )

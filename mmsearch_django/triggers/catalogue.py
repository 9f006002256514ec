"""What is there: the tables, functions and triggers of a database, read in one query."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.db import connections

from mmsearch_django.triggers.functions import COMMENT, PREFIX
from mmsearch_django.triggers.names import literal

SPACE_COMMENT = f"{COMMENT}space "
"""A vector table says in its comment which space it serves, so that it is known again when it was renamed."""


@dataclass(frozen=True)
class Relation:
    schema: str
    name: str
    kind: str = "r"
    comment: str | None = None
    storage: str | None = None
    """pg_attribute.attstorage of the column ``vector``."""
    empty: bool = False


@dataclass(frozen=True)
class FoundFunction:
    schema: str
    name: str
    comment: str | None
    source: str


@dataclass(frozen=True)
class FoundTrigger:
    schema: str
    table: str
    name: str
    function: tuple[str, str]
    code: int
    old: str | None
    new: str | None
    enabled: str


@dataclass(frozen=True)
class Catalogue:
    tables: dict[str, Relation]
    """By the name that a model declares."""
    functions: dict[tuple[str, str], FoundFunction] = field(default_factory=dict)
    triggers: dict[tuple[str, str, str], FoundTrigger] = field(default_factory=dict)
    """By schema, table and name."""
    spaces: frozenset[int] = frozenset()
    """That some vector table names in its comment."""


def assumed(tables: Iterable[str], schema: str) -> Catalogue:
    """A database that has these tables and nothing of ours yet."""
    return Catalogue({name: Relation(schema, name, storage="e", empty=True) for name in tables})


def read(using: str, tables: Iterable[str]) -> Catalogue:
    connection = connections[using]
    declared = list(tables)
    quoted = [connection.ops.quote_name(name) for name in declared]
    with connection.cursor() as cursor:
        cursor.execute(QUERY, {"declared": declared, "quoted": quoted})
        found = cursor.fetchone()[0]
    answer: dict[str, Any] = json.loads(found) if isinstance(found, str) else found
    functions = [FoundFunction(**row) for row in answer["functions"]]
    triggers = [FoundTrigger(**{**row, "function": tuple(row["function"])}) for row in answer["triggers"]]
    return Catalogue(
        tables={row.pop("declared"): Relation(**row) for row in answer["tables"]},
        functions={(row.schema, row.name): row for row in functions},
        triggers={(row.schema, row.table, row.name): row for row in triggers},
        spaces=frozenset(int(comment.removeprefix(SPACE_COMMENT)) for comment in answer["spaces"]),
    )


QUERY = f"""
WITH tables AS (
    SELECT wanted.declared, c.oid, n.oid AS namespace, n.nspname AS schema, c.relname AS name, c.relkind AS kind
    FROM unnest(%(declared)s::text[], %(quoted)s::text[]) AS wanted(declared, quoted)
    JOIN pg_class c ON c.oid = to_regclass(wanted.quoted)
    JOIN pg_namespace n ON n.oid = c.relnamespace
), functions AS (
    SELECT p.oid, n.nspname AS schema, p.proname AS name, obj_description(p.oid, 'pg_proc') AS comment,
           p.prosrc AS source
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE p.proname LIKE {literal(PREFIX.replace("_", chr(92) + "_") + "%%")}
      AND p.prorettype = 'trigger'::regtype
      AND (n.nspname = current_schema() OR n.oid IN (SELECT namespace FROM tables))
), triggers AS (
    SELECT tables.schema, tables.name AS "table", t.tgname AS name, t.tgtype AS code, t.tgenabled AS enabled,
           t.tgoldtable AS old, t.tgnewtable AS new, jsonb_build_array(n.nspname, p.proname) AS function
    FROM tables JOIN pg_trigger t ON t.tgrelid = tables.oid AND NOT t.tgisinternal
    JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE t.tgname LIKE {literal(PREFIX.replace("_", chr(92) + "_") + "%%")}
)
SELECT jsonb_build_object(
    'tables', (SELECT COALESCE(jsonb_agg(jsonb_build_object(
        'declared', declared, 'schema', schema, 'name', name, 'kind', kind,
        'comment', obj_description(oid, 'pg_class'), 'empty', pg_relation_size(oid) = 0,
        'storage', (SELECT attstorage FROM pg_attribute
                    WHERE attrelid = oid AND attname = 'vector' AND NOT attisdropped))), '[]') FROM tables),
    'functions', (SELECT COALESCE(jsonb_agg(to_jsonb(functions) - 'oid'), '[]') FROM functions),
    'triggers', (SELECT COALESCE(jsonb_agg(to_jsonb(triggers)), '[]') FROM triggers),
    'spaces', (SELECT COALESCE(jsonb_agg(description), '[]') FROM pg_description
               WHERE classoid = 'pg_class'::regclass AND objsubid = 0
                 AND description ~ {literal(f"^{SPACE_COMMENT}[0-9]+$")}))
"""

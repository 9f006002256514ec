"""Compares what is declared with what is there, and makes the difference good."""

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from django.db import DatabaseError, connections, router

from mmsearch_django.fields import EmbeddingField, all_embedding_fields
from mmsearch_django.models import Lane, Mark, Space, State
from mmsearch_django.triggers import catalogue, spaces
from mmsearch_django.triggers.catalogue import Catalogue, FoundFunction
from mmsearch_django.triggers.changes import Change
from mmsearch_django.triggers.definitions import watched_models, watched_tables
from mmsearch_django.triggers.functions import COMMENT, OPERATIONS, Function, Table, function_name
from mmsearch_django.triggers.locks import LOCK_TIMEOUT, NOT_ALLOWED, brief_locks, is_contention, sqlstate
from mmsearch_django.triggers.names import literal, objects_of, quote

logger = logging.getLogger("mmsearch_django")

CONCURRENT_MIGRATE = "XX000"
"""tuple concurrently updated."""
PATIENCE = 5.0
"""Seconds for which ``install`` tries again what is locked, all in all."""
PAUSE = 0.1
"""Seconds after the first try; each pause is twice as long as the one before, so that writers are seldom held up."""
OWN = (Mark, State, Space, Lane)
TABLE_KINDS = ("r", "p")
"""Ordinary and partitioned: views and foreign tables take no such trigger; the sweep alone finds their writes."""


@dataclass
class Outcome:
    done: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def install(using: str) -> Outcome:
    """Create, replace and drop until the database is as declared. What is locked is tried again, then reported."""
    outcome = Outcome()
    give_up = time.monotonic() + PATIENCE
    for change in changes(using):
        error = _attempt(change, using, give_up)
        if error is None:
            outcome.done.append(change.summary)
        else:
            outcome.failed.append(f"Could not {change.summary}: {_advice(error, change, using)}")
    return outcome


def problems(using: str) -> list[str]:
    """What is not as declared, in words; writes nothing."""
    return [change.problem for change in changes(using)]


def changes(using: str) -> list[Change]:
    """What ``install`` would do to this database."""
    if connections[using].vendor != "postgresql" or not router.allow_migrate_model(using, Mark):
        return []
    declared = list(all_embedding_fields())
    found = catalogue.read(using, _table_names(declared))
    if any(model._meta.db_table not in found.tables for model in OWN):
        return _stale([], [], found)
    served = [field for field in declared if _allowed(field, using) and _exists(field, found)]
    plan = spaces.plan(served, declared, found, list(Space.objects.using(using)))
    tables = _tables(plan.ids, found)
    elsewhere = [field for field in declared if not _allowed(field, using)]
    return plan.changes + _missing(tables, found) + _stale(tables, elsewhere, found)


def statements(schema: str = "public") -> list[str]:
    """All SQL for a new database whose tables are in ``schema``, without asking one."""
    declared = list(all_embedding_fields())
    found = catalogue.assumed(_table_names(declared), schema)
    plan = spaces.plan(declared, declared, found, [])
    return _script(plan.changes + _missing(_tables(plan.ids, found), found))


def pending_statements(using: str) -> list[str]:
    """The SQL that ``install`` would run in this database."""
    return _script(changes(using))


def _script(planned: list[Change]) -> list[str]:
    """For a session of its own, each statement in its own transaction; it can be run again where one timed out."""
    done = [statement for change in planned for statement in change.statements]
    return [f"SET lock_timeout = {literal(LOCK_TIMEOUT)}", *done, "RESET lock_timeout"] if done else []


def _attempt(change: Change, using: str, give_up: float) -> DatabaseError | None:
    """Tries at least once, and while it is worth it until ``give_up``, a time of the monotonic clock."""
    pause = PAUSE
    while True:
        try:
            with brief_locks(using), connections[using].cursor() as cursor:
                for statement in change.statements:
                    cursor.execute(statement)
            return None
        except DatabaseError as error:
            worth_it = is_contention(error) or sqlstate(error) == CONCURRENT_MIGRATE
            if not worth_it or time.monotonic() + pause > give_up:
                return error
        time.sleep(pause)
        pause *= 2


def _advice(error: DatabaseError, change: Change, using: str) -> str:
    """What the database said, and what to do about it."""
    said = str(error).partition("\n")[0].rstrip(".")
    again = f"'manage.py mmsearch_triggers --database {using}'"
    if is_contention(error):
        return f"{said}. Somebody holds it; run {again} when it is free."
    if sqlstate(error) == NOT_ALLOWED:
        return f"{said}. Let a role that may run: {change.remedy}; and then run {again}."
    return f"{said}. Then run {again}."


def _table_names(fields: Iterable[EmbeddingField]) -> list[str]:
    names = {model._meta.db_table for model in OWN}
    for embedding in fields:
        names.add(embedding.vectors._meta.db_table)
        names.update(model._meta.db_table for model in watched_models(embedding))
    return sorted(names)


def _allowed(field: EmbeddingField, using: str) -> bool:
    return all(router.allow_migrate_model(using, model) for model in (field.vectors, objects_of(field)))


def _exists(field: EmbeddingField, found: Catalogue) -> bool:
    watched = watched_models(field)
    return bool(watched) and all(model._meta.db_table in found.tables for model in (field.vectors, *watched))


def _tables(ids: list[tuple[EmbeddingField, int]], found: Catalogue) -> list[Table]:
    names = {name: (row.schema, row.name) for name, row in found.tables.items() if row.kind in TABLE_KINDS}
    return watched_tables(ids, names)


def _missing(tables: list[Table], found: Catalogue) -> list[Change]:
    wanted = (function for table in tables for function in table.functions)
    return [change for function in wanted for change in _changes_of(function, found)]


def _changes_of(function: Function, found: Catalogue) -> Iterator[Change]:
    where = f"{function.operation.name} trigger of {function.on}"
    there = found.functions.get((function.table.schema, function.name))
    if there is None or (there.comment, there.source) != (function.comment, function.source):
        problem = f"The function of the {where} is {'missing' if there is None else 'not the declared one'}."
        remedy = f"GRANT CREATE ON SCHEMA {quote(function.table.schema)} TO {found.role}"
        if there is not None:
            remedy = f"ALTER FUNCTION {function.signature} OWNER TO {found.role}"
        yield Change(f"write the function of the {where}", problem, tuple(function.create_function), remedy)
    if there is not None and not there.may_mark:
        problem = f"The function of the {where} is owned by a role that may not insert marks, so it does nothing."
        statement = f"ALTER FUNCTION {function.signature} OWNER TO {found.role}"
        yield Change(f"take over the function of the {where}", problem, (statement,))
    trigger = found.triggers.get((function.table.schema, function.table.name, function.trigger))
    wanted = ((function.table.schema, function.name), function.operation.code, function.operation.old)
    if trigger is None or (trigger.function, trigger.code, trigger.old) != wanted:
        problem = f"The {where} is {'missing' if trigger is None else 'not the declared one'}."
        remedy = f"GRANT TRIGGER ON {function.on} TO {found.role}"
        yield Change(f"create the {where}", problem, (function.create_trigger,), remedy)
    if trigger is not None and trigger.enabled not in "OA":
        yield Change(f"enable the {where}", f"The {where} is disabled.", (function.enable_trigger,))


def _stale(wanted: list[Table], elsewhere: list[EmbeddingField], found: Catalogue) -> list[Change]:
    """Functions of ours that nothing needs. ``elsewhere`` are fields that another alias of this database may serve."""
    kept = {(function.table.schema, function.name) for table in wanted for function in table.functions}
    for model in {model for embedding in elsewhere for model in watched_models(embedding)}:
        row = found.tables.get(model._meta.db_table)
        kept.update((row.schema, function_name(row.name, operation)) for operation in OPERATIONS if row)
    ours = [row for row in found.functions.values() if (row.comment or "").startswith(COMMENT)]
    return [_drop(row) for row in ours if (row.schema, row.name) not in kept]


def _drop(row: FoundFunction) -> Change:
    name = quote(row.schema, row.name)
    problem = f"The function {name} belongs to no embedding field."
    return Change(f"drop the function {name}", problem, (f"DROP FUNCTION {name}() CASCADE",))

"""The search as one join in a plain Django query. Everything that touches Django's internals is here and in
``candidates``; one test names every private attribute that they use.

When the outer query compiles, the join reads its WHERE clause and renders the search over the rows that pass it. So
filters restrict the candidates whether they were chained before or after ``.search()``, and clones, subqueries,
aggregates and pickles carry the search along, as they carry any join.
"""

import json
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import models
from django.db.models.expressions import Col
from django.db.models.sql import Query as SQLQuery
from django.db.models.sql.constants import INNER
from django.db.models.sql.where import WhereNode

from mmsearch_django.exceptions import QueryError
from mmsearch_django.fields import embedding_fields
from mmsearch_django.search import candidates
from mmsearch_django.search.legs import EXACT_LIMIT, Names
from mmsearch_django.search.query import Query, settled
from mmsearch_django.search.report import Match, MatchField, Report
from mmsearch_django.search.statement import Statement

ALIAS = "mm_hits"


class Closeness(models.FloatField):  # type: ignore[type-arg]
    """Of a type of its own: Django tells expressions over nameless fields apart by nothing else."""


_score: "models.FloatField[Any, Any]" = models.FloatField()
_score.column = "score"
_closeness = Closeness()
_closeness.column = "closeness"
_match = MatchField()
_match.column = "match"
ANNOTATIONS: dict[str, "models.Field[Any, Any]"] = {"score": _score, "closeness": _closeness, "match": _match}

SQL = tuple[str, tuple[Any, ...]]
Compiler = Any
"""A SQLCompiler; the stubs do not know what it learns when it prepares."""


@dataclass(frozen=True)
class Window:
    """A fused list that was read once and is used again while the same candidates are asked."""

    key: Hashable
    rows: str
    """JSON list of id, score, closeness and match."""
    size: int


class Hits:
    """Looks to Django like a join of the base table with the search's hits, one to one by primary key."""

    join_type = INNER
    nullable = False
    filtered_relation = None
    join_field = None
    join_cols = ()
    table_name = ALIAS

    def __init__(self, model: type[models.Model], query: Query, parent_alias: str, alias: str = ALIAS) -> None:
        self.model = model
        self.query = query
        self.parent_alias = parent_alias
        self.table_alias = alias
        self.window: Window | None = None

    # What Django asks of a join

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "window": None}

    @property
    def identity(self) -> tuple[Any, ...]:
        return (type(self), self.model, self.query, self.parent_alias, self.table_alias)

    def __eq__(self, other: object) -> bool:
        return self.identity == other.identity if isinstance(other, Hits) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.identity)

    def equals(self, other: object) -> bool:
        return self == other

    def promote(self) -> "Hits":
        return self

    def demote(self) -> "Hits":
        return self

    def relabeled_clone(self, change_map: dict[str, str]) -> "Hits":
        return Hits(
            self.model,
            self.query,
            change_map.get(self.parent_alias, self.parent_alias),
            change_map.get(self.table_alias, self.table_alias),
        )

    def fresh(self) -> "Hits":
        """The same search without a remembered window."""
        return self.relabeled_clone({})

    def as_sql(self, compiler: Compiler, connection: Any) -> SQL:
        relation, params = self._relation(compiler, connection)
        self._prune(compiler)
        # Django 6.1 renamed the compiler's way of quoting; aliases of subqueries stay as they are.
        quote = getattr(compiler, "quote_name", None) or compiler.quote_name_unless_alias
        alias, parent, key = quote(self.table_alias), quote(self.parent_alias), quote(self.model._meta.pk.column)
        return f"INNER JOIN ({relation}) {alias} ON ({parent}.{key} = {alias}.id)", params

    # The search

    def statement(self, compiler: Compiler, connection: Any) -> Statement:
        """The search over the rows that pass the outer query's filters. Raises EmptyResultSet if none can."""
        query = self.query
        if not query.checked:
            query = settled(query, self.model, connection.alias)
        outer = compiler.query
        where = outer.where if candidates.groups_by_row(outer) else compiler.where
        inside, _ = candidates.split_where(outer, where, self.table_alias)
        keys = candidates.candidate_query(outer, inside, self.table_alias)
        sql, params = self._compile(keys, compiler, connection)
        filtered = bool(inside.children) or outer.group_by is not None
        return Statement(
            query,
            self._names(query, connection),
            sql,
            params,
            filtered=filtered,
            keywords=self._keywords(outer, inside, connection),
        )

    def _keywords(self, outer: SQLQuery, inside: WhereNode, connection: Any) -> SQL | None:
        if self.query.keywords is None:
            return None
        named = candidates.candidate_query(outer, inside, self.table_alias)
        named.add_q(self.query.keywords)
        sql, params = named.get_compiler(connection=connection, elide_empty=False).as_sql()
        return sql, tuple(params)

    @staticmethod
    def _compile(keys: SQLQuery, compiler: Compiler, connection: Any) -> SQL:
        try:
            sql, params = keys.get_compiler(connection=connection).as_sql()
        except EmptyResultSet:
            if compiler.elide_empty:
                raise
            sql, params = keys.get_compiler(connection=connection, elide_empty=False).as_sql()
        return sql, tuple(params)

    def _relation(self, compiler: Compiler, connection: Any) -> SQL:
        statement = self.statement(compiler, connection)
        if self.window is not None and self.window.key == window_key(statement, connection):
            key_type = statement.names.key_type
            columns = f"id {key_type}, score double precision, closeness double precision, match jsonb"
            return f"SELECT * FROM jsonb_to_recordset(%s::jsonb) AS hit({columns})", (self.window.rows,)
        return statement.hits()

    def _names(self, query: Query, connection: Any) -> Names:
        fields = embedding_fields(self.model)
        tables: list[Any] = [fields[leg.space[1]].vectors._meta for leg in query.legs]
        return Names(
            key_type=tables[0].pk.db_type(connection),
            tables=tuple(connection.ops.quote_name(table.db_table) for table in tables),
        )

    def _prune(self, compiler: Compiler) -> None:
        """Take the filters, and the joins that only they use, out of the outer query: the hits have passed them."""
        query = compiler.query
        if query.group_by is not None or query.distinct_fields:
            return
        _, outside = candidates.split_where(query, compiler.where, self.table_alias)
        ordering = [expression for expression, _ in compiler.get_order_by()]
        selected = [expression for expression, _, _ in compiler.select]
        rest = [part for part in (outside, compiler.having, compiler.qualify) if part is not None]
        used = candidates.used_aliases(query, [*selected, *ordering, *rest]) | {self.parent_alias, self.table_alias}
        if candidates.multi_valued(query, used - {self.table_alias}):
            return
        compiler.where = outside
        for alias in query.alias_refcount:
            if alias not in used:
                query.alias_refcount[alias] = 0


def window_key(statement: Statement, connection: Any) -> Hashable:
    return (connection.alias, statement.candidates, repr(statement.candidate_params), repr(statement.keywords))


def attach(queryset: models.QuerySet[Any], query: Query) -> models.QuerySet[Any]:
    """The queryset restricted to the search's hits, annotated with ANNOTATIONS, best first."""
    if queryset.query.is_sliced:
        raise TypeError("Cannot search a query once a slice has been taken.")
    if queryset.query.combinator:
        raise QueryError("A union, intersection or difference cannot be searched; search its parts.")
    if of(queryset) is not None:
        raise QueryError("This queryset is searched already; give all of the query to one .search().")
    searched = queryset.all()
    _join(searched.query, Hits(queryset.model, query, searched.query.get_initial_alias()))
    searched = searched.annotate(**{name: Col(ALIAS, field) for name, field in ANNOTATIONS.items()})
    ranked: models.QuerySet[Any] = searched.order_by("-score", "pk")
    return ranked


def _join(query: SQLQuery, hits: Hits) -> None:
    # Second, right after the base table: it compiles before the joins that it may switch off.
    base, *others = query.alias_map.items()
    query.alias_map = dict([base, (ALIAS, hits), *others])  # type: ignore[list-item]
    query.alias_refcount[ALIAS] = 1
    query.table_map[ALIAS] = [ALIAS]


def of(queryset: models.QuerySet[Any]) -> Hits | None:
    """The search that a queryset carries."""
    joins: Iterable[Any] = queryset.query.alias_map.values()
    return next((join for join in joins if isinstance(join, Hits)), None)


def forget_window(queryset: models.QuerySet[Any]) -> None:
    """Give the queryset a search of its own, without a remembered window."""
    hits = of(queryset)
    if hits is not None and hits.window is not None:
        queryset.query.alias_map[hits.table_alias] = hits.fresh()  # type: ignore[assignment]


def share_window(queryset: models.QuerySet[Any], read: models.QuerySet[Any]) -> None:
    """Let a queryset use the window of another one of the same query; it does where their candidates are the same."""
    mine, theirs = of(queryset), of(read)
    if mine is not None and theirs is not None:
        mine.window = theirs.window


def count_by_window(queryset: models.QuerySet[Any]) -> int | None:
    """Read the whole window once, remember it for the pages that follow, and count it.

    None where the count is not the window's: a slice, DISTINCT, GROUP BY, more annotations, conditions on the score.
    """
    query, hits = queryset.query, of(queryset)
    plain = not (query.is_sliced or query.distinct or query.group_by or query.combinator or query.extra)
    if hits is None or not plain or set(query.annotations) != set(ANNOTATIONS):
        return None
    try:
        compiler = _compiler(queryset)
        _, outside = candidates.split_where(compiler.query, compiler.where, hits.table_alias)
        return None if outside.children else _read_window(hits, compiler)
    except EmptyResultSet:
        return 0


def _read_window(hits: Hits, compiler: Compiler) -> int:
    statement = hits.statement(compiler, compiler.connection)
    key = window_key(statement, compiler.connection)
    if hits.window is None or hits.window.key != key:
        sql, params = statement.hits()
        with compiler.connection.cursor() as cursor:
            cursor.execute(f"SELECT coalesce(jsonb_agg(hit), '[]')::text, count(*) FROM ({sql}) AS hit", params)
            hits.window = Window(key, *cursor.fetchone())
    return hits.window.size


def _compiler(queryset: models.QuerySet[Any]) -> Compiler:
    compiler: Compiler = queryset.query.clone().get_compiler(using=queryset.db)
    compiler.pre_sql_setup()
    return compiler


def report(queryset: models.QuerySet[Any], rows: Iterable[models.Model] | None = None) -> Report | None:
    """How the search was answered: read from its rows where they are loaded, else asked by one statement."""
    hits = of(queryset)
    if hits is None:
        return None
    for row in queryset._result_cache or rows or ():
        match = getattr(row, "match", None)
        if isinstance(match, Match) and match.report is not None:
            return match.report
    try:
        compiler = _compiler(queryset)
        sql, params = hits.statement(compiler, compiler.connection).report()
    except EmptyResultSet:
        legs = {leg.name: "exact" for leg in hits.query.legs}
        return Report(legs, 0, EXACT_LIMIT, 0, 0, True, hits.query.degraded, 0.0)  # noqa: FBT003
    with compiler.connection.cursor() as cursor:
        cursor.execute(f"SELECT report::text FROM ({sql}) AS report", params)
        return Report.from_json(json.loads(cursor.fetchone()[0]))

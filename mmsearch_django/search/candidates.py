"""Candidates: the query for the primary keys that pass a queryset's filters, whenever these were chained."""

from collections.abc import Iterable
from typing import Any

from django.db.models.expressions import Col
from django.db.models.sql import Query
from django.db.models.sql.where import AND, WhereNode


def used_aliases(query: Query, expressions: Iterable[Any]) -> set[str]:
    """The table aliases that the expressions need, with the joins that lead to them."""
    aliases: set[str] = set()
    for col in Query._gen_cols(expressions, include_external=True):  # type: ignore[attr-defined]
        alias: str | None = col.alias
        while alias in query.alias_map and alias not in aliases:
            aliases.add(alias)
            alias = query.alias_map[alias].parent_alias
    return aliases


def split_where(query: Query, where: WhereNode, hits: str) -> tuple[WhereNode, WhereNode]:
    """The conditions on rows, and those on score or match, which only a finished search can answer."""
    inside, outside = WhereNode(), WhereNode()
    plain = where.connector == AND and not where.negated
    for child in where.children if plain else [where]:
        (outside if hits in used_aliases(query, [child]) else inside).children.append(child)
    return inside, outside


def groups_by_row(query: Query) -> bool:
    """Whether GROUP BY keeps the rows apart, so that HAVING is a filter on rows."""
    if query.group_by is True:
        return True
    pk = query.get_meta().pk
    return any(isinstance(col, Col) and col.target == pk for col in query.group_by or ())


def multi_valued(query: Query, aliases: Iterable[str]) -> bool:
    """Whether one of the joins can repeat a row."""
    fields = (getattr(query.alias_map[alias], "join_field", None) for alias in aliases)
    return any(field is not None and (field.one_to_many or field.many_to_many) for field in fields)


def candidate_query(query: Query, where: WhereNode, hits: str) -> Query:
    """The rows that pass ``where``, as a query for their primary keys, each once."""
    candidates = query.clone()
    for structure in (candidates.alias_map, candidates.alias_refcount):
        del structure[hits]
    candidates.where = where.clone()
    candidates.annotations = {
        name: annotation
        for name, annotation in candidates.annotations.items()
        if hits not in used_aliases(query, [annotation])
    }
    candidates.distinct = False
    candidates.distinct_fields = ()
    candidates.select_related = False
    candidates.select_for_update = False
    candidates.standard_ordering = True
    candidates.explain_info = None
    candidates.combinator = None
    candidates.clear_limits()
    candidates.clear_ordering(force=True)
    candidates.clear_select_clause()
    return _select_keys(candidates, hits)


def _select_keys(candidates: Query, hits: str) -> Query:
    base = next(iter(candidates.alias_map))
    pk = candidates.get_meta().pk
    assert pk is not None
    candidates.select = (pk.get_col(base),)
    needed = used_aliases(candidates, [candidates.where]) | {base}
    if groups_by_row(candidates):
        candidates.group_by = candidates.select
    else:
        candidates.group_by = None
        candidates.distinct = multi_valued(candidates, needed)
    candidates.alias_refcount = {alias: int(alias in needed) for alias in candidates.alias_map}
    return candidates

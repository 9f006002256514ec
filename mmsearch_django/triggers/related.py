"""What a change in a related table marks: the objects that reach the changed rows.

The tables on the way may be altered or out of reach at any time, so the functions ask for every column named here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from django.db import models

from mmsearch_django.fields import EmbeddingField
from mmsearch_django.relations import Path
from mmsearch_django.triggers.names import column_of, objects_of, quote


@dataclass(frozen=True)
class Join:
    """A table between the changed one and the objects: its ``on`` column equals ``to`` of the one before."""

    table: str
    on: str
    to: str


@dataclass(frozen=True)
class Route:
    """The way back from a row of a related table, which joins by ``start``, to the objects whose keys are ``key``."""

    start: str
    joins: tuple[Join, ...]
    key: str

    @property
    def needs(self) -> dict[str, set[str]]:
        """The columns that the way leads over, by table."""
        steps = [(join.table, join.on) for join in self.joins]
        steps += [(here.table, after.to) for here, after in pairwise(self.joins)]
        steps += [(join.table, self.key) for join in self.joins[-1:]]
        columns: dict[str, set[str]] = {}
        for table, column in steps:
            columns.setdefault(table, set()).add(column)
        return columns

    def reached(self, rows: str) -> str:
        """The keys as text that ``rows``, SQL of a relation with the column ``start``, lead to."""
        aliases = ["r", *(f"t{number}" for number in range(len(self.joins)))]
        steps = zip(aliases, aliases[1:], self.joins, strict=False)
        joins = "".join(
            f"\nJOIN {join.table} AS {alias} ON {alias}.{quote(join.on)} = {before}.{quote(join.to)}"
            for before, alias, join in steps
        )
        key = f"{aliases[-1]}.{quote(self.key)}"
        return f"SELECT DISTINCT {key}::text AS key FROM {rows} AS r{joins}\nWHERE {key} IS NOT NULL"


def routes(
    field: EmbeddingField, names: Mapping[str, tuple[str, str]]
) -> Iterator[tuple[type[models.Model], Route, tuple[str, ...]]]:
    """Each related table that the field reads: its model, the way back, and the columns that matter.

    ``names`` maps declared table names to schema and name of those that exist; a way over another is left out.
    """
    found: dict[tuple[type[models.Model], Route], set[str]] = {}
    for path in field.source.paths(field.model):
        tables = [objects_of(field), *(hop.model for hop in path.hops)]
        for number, hop in enumerate(path.hops):
            if all(model._meta.db_table in names for model in tables[: number + 2]):
                route = _route(tables, path, number, names)
                found.setdefault((hop.model, route), set()).update(_columns(path, number))
    for (model, route), columns in found.items():
        yield model, route, tuple(sorted(columns))


def related_models(field: EmbeddingField) -> Iterator[type[models.Model]]:
    return (hop.model for path in field.source.paths(field.model) for hop in path.hops)


def _columns(path: Path, number: int) -> set[str]:
    """What matters of the table behind hop ``number``: the columns that it is joined by, and the one that is read."""
    last = number == len(path.hops) - 1
    return {path.hops[number].far, str(path.column.column) if last else path.hops[number + 1].near}


def _route(tables: list[type[models.Model]], path: Path, number: int, names: Mapping[str, tuple[str, str]]) -> Route:
    """Back over the hops from ``number`` to the first. The objects' table is joined only where the first hop starts
    from another column than their key."""
    joins = [
        Join(quote(*names[tables[step]._meta.db_table]), path.hops[step].near, path.hops[step].far)
        for step in range(number, -1, -1)
    ]
    start, first, key = path.hops[number].far, path.hops[0], column_of(tables[0])
    return Route(start, tuple(joins[:-1]), first.far) if first.near == key else Route(start, tuple(joins), key)

"""The rows of Space and the vector tables that they belong to."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mmsearch_django.fields import EmbeddingField
from mmsearch_django.models import Lane, Mark, Space, State
from mmsearch_django.triggers.catalogue import SPACE_COMMENT, Catalogue, Relation
from mmsearch_django.triggers.changes import Change
from mmsearch_django.triggers.names import literal, quote

Label = tuple[str, str]


@dataclass(frozen=True)
class Plan:
    """Which space each field has, and what must be done for it."""

    ids: list[tuple[EmbeddingField, int]]
    changes: list[Change]


def label(field: EmbeddingField) -> Label:
    """How a field's space is looked up."""
    return field.model._meta.label_lower, field.name


def plan(
    fields: Iterable[EmbeddingField], declared: Iterable[EmbeddingField], found: Catalogue, rows: Sequence[Space]
) -> Plan:
    """``fields`` are those to serve in this database, ``declared`` all of the project."""
    labels = {label(field) for field in declared}
    gone = [row for row in rows if (row.model, row.field) not in labels and row.pk not in found.spaces]
    fields = list(fields)
    gone += _taken_over(fields, found, rows, labels)
    changes = [_remove(row, found) for row in gone]
    kept = {row.pk: row for row in rows if row not in gone}
    ids: list[tuple[EmbeddingField, int]] = []
    for field in fields:
        vectors = found.tables[field.vectors._meta.db_table]
        space = _space_of(field, vectors, kept, labels)
        changes += _row(field, space, kept, found) + _vector_table(field, vectors, space)
        model, name = label(field)
        kept[space] = Space(id=space, model=model, field=name)
        ids.append((field, space))
    return Plan(ids, changes)


def _space_of(field: EmbeddingField, vectors: Relation, rows: dict[int, Space], labels: set[Label]) -> int:
    labelled = next((row.pk for row in rows.values() if (row.model, row.field) == label(field)), None)
    if labelled is not None:
        return int(labelled)
    named = _named_space(vectors)
    if named in rows and (rows[named].model, rows[named].field) not in labels:
        return named  # The table and its declaration were renamed.
    space = field.space_id
    while space in rows:
        space += 1
    return space


def _taken_over(
    fields: Sequence[EmbeddingField], found: Catalogue, rows: Sequence[Space], labels: set[Label]
) -> list[Space]:
    """Rows of fields whose table was dropped, and whose name went to another table, which has a space of its own.

    So it is when a replacement takes the name of what it replaced.
    """
    named = {label(field): _named_space(found.tables[field.vectors._meta.db_table]) for field in fields}
    free = {row.pk for row in rows if (row.model, row.field) not in labels}
    return [row for row in rows if row.pk not in found.spaces and named.get((row.model, row.field)) in free]


def _named_space(vectors: Relation) -> int:
    """The space that the table's comment names, or -1."""
    comment = vectors.comment or ""
    return int(comment.removeprefix(SPACE_COMMENT)) if comment.startswith(SPACE_COMMENT) else -1


def _row(field: EmbeddingField, space: int, rows: dict[int, Space], found: Catalogue) -> list[Change]:
    table, (model, name) = _table(Space, found), label(field)
    if space not in rows:
        insert = (
            f"INSERT INTO {table} (id, model, field) VALUES ({space}, {literal(model)}, {literal(name)}) "
            f"ON CONFLICT DO NOTHING"
        )
        return [Change(f"create the space of {field.label}", f"{field.label} has no space.", (insert,))]
    row = rows[space]
    if (row.model, row.field) == (model, name):
        return []
    update = f"UPDATE {table} SET model = {literal(model)}, field = {literal(name)} WHERE id = {space}"
    problem = f"The space of {row} is now that of {field.label}."
    return [Change(f"rename the space of {row} to {field.label}", problem, (update,))]


def _vector_table(field: EmbeddingField, vectors: Relation, space: int) -> list[Change]:
    table, comment = quote(vectors.schema, vectors.name), f"{SPACE_COMMENT}{space}"
    changes = []
    if vectors.comment != comment:
        statement = f"COMMENT ON TABLE {table} IS {literal(comment)}"
        problem = f"The vector table of {field.label} does not name its space."
        changes.append(Change(f"name the space in the comment of {table}", problem, (statement,)))
    if vectors.empty and vectors.storage not in (None, "p"):
        statement = f"ALTER TABLE {table} ALTER COLUMN vector SET STORAGE PLAIN"
        problem = f"The vectors of {field.label} would be stored out of line, which makes search slow."
        changes.append(Change(f"store vectors of {table} in line", problem, (statement,)))
    return changes


def _remove(row: Space, found: Catalogue) -> Change:
    owned = [f"DELETE FROM {_table(model, found)} WHERE space_id = {row.pk}" for model in (Mark, State, Lane)]
    own = f"DELETE FROM {_table(Space, found)} WHERE id = {row.pk}"
    problem = f"The vector table of {row} is gone, yet its states are kept."
    return Change(f"forget the space of {row}", problem, (*owned, own))


def _table(model: type[Mark | State | Space | Lane], found: Catalogue) -> str:
    relation = found.tables[model._meta.db_table]
    return quote(relation.schema, relation.name)

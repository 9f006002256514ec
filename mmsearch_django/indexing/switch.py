"""Which of two fields serves: one, or the other that is declared to replace it. One row says so to all processes."""

from collections.abc import Iterator

from django.db import connections

from mmsearch_django.exceptions import EmbedderError, SignatureMismatch
from mmsearch_django.fields import replacement
from mmsearch_django.indexing import floors, hnsw
from mmsearch_django.indexing.targets import Target, target
from mmsearch_django.models import Space


def served_name(field: Target) -> str:
    """The name by which searches that name no field of their own ask this one; empty if they do not."""
    other = replacement(field.field)
    if field.field.replaces:
        return field.field.replaces if _serves(field) else ""
    return "" if other and _serves(target(other, field.using)) else field.field.name


def serve(replacing: Target, *, instead: bool) -> bool:
    """Let the replacement serve, or again what it replaces. Returns whether that changes anything.

    Every search that begins after the commit follows; those that run finish with the vectors that they began with.
    """
    rows = Space.objects.using(replacing.using).filter(pk=replacing.space)
    return bool(rows.exclude(serves=instead).update(serves=instead))


def lacks(new: Target, old: Target) -> Iterator[str]:
    """What ``new`` must have before it serves in place of ``old``, each with what to do."""
    index = f"manage.py mmsearch_index {new.field.model._meta.label} --field {new.field.name}"
    try:
        new.field.require_signature(new.signature, new.using)
        new.field.embedder.warm_up()
    except (SignatureMismatch, EmbedderError) as error:
        yield str(error)
    if missing := _missing(new, old):
        yield f"{missing:,} objects have a vector in {old.field.name} and none in {new.field.name}. Run {index}"
    if floors.due(new):
        yield f"{new.field.name} has not learnt where noise begins. Run {index}"
    if hnsw.is_missing(new):
        yield f"{new.field.name} has no valid HNSW index. Run {index}"


def _serves(field: Target) -> bool:
    return Space.objects.using(field.using).filter(pk=field.space, serves=True).exists()


def _missing(new: Target, old: Target) -> int:
    """Objects that the old field finds and the new one does not; those that are gone already do not count."""
    with connections[new.using].cursor() as cursor:
        cursor.execute(
            f"SELECT count(*) FROM {old.vector_table} AS old JOIN {old.object_table} AS o"
            f" ON o.{old.key_column} = old.object_id WHERE NOT EXISTS"
            f" (SELECT FROM {new.vector_table} AS new WHERE new.object_id = old.object_id)"
        )
        return int(cursor.fetchone()[0])

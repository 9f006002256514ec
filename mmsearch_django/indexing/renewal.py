"""Embedding again what was embedded or given up before. Each only marks: the drain and the workers do the rest."""

from collections.abc import Collection, Iterable

from django.db import connections, models, transaction
from django.db.models.functions import Cast

from mmsearch_django.indexing import claims, hnsw
from mmsearch_django.indexing.targets import Target
from mmsearch_django.models import Space, State


def retry_failed(target: Target, error_classes: Collection[str] = ()) -> None:
    """Make failed objects pending: all, or those of some error classes."""
    failed = target.states.filter(status=State.Status.FAILED)
    if error_classes:
        failed = failed.filter(error_class__in=error_classes)
    claims.mark_found(target, failed.values_list("object_id"))


def retry(target: Target, keys: Iterable[str]) -> None:
    """Make these objects pending, whatever they are."""
    claims.mark(target, keys)


def renew_stale(target: Target) -> None:
    """Make objects pending whose vectors are stale; they are found by these until they have new ones."""
    claims.mark_found(target, target.stale.values_list(Cast("pk", models.TextField())))


def reembed(target: Target) -> bool:
    """Give the space to the configured embedder if another one made its vectors. Returns whether it did.

    The old vectors go, the floors with them, and all objects are pending, in one transaction. Nothing that searches or
    the site's writes wait for is locked. Workers wait, with what they are about to write: see ``writing.finish``. The
    embedder must pass its self-test first, and so may raise EmbedderError.
    """
    embedder = target.field.embedder
    signature, former = str(embedder.signature), target.signature
    if former in ("", signature):
        return False
    embedder.warm_up()
    hnsw.drop(target)  # A graph of dead vectors would slow down what is written now, and is of no use to searches.
    space = Space.objects.using(target.using).filter(pk=target.space, signature=former)
    with transaction.atomic(target.using), connections[target.using].cursor() as cursor:
        cursor.execute(f"LOCK TABLE {target.vector_table} IN SHARE ROW EXCLUSIVE MODE")
        taken_over = space.update(signature=signature, preprocessing=embedder.preprocessing, floors={})
        if taken_over:
            claims.mark_found(target, target.states.values_list("object_id"))
            cursor.execute(f"DELETE FROM {target.vector_table}")
    return bool(taken_over)

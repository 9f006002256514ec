"""Embedding again what was embedded or given up before."""

from collections.abc import Collection, Iterable

from django.db import transaction

from mmsearch_django.indexing import claims
from mmsearch_django.indexing.targets import Target
from mmsearch_django.models import Space, State


def retry_failed(target: Target, error_classes: Collection[str] = ()) -> None:
    """Make failed objects pending: all, or those of some error classes."""
    failed = target.states.filter(status=State.Status.FAILED)
    if error_classes:
        failed = failed.filter(error_class__in=error_classes)
    retry(target, failed.values_list("object_id", flat=True))


def retry(target: Target, keys: Iterable[str]) -> None:
    """Make these objects pending, whatever they are."""
    claims.mark(target, keys)


def start_over(target: Target) -> None:
    """Give up all vectors and states, and with them the signature; until all is embedded, search finds less."""
    with transaction.atomic(target.using):
        target.vectors.all().delete()
        target.states.all().delete()
        Space.objects.using(target.using).filter(pk=target.space).update(signature="", preprocessing=None, floors={})

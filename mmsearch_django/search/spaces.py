"""What made the vectors that a search compares with, as each field's space records it."""

from collections.abc import Iterable, Mapping

from django.core.exceptions import SynchronousOnlyOperation
from django.db import models

from mmsearch_django.fields import EmbeddingField, embedding_fields
from mmsearch_django.models import Space

Signatures = Mapping[str, str]
"""By embedding field; empty where nothing was embedded yet."""


def recorded(model: type[models.Model], using: str | None) -> Signatures | None:
    """The signatures that the model's vectors are of. None in a coroutine, where no database can be asked."""
    fields = embedding_fields(model)
    labels = {field.model._meta.label_lower for field in fields.values()}
    rows = Space.objects.using(using).filter(model__in=labels, field__in=fields)
    try:
        found = {(label, name): made_by for label, name, made_by in rows.values_list("model", "field", "signature")}
    except SynchronousOnlyOperation:
        return None
    return {name: found.get((field.model._meta.label_lower, name), "") for name, field in fields.items()}


def configured(fields: Iterable[EmbeddingField], made_by: Signatures | None, using: str | None) -> Signatures:
    """The signatures of the fields' embedders. Raises SignatureMismatch where they are known not to be the vectors'."""
    fields = list(fields)
    if made_by is not None:
        for field in fields:
            field.require_signature(made_by[field.name], using)
    return {field.name: str(field.embedder.signature) for field in fields}

"""What spaces say of a model's fields: which of them serve, and what made the vectors that a search compares with."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.core.exceptions import SynchronousOnlyOperation
from django.db import models

from mmsearch_django.fields import EmbeddingField, embedding_fields
from mmsearch_django.models import Space

Signatures = Mapping[str, str]
"""By embedding field; empty where nothing was embedded yet."""


@dataclass(frozen=True)
class Recorded:
    """What the spaces of a model's fields say."""

    signatures: Signatures
    serving: frozenset[str]
    """Replacements that serve."""


def recorded(model: type[models.Model], using: str | None) -> Recorded | None:
    """Read by one statement. None in a coroutine, where no database can be asked."""
    fields = embedding_fields(model)
    labels = {field.model._meta.label_lower for field in fields.values()}
    rows = Space.objects.using(using).filter(model__in=labels, field__in=fields)
    try:
        found = {row[:2]: row[2:] for row in rows.values_list("model", "field", "signature", "serves")}
    except SynchronousOnlyOperation:
        return None
    mine = {name: found.get((field.model._meta.label_lower, name), ("", False)) for name, field in fields.items()}
    return Recorded(
        signatures={name: made_by for name, (made_by, _) in mine.items()},
        serving=frozenset(name for name, (_, serves) in mine.items() if serves),
    )


def serving(model: type[models.Model], known: Recorded | None) -> dict[str, tuple[EmbeddingField, ...]]:
    """The field that answers for each name: itself, or the one that replaces it and serves.

    Where it is not known which of them serves, both. A replacement that this process does not declare is none of its
    own: it could not embed a query for it, and goes on with the field that it knows, whose vectors are kept up to date.
    """
    fields = embedding_fields(model)
    found: dict[str, tuple[EmbeddingField, ...]] = {name: (field,) for name, field in fields.items()}
    for name, field in fields.items():
        replaced = field.replaces and fields.get(field.replaces)
        if replaced and (known is None or name in known.serving):
            found[replaced.name] = (field,) if known else (replaced, field)
    return found


def configured(fields: Iterable[EmbeddingField], known: Recorded | None, using: str | None) -> Signatures:
    """The signatures of the fields' embedders. Raises SignatureMismatch where they are known not to be the vectors'."""
    fields = list(fields)
    if known is not None:
        for field in fields:
            field.require_signature(known.signatures[field.name], using)
    return {field.name: str(field.embedder.signature) for field in fields}

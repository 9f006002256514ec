"""Which embedding fields a search asks, and by which names."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db import models

from mmsearch_django.embedders.base import Modality
from mmsearch_django.exceptions import QueryError, UnknownField
from mmsearch_django.fields import EmbeddingField, searched_fields
from mmsearch_django.search.terms import Item, Term

Available = Mapping[str, Sequence[EmbeddingField]]
"""What may answer for each name; see ``spaces.serving``."""


@dataclass(frozen=True)
class Asked:
    """A leg's name, the field that answers for it, and its weight in the fusion."""

    name: str
    field: EmbeddingField
    weight: float


def choose(
    model: type[models.Model],
    available: Available,
    plus: Sequence[Term | Item],
    fields: Iterable[str] | None,
    weights: Mapping[str, float] | None,
    *,
    raw: bool,
) -> list[Asked]:
    """What is asked for these terms, or for a ``raw`` vector. Raises QueryError."""
    names = _names(model, available, fields) or _default_names(model, available, plus, raw=raw)
    kept = _weighted(names, weights or {})
    return [Asked(name, field, weight) for name, weight in kept.items() for field in available[name]]


def _names(model: type[models.Model], available: Available, fields: Iterable[str] | None) -> list[str]:
    """The fields that were asked for, each once; none if none were named."""
    if not available:
        raise QueryError(f"{model._meta.label} has no embedding field. Declare one, or use searchable().")
    if fields is None:
        return []
    if isinstance(fields, str):
        raise UnknownField(f"fields= takes a list of names: fields=[{fields!r}].")
    names, known = list(dict.fromkeys(fields)), ", ".join(searched_fields(model))
    for name in names:
        if name not in available:
            raise UnknownField(f"{model._meta.label} has no embedding field {name!r}; it has {known}.")
    if not names:
        raise UnknownField(f"fields= names no field; {model._meta.label} has {known}.")
    return names


def _default_names(
    model: type[models.Model], available: Available, plus: Sequence[Term | Item], *, raw: bool
) -> list[str]:
    """The legs that are asked when nobody names them.

    A picture is compared with pictures: against captions it would bring one leg's noise to the other's certainty.
    """
    legs = {name: available[name] for name in searched_fields(model)}
    if raw and len(legs) > 1:
        raise QueryError(f"vector= needs fields=: name the one it belongs to, of {', '.join(legs)}.")
    wanted: set[Modality] = {term.modality for term in plus if term.modality}
    able = [name for name, fields in legs.items() if all(wanted <= field.embedder.modalities for field in fields)]
    if wanted and not able:
        raise QueryError(f"No embedder of {model._meta.label} can embed {' and '.join(sorted(wanted))}.")
    pictures = [name for name in able if legs[name][0].source.modality == "image"]
    return pictures if pictures and "image" in wanted else able


def _weighted(names: Sequence[str], weights: Mapping[str, float]) -> dict[str, float]:
    for name, weight in weights.items():
        if name not in names:
            raise UnknownField(
                f"weights= names {name!r}, which is not searched; the fields are {', '.join(names)}.", "weights"
            )
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < math.inf:
            raise QueryError(f"The weight of {name!r} must be a number of 0 or more, not {weight!r}.", "weights")
    kept = {name: float(weights.get(name, 1.0)) for name in names if weights.get(name, 1.0) > 0}
    if not kept:
        raise QueryError(f"No field is left to search: give one of {', '.join(names)} a weight above 0.", "weights")
    return kept

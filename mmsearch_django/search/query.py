"""A search as asked: its legs, each with one query vector. Everything that can be wrong with it is said here."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from django.db import models
from numpy.typing import NDArray

from mmsearch_django.conf import conf
from mmsearch_django.embedders.base import Modality, Vectors
from mmsearch_django.embedders.calibration import Calibration
from mmsearch_django.exceptions import (
    EmbedderUnavailable,
    EmptyQuery,
    InvalidVector,
    NotIndexed,
    QueryError,
    UnknownField,
)
from mmsearch_django.fields import EmbeddingField, embedding_fields
from mmsearch_django.search import terms
from mmsearch_django.search.terms import Term

AVOID = 0.5
"""How far ``avoid`` turns the query away: norm(q - 0.5 a)."""
MAX_DEPTH = 1000
LEARNT = "learnt"
"""The floor that a space has learnt, or its embedder ships."""


@dataclass(frozen=True)
class Leg:
    """One ranked retrieval: an embedding field and the vector to compare with."""

    name: str
    space: tuple[str, str]
    """Model label and field name, under which its state is kept."""
    literal: str
    """The query vector as halfvec text, of unit length."""
    dimensions: int
    weight: float
    kind: Modality | None = None
    """What the query is, and so which calibration of the space holds; None for a raw vector, which has none."""
    calibration: Calibration | None = None
    """Serves until the space has learnt its own."""


@dataclass(frozen=True)
class Query:
    """What to search by. Holds plain values only, so that querysets pickle."""

    legs: tuple[Leg, ...]
    depth: int
    degraded: tuple[str, ...] = ()
    """Legs that were asked for but whose embedder did not answer."""
    floor: bool = True
    """Whether each leg drops what is below its floor."""
    min_closeness: float = 0.0
    keywords: models.Q | None = None
    """Selects rows that come first, however near they are."""


def build(
    model: type[models.Model],
    text: str | None = None,
    *,
    image: Any = None,
    vector: Any = None,
    fields: Iterable[str] | None = None,
    weights: Mapping[str, float] | None = None,
    avoid: str | None = None,
    depth: int | None = None,
    floor: str | None = LEARNT,
    min_closeness: float = 0.0,
    keywords: models.Q | None = None,
) -> Query:
    """The query for the arguments of ``.search()``; texts and pictures are embedded here. Raises QueryError."""
    plus = terms.read(text=text, image=image)
    if vector is not None and (plus or avoid):
        raise QueryError("vector= is searched alone: leave out text, image and avoid.")
    if vector is None and not plus:
        raise EmptyQuery("There is nothing to search by: give a text, image= or vector=.")
    minus = terms.read(text=avoid, image=None)
    names = _names(model, fields) or _default_names(model, plus, vector)
    asked = _weighted(model, names, weights)
    limits = replace(_limits(depth, floor, min_closeness), keywords=keywords)
    if vector is not None:
        return _finish({name: _raw_vector(field, vector) for name, (field, _) in asked.items()}, asked, {}, limits)
    return _embed(asked, plus, minus, limits)


def build_similar(
    obj: models.Model,
    *,
    fields: Iterable[str] | None = None,
    weights: Mapping[str, float] | None = None,
    depth: int | None = None,
    floor: str | None = LEARNT,
    min_closeness: float = 0.0,
    using: str | None = None,
) -> Query:
    """The query by an object's own vectors. Legs without one are left out; raises NotIndexed if none is left."""
    asked = _weighted(type(obj), _names(type(obj), fields) or list(embedding_fields(type(obj))), weights)
    own = type(obj)._base_manager.using(using).filter(pk=obj.pk).values_list(*(f"{name}__vector" for name in asked))
    found = zip(asked.items(), own.first() or (), strict=False)
    vectors = {name: _unit(_array(vector), field) for (name, (field, _)), vector in found if vector is not None}
    if not vectors:
        raise NotIndexed(
            f"{type(obj)._meta.label} {obj.pk!r} has no vector yet in {', '.join(asked)}; "
            f"run mmsearch_index, or see mmsearch_status for the reason."
        )
    asked = {name: asked[name] for name in vectors}
    kinds = {name: field.source.modality for name, (field, _) in asked.items()}
    return _finish(vectors, asked, kinds, _limits(depth, floor, min_closeness))


Asked = dict[str, tuple[EmbeddingField, float]]


@dataclass(frozen=True)
class Limits:
    """How far a search looks."""

    depth: int
    floor: bool
    min_closeness: float
    keywords: models.Q | None = None


def _names(model: type[models.Model], fields: Iterable[str] | None) -> list[str]:
    """The fields that were asked for, each once; none if none were named."""
    available = embedding_fields(model)
    if not available:
        raise QueryError(f"{model._meta.label} has no embedding field. Declare one, or use searchable().")
    if fields is None:
        return []
    if isinstance(fields, str):
        raise UnknownField(f"fields= takes a list of names: fields=[{fields!r}].")
    names = list(dict.fromkeys(fields))
    for name in names:
        if name not in available:
            raise UnknownField(f"{model._meta.label} has no embedding field {name!r}; it has {', '.join(available)}.")
    if not names:
        raise UnknownField(f"fields= names no field; {model._meta.label} has {', '.join(available)}.")
    return names


def _default_names(model: type[models.Model], plus: Sequence[Term], vector: Any) -> list[str]:
    """The legs that are asked when nobody names them.

    A picture is compared with pictures: against captions it would bring one leg's noise to the other's certainty.
    """
    available = embedding_fields(model)
    if vector is not None and len(available) > 1:
        raise QueryError(f"vector= needs fields=: name the one it belongs to, of {', '.join(available)}.")
    wanted = {term.modality for term in plus}
    able = {name: field for name, field in available.items() if wanted <= field.embedder.modalities}
    if not able:
        raise QueryError(f"No embedder of {model._meta.label} can embed {' and '.join(sorted(wanted))}.")
    pictures = [name for name, field in able.items() if field.source.modality == "image"]
    return pictures if pictures and "image" in wanted else list(able)


def _weighted(model: type[models.Model], names: Sequence[str], weights: Mapping[str, float] | None) -> Asked:
    available = embedding_fields(model)
    weights = weights or {}
    for name, weight in weights.items():
        if name not in names:
            raise UnknownField(f"weights= names {name!r}, which is not searched; the fields are {', '.join(names)}.")
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < math.inf:
            raise QueryError(f"The weight of {name!r} must be a number of 0 or more, not {weight!r}.")
    asked = {name: (available[name], float(weights.get(name, 1.0))) for name in names if weights.get(name, 1.0) > 0}
    if not asked:
        raise QueryError(f"No field is left to search: give one of {', '.join(names)} a weight above 0.")
    return asked


def _embed(asked: Asked, plus: Sequence[Term], minus: Sequence[Term], limits: Limits) -> Query:
    vectors: dict[str, Vectors] = {}
    away: dict[str, EmbedderUnavailable] = {}
    for name, (field, _) in asked.items():
        try:
            vectors[name] = _turned(field, plus, minus)
        except EmbedderUnavailable as error:
            away[name] = error
    if not vectors:
        raise next(iter(away.values()))
    # A text brings less similarity than a picture, so with both it is the text's floor that holds.
    kind: Modality = "text" if any(term.modality == "text" for term in plus) else "image"
    return _finish(vectors, {name: asked[name] for name in vectors}, dict.fromkeys(vectors, kind), limits, tuple(away))


def _turned(field: EmbeddingField, plus: Sequence[Term], minus: Sequence[Term]) -> Vectors:
    for term in (*plus, *minus):
        if term.modality not in field.embedder.modalities:
            raise QueryError(f"{field.label} cannot be searched by {term.modality}: {field.alias!r} does not embed it.")
    embedded = [_unit(term.embed(field.embedder), field) for term in plus]
    vector = _unit(np.sum(embedded, axis=0), field)
    for term in minus:
        vector = _unit(vector - AVOID * term.embed(field.embedder), field)
    return vector


def _raw_vector(field: EmbeddingField, vector: Any) -> Vectors:
    try:
        array = np.asarray(vector, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidVector(f"vector= must be a sequence of numbers, not {type(vector).__name__}.") from None
    if array.shape != (field.dimensions,):
        raise InvalidVector(
            f"{field.label} has {field.dimensions} dimensions; vector= has shape {array.shape}. "
            f"Embed the query with {field.alias!r}, or name the right field in fields=."
        )
    return _unit(array, field)


def _array(value: Any) -> NDArray[np.float64]:
    # pgvector gives a list or an object of its own, depending on its version.
    return np.asarray(value.to_list() if hasattr(value, "to_list") else value, dtype=np.float64)


def _unit(vector: NDArray[Any], field: EmbeddingField) -> Vectors:
    length = np.linalg.norm(vector.astype(np.float64))
    if not np.isfinite(length) or length == 0:
        raise InvalidVector(f"The query vector for {field.label} is not finite or has length zero.")
    unit: Vectors = vector / length
    return unit


def _limits(depth: Any, floor: Any, min_closeness: Any) -> Limits:
    depth = conf.DEPTH if depth is None else depth
    if not isinstance(depth, int) or not 1 <= depth <= MAX_DEPTH:
        raise QueryError(f"depth must be a whole number from 1 to {MAX_DEPTH}, not {depth!r}.")
    if floor not in (None, LEARNT):
        raise QueryError(f"floor must be {LEARNT!r}, or None for no floor; not {floor!r}. See min_closeness=.")
    if isinstance(min_closeness, bool) or not isinstance(min_closeness, int | float) or not 0 <= min_closeness <= 1:
        raise QueryError(f"min_closeness must be a number from 0 to 1, not {min_closeness!r}.")
    return Limits(depth, floor == LEARNT, float(min_closeness))


def _finish(
    vectors: Mapping[str, Vectors],
    asked: Asked,
    kinds: Mapping[str, Modality],
    limits: Limits,
    degraded: tuple[str, ...] = (),
) -> Query:
    legs = tuple(_leg(field, weight, vectors[name], kinds.get(name)) for name, (field, weight) in asked.items())
    return Query(legs, limits.depth, degraded, limits.floor, limits.min_closeness, limits.keywords)


def _leg(field: EmbeddingField, weight: float, vector: Vectors, kind: Modality | None) -> Leg:
    return Leg(
        name=field.name,
        space=(field.model._meta.label_lower, field.name),
        literal=literal(vector),
        dimensions=len(vector),
        weight=weight,
        kind=kind,
        calibration=field.embedder.calibrations.get((kind, field.source.modality)) if kind else None,
    )


def literal(vector: Vectors) -> str:
    """The vector as halfvec text: five digits tell every half-precision number from its neighbours."""
    return "[" + ",".join(f"{value:.5g}" for value in vector.astype(np.float16).tolist()) + "]"

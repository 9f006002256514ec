"""A search as asked: its legs, each with one query vector. Everything that can be wrong with it is said here."""

import math
from collections import Counter
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
    EmbedderError,
    EmptyQuery,
    InvalidVector,
    NotIndexed,
    QueryError,
    UnknownField,
)
from mmsearch_django.fields import EmbeddingField, embedding_fields
from mmsearch_django.search import spaces, terms
from mmsearch_django.search.terms import Item, Term

AVOID = 0.5
"""How far ``avoid`` turns the query away: norm(q - 0.5 a)."""
MAX_DEPTH = 1000
LEARNT = "learnt"
"""The floor that a space has learnt, or its embedder ships."""


@dataclass(frozen=True)
class Share:
    """How much of a query vector one kind of term is.

    The vector is the sum of unit vectors over its length, so its similarity to anything is the sum of theirs over that
    length: the similarities that calibrate them add up alike.
    """

    kind: Modality
    size: float
    """Number of such terms, divided by the length of the sum of all."""
    shipped: Calibration | None = None
    """Serves until the space has learnt its own."""


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
    shares: tuple[Share, ...] = ()
    """What the query vector is made of, and so which calibrations of the space hold; a raw vector has none."""
    signature: str = ""
    """What made the query vector; it is compared with nothing that another signature made."""


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
    items: tuple[Any, ...] = ()
    """Keys of the objects that it asks by, which need not be found."""
    checked: bool = True
    """Whether the vectors were known to be its legs' when it was built; else it is asked when it runs."""


def build(
    model: type[models.Model],
    text: str | None = None,
    *,
    image: Any = None,
    like: Any = None,
    vector: Any = None,
    fields: Iterable[str] | None = None,
    weights: Mapping[str, float] | None = None,
    avoid: Any = None,
    depth: int | None = None,
    floor: str | None = LEARNT,
    min_closeness: float = 0.0,
    keywords: models.Q | None = None,
    using: str | None = None,
) -> Query:
    """The query for the arguments of ``.search()``; texts and pictures are embedded here, objects' vectors read.

    Raises QueryError, SignatureMismatch if a field's vectors are another embedder's, or NotIndexed if there are objects
    alone to search by and none has a vector.
    """
    made_by = spaces.recorded(model, using)  # Before the objects' vectors: another embedder may take over in between.
    plus: list[Term | Item] = [] if text is None else [terms.text(text)]
    plus += [terms.image(each) for each in terms.several(image)]
    plus += terms.items(terms.several(like), model, using)
    if vector is not None and (plus or avoid is not None):
        raise QueryError("vector= is searched alone: leave out text, image, like and avoid.")
    if vector is None and not plus:
        raise EmptyQuery("There is nothing to search by: give a text, image=, like= or vector=.")
    minus = terms.mixed(avoid, model, using)
    names = _names(model, fields) or _default_names(model, plus, vector)
    asked = _weighted(model, names, weights)
    limits = replace(_limits(depth, floor, min_closeness), keywords=keywords)
    checked = made_by is not None
    if made_by is None or vector is not None or any(isinstance(term, Term) for term in (*plus, *minus)):
        made_by = spaces.configured((field for field, _ in asked.values()), made_by, using)
    if vector is not None:
        query = _finish([_leg(field, weight, _raw_vector(field, vector)) for field, weight in asked.values()], limits)
    else:
        query = _embed(asked, plus, minus, limits)
    legs = tuple(replace(leg, signature=made_by[leg.name]) for leg in query.legs)
    items = tuple(term.pk for term in (*plus, *minus) if isinstance(term, Item))
    return replace(query, legs=legs, items=items, checked=checked)


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


def _default_names(model: type[models.Model], plus: Sequence[Term | Item], vector: Any) -> list[str]:
    """The legs that are asked when nobody names them.

    A picture is compared with pictures: against captions it would bring one leg's noise to the other's certainty.
    """
    available = embedding_fields(model)
    if vector is not None and len(available) > 1:
        raise QueryError(f"vector= needs fields=: name the one it belongs to, of {', '.join(available)}.")
    wanted: set[Modality] = {term.modality for term in plus if term.modality}
    able = {name: field for name, field in available.items() if not wanted or wanted <= field.embedder.modalities}
    if not able:
        raise QueryError(f"No embedder of {model._meta.label} can embed {' and '.join(sorted(wanted))}.")
    pictures = [name for name, field in able.items() if field.source.modality == "image"]
    return pictures if pictures and "image" in wanted else list(able)


def _weighted(model: type[models.Model], names: Sequence[str], weights: Mapping[str, float] | None) -> Asked:
    available = embedding_fields(model)
    weights = weights or {}
    for name, weight in weights.items():
        if name not in names:
            raise UnknownField(
                f"weights= names {name!r}, which is not searched; the fields are {', '.join(names)}.", "weights"
            )
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < math.inf:
            raise QueryError(f"The weight of {name!r} must be a number of 0 or more, not {weight!r}.", "weights")
    asked = {name: (available[name], float(weights.get(name, 1.0))) for name in names if weights.get(name, 1.0) > 0}
    if not asked:
        raise QueryError(f"No field is left to search: give one of {', '.join(names)} a weight above 0.", "weights")
    return asked


def _embed(asked: Asked, plus: Sequence[Term | Item], minus: Sequence[Term | Item], limits: Limits) -> Query:
    legs: list[Leg] = []
    away: dict[str, EmbedderError] = {}
    for name, (field, weight) in asked.items():
        try:
            made = _towards(field, plus)
            if made is not None:
                legs.append(_leg(field, weight, _away_from(field, made[0], minus), made[1]))
        except EmbedderError as error:
            away[name] = error
    if not legs:
        raise next(iter(away.values()), _not_indexed(asked, plus))
    return _finish(legs, limits, tuple(away))


def _towards(field: EmbeddingField, plus: Sequence[Term | Item]) -> tuple[Vectors, tuple[Share, ...]] | None:
    """The mean direction of what is asked for, and what it is made of; None if there is nothing to ask by.

    Rocchio's feedback in the vector space ("The SMART Retrieval System", 1971), over unit vectors.
    """
    units: list[Vectors] = []
    kinds: Counter[Modality] = Counter()
    for term in plus:
        vector = term.vector(field)
        if vector is not None:
            units.append(_unit(vector, field))
            # An object's own vector is as near to others as what it was made of.
            kinds[term.modality or field.source.modality] += 1
    if not units:
        return None
    total = np.sum(units, axis=0)
    direction, length = _unit(total, field), float(np.linalg.norm(total))
    shipped = field.embedder.calibrations
    shares = (Share(kind, n / length, shipped.get((kind, field.source.modality))) for kind, n in kinds.items())
    return direction, tuple(shares)


def _away_from(field: EmbeddingField, vector: Vectors, minus: Sequence[Term | Item]) -> Vectors:
    for term in minus:
        if (other := term.vector(field)) is not None:
            vector = _unit(vector - AVOID * _unit(other, field), field)
    return vector


def _not_indexed(asked: Asked, plus: Sequence[Term | Item]) -> NotIndexed:
    keys = ", ".join(repr(term.pk) for term in plus if isinstance(term, Item))
    model = next(iter(asked.values()))[0].model
    return NotIndexed(
        f"{model._meta.label} {keys} has no vector yet in {', '.join(asked)}; "
        f"run mmsearch_index, or see mmsearch_status for the reason."
    )


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


def _unit(vector: NDArray[Any], field: EmbeddingField) -> Vectors:
    length = np.linalg.norm(vector.astype(np.float64))
    if not np.isfinite(length) or length == 0:
        raise InvalidVector(f"The query vector for {field.label} is not finite or has length zero.")
    unit: Vectors = vector / length
    return unit


def _limits(depth: Any, floor: Any, min_closeness: Any) -> Limits:
    depth = conf.DEPTH if depth is None else depth
    if not isinstance(depth, int) or not 1 <= depth <= MAX_DEPTH:
        raise QueryError(f"depth must be a whole number from 1 to {MAX_DEPTH}, not {depth!r}.", "depth")
    if floor not in (None, LEARNT):
        raise QueryError(f"floor must be {LEARNT!r}, or None for no floor; not {floor!r}. See min_closeness=.", "floor")
    if isinstance(min_closeness, bool) or not isinstance(min_closeness, int | float) or not 0 <= min_closeness <= 1:
        raise QueryError(f"min_closeness must be a number from 0 to 1, not {min_closeness!r}.", "min_closeness")
    return Limits(depth, floor == LEARNT, float(min_closeness))


def _finish(legs: Sequence[Leg], limits: Limits, degraded: tuple[str, ...] = ()) -> Query:
    return Query(tuple(legs), limits.depth, degraded, limits.floor, limits.min_closeness, limits.keywords)


def _leg(field: EmbeddingField, weight: float, vector: Vectors, shares: tuple[Share, ...] = ()) -> Leg:
    return Leg(
        name=field.name,
        space=(field.model._meta.label_lower, field.name),
        literal=literal(vector),
        dimensions=len(vector),
        weight=weight,
        shares=shares,
    )


def literal(vector: Vectors) -> str:
    """The vector as halfvec text: five digits tell every half-precision number from its neighbours."""
    return "[" + ",".join(f"{value:.5g}" for value in vector.astype(np.float16).tolist()) + "]"

"""A search as asked: its legs, each with one query vector. Everything that can be wrong with it is said here."""

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
    EmbedderUnavailable,
    EmptyQuery,
    InvalidVector,
    NotIndexed,
    QueryError,
)
from mmsearch_django.fields import EmbeddingField, embedding_fields
from mmsearch_django.search import spaces, terms
from mmsearch_django.search.asked import Asked, choose
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
    """What was asked for: the field, or the one that it serves in place of."""
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
    """Whether the spaces were read when it was built; else see ``settled``, when it runs."""


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
    known = spaces.recorded(model, using)  # Before the objects' vectors: another embedder may take over in between.
    available = spaces.serving(model, known)
    stored = {field.name for fields in available.values() for field in fields}
    plus: list[Term | Item] = [] if text is None else [terms.text(text)]
    plus += [terms.image(each) for each in terms.several(image)]
    plus += terms.items(terms.several(like), stored, model, using)
    if vector is not None and (plus or avoid is not None):
        raise QueryError("vector= is searched alone: leave out text, image, like and avoid.")
    if vector is None and not plus:
        raise EmptyQuery("There is nothing to search by: give a text, image=, like= or vector=.")
    minus = terms.mixed(avoid, stored, model, using)
    asked = choose(model, available, plus, fields, weights, raw=vector is not None)
    limits = replace(_limits(depth, floor, min_closeness), keywords=keywords)
    if known is None or vector is not None or any(isinstance(term, Term) for term in (*plus, *minus)):
        made_by = spaces.configured((each.field for each in asked), known, using)
    else:
        made_by = known.signatures
    query = _embed(asked, plus, minus, limits) if vector is None else _finish(_raw_legs(asked, vector), limits)
    legs = tuple(replace(leg, signature=made_by[leg.space[1]]) for leg in query.legs)
    items = tuple(term.pk for term in (*plus, *minus) if isinstance(term, Item))
    return replace(query, legs=legs, items=items, checked=known is not None)


def settled(query: Query, model: type[models.Model], using: str | None) -> Query:
    """The query that was built in a coroutine, where no database can be asked: of its legs those that serve now.

    Raises SignatureMismatch, or EmbedderUnavailable if no leg is left.
    """
    available = spaces.serving(model, known := spaces.recorded(model, using))
    fields = {name: {field.name for field in fields} for name, fields in available.items()}
    legs = tuple(leg for leg in query.legs if leg.space[1] in fields[leg.name])
    if not legs:
        raise EmbedderUnavailable(f"The embedder of what serves {', '.join(query.degraded)} did not answer.")
    spaces.configured((embedding_fields(model)[leg.space[1]] for leg in legs), known, using)
    names = {leg.name for leg in legs}
    away = tuple(dict.fromkeys(leg.name for leg in query.legs if leg.name not in names))
    return replace(query, legs=legs, degraded=away + tuple(n for n in query.degraded if n not in (*names, *away)))


@dataclass(frozen=True)
class Limits:
    """How far a search looks."""

    depth: int
    floor: bool
    min_closeness: float
    keywords: models.Q | None = None


def _embed(asked: Sequence[Asked], plus: Sequence[Term | Item], minus: Sequence[Term | Item], limits: Limits) -> Query:
    legs: list[Leg] = []
    away: dict[str, EmbedderError] = {}
    for each in asked:
        try:
            made = _towards(each.field, plus)
            if made is not None:
                legs.append(_leg(each, _away_from(each.field, made[0], minus), made[1]))
        except EmbedderError as error:
            away[each.name] = error
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


def _not_indexed(asked: Sequence[Asked], plus: Sequence[Term | Item]) -> NotIndexed:
    keys = ", ".join(repr(term.pk) for term in plus if isinstance(term, Item))
    model = asked[0].field.model
    return NotIndexed(
        f"{model._meta.label} {keys} has no vector yet in {', '.join(each.name for each in asked)}; "
        f"run mmsearch_index, or see mmsearch_status for the reason."
    )


def _raw_legs(asked: Sequence[Asked], vector: Any) -> list[Leg]:
    """A vector may be of one only of the fields that may serve."""
    legs, unfit = [], []
    for each in asked:
        try:
            legs.append(_leg(each, _raw_vector(each.field, vector)))
        except InvalidVector as error:
            unfit.append(error)
    if {leg.name for leg in legs} != {each.name for each in asked}:
        raise unfit[0]
    return legs


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


def _leg(asked: Asked, vector: Vectors, shares: tuple[Share, ...] = ()) -> Leg:
    return Leg(
        name=asked.name,
        space=(asked.field.model._meta.label_lower, asked.field.name),
        literal=literal(vector),
        dimensions=len(vector),
        weight=asked.weight,
        shares=shares,
    )


def literal(vector: Vectors) -> str:
    """The vector as halfvec text: five digits tell every half-precision number from its neighbours."""
    return "[" + ",".join(f"{value:.5g}" for value in vector.astype(np.float16).tolist()) + "]"

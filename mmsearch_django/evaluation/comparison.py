"""Two ways to search, asked the same judged queries: how they differ, and how sure that is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from django.db import models

from mmsearch_django.evaluation.metrics import MEASURES, Scores
from mmsearch_django.exceptions import QueryError
from mmsearch_django.fields import searched_fields
from mmsearch_django.search import spaces

RESAMPLES = 10_000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Difference:
    """Of a measure, the second way less the first, as means over queries: above 0 the second is better."""

    mean: float
    low: float
    high: float
    """Limits of the confidence interval. Where 0 lies between them, chance may have made the difference."""

    @property
    def is_certain(self) -> bool:
        return not self.low <= 0 <= self.high


@dataclass(frozen=True)
class Change:
    """What a query gained, or lost, in the primary measure."""

    query: str
    before: float
    after: float

    @property
    def gain(self) -> float:
        return self.after - self.before


def with_variant(
    model: type[models.Model], fields: Sequence[str] | None, old: str, new: str, using: str | None
) -> list[str]:
    """The ``fields`` (default: all that a text asks) with ``new`` in the place of ``old``.

    Raises QueryError if they do not name ``old``, there is no ``new``, or it serves in place of ``old`` already.
    """
    available = spaces.serving(model, spaces.recorded(model, using))
    names = fields or [name for name in searched_fields(model) if "text" in available[name][0].embedder.modalities]
    if old not in names or new not in available or old == new:
        raise QueryError(
            f"--variant {old}={new} names a field that is searched ({', '.join(names)}), and another one of "
            f"{model._meta.label} to ask in its place ({', '.join(available)}).",
            "variant",
        )
    if available[old] == available[new]:
        raise QueryError(
            f"{new} serves in place of {old} already, so both ask the same. To compare them, let {old} serve: "
            f"manage.py mmsearch_switch {model._meta.label} {old} --back",
            "variant",
        )
    return list(dict.fromkeys(new if name == old else name for name in names))


def differences(before: Scores, after: Scores) -> dict[str, Difference]:
    """By measure. The interval is the bootstrap's, over queries (Sakai 2006): each is asked both ways, so pairs stay.

    The same every time for the same scores.
    """
    return {name: _difference(before[name], after[name]) for name in before}


def _difference(before: Mapping[str, float], after: Mapping[str, float]) -> Difference:
    gains = np.array([after[query] - before[query] for query in before])
    drawn = np.random.default_rng(0).integers(len(gains), size=(RESAMPLES, len(gains)))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(gains[drawn].mean(axis=1), [tail, 1 - tail])
    return Difference(float(gains.mean()), float(low), float(high))


def changes(before: Scores, after: Scores) -> list[Change]:
    """Queries that the ways answer differently well by the primary measure, those that gained most first."""
    primary = MEASURES[0]
    found = [Change(query, value, after[primary][query]) for query, value in before[primary].items()]
    return sorted((change for change in found if change.gain), key=lambda change: -change.gain)

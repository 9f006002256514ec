"""Reciprocal rank fusion: the one formula, in Python and as SQL.

Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods"
(SIGIR 2009). Ranks count from 1; an item that a leg did not return gets nothing from it. Distances of different legs
are never compared: between text and pictures they mean different things.
"""

from collections.abc import Mapping

K = 60
"""The constant of the paper."""


def score(ranks: Mapping[str, int], weights: Mapping[str, float]) -> float:
    """Fused score, 0 to 1: sum of weight / (K + rank), divided by what rank 1 in every leg would give."""
    best = sum(weight / (K + 1) for weight in weights.values())
    return sum(weights[leg] / (K + rank) for leg, rank in ranks.items()) / best


def first_sql(score: str, first: str) -> str:
    """The score, still 0 to 1, where rows of which ``first`` is true have 0.5 or more, and all others less."""
    return f"CASE WHEN {first} THEN (1 + {score}) / 2 ELSE ({score}) * {K} / ({K} + 1) / 2 END"


def score_sql(weight: str, rank: str, total_weight: str) -> str:
    """The same as an aggregate over the rows of one item, for SQL expressions of weight, rank and total weight."""
    return f"sum({weight} / ({K} + {rank})) / ({total_weight} / ({K} + 1))"

import sys

import numpy as np
import pytest

from mmsearch_django.evaluation.metrics import MEASURES, measure
from mmsearch_django.exceptions import ConfigurationError


def by_hand(grades, ranking):
    """The four figures of one query, from their definitions."""
    gains = np.array([max(grades.get(item, 0), 0) for item in ranking], dtype=float)
    ideal = np.sort([max(grade, 0) for grade in grades.values()])[::-1][:10]
    discounts = 1 / np.log2(np.arange(2, 12))
    hits = np.flatnonzero(gains)
    return {
        "nDCG@10": gains[:10] @ discounts[: len(gains[:10])] / (ideal @ discounts[: len(ideal)]),
        "recall@10": np.count_nonzero(gains[:10]) / sum(grade > 0 for grade in grades.values()),
        "MRR": 1 / (hits[0] + 1) if len(hits) else 0.0,
        "P@1": float(len(gains) > 0 and gains[0] > 0),
    }


@pytest.mark.parametrize("seed", range(5))
def test_the_figures_are_those_of_their_definitions(seed):
    random = np.random.default_rng(seed)
    items = [f"item{number}" for number in range(60)]
    qrels, rankings = {}, {}
    for query in map(str, range(8)):
        grades = {str(item): int(random.integers(-1, 4)) for item in random.choice(items, 25, replace=False)}
        qrels[query] = {**grades, items[0]: 2}
        rankings[query] = [str(item) for item in random.permutation(items)[: random.integers(0, 50)]]
    expected = [by_hand(qrels[query], rankings[query]) for query in qrels]
    assert measure(qrels, rankings) == pytest.approx(
        {name: np.mean([row[name] for row in expected]) for name in MEASURES}
    )


def test_a_query_that_was_not_answered_counts_as_nothing():
    assert measure({"1": {"a": 1}, "2": {"b": 1}}, {"1": ["a"]}) == dict.fromkeys(MEASURES, 0.5)


def test_the_order_of_a_long_ranking_is_kept():
    ranking = [f"item{number}" for number in range(1000)]
    assert measure({"1": {"item999": 1}}, {"1": ranking})["MRR"] == pytest.approx(0.001)


def test_without_the_library_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ir_measures", None)
    with pytest.raises(ConfigurationError, match=r"mmsearch-django\[evaluation\]"):
        measure({"1": {"a": 1}}, {})

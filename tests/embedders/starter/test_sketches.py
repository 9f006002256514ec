"""Sketches drawn by script, judged against the demo library. ``python -m benchmarks.sketches`` has all figures."""

import pytest

from benchmarks.drawings import THINGS
from benchmarks.sketches import cropped, drawn, qrels, rankings
from mmsearch_django.evaluation.metrics import measure

RECALL_BY_CHANCE = 0.07
MRR_BY_CHANCE = 0.05


@pytest.fixture
def found(starter, vectors):
    """What the sketches of a style find."""

    def find(style):
        sketches = {thing.__name__: cropped(drawn(thing, style, hand=0)) for thing in THINGS}
        return rankings(starter, vectors, sketches)

    return find


def test_filled_sketches_find_what_they_show(found):
    figures = measure(qrels(), found("coloured and filled"))
    assert figures["recall@10"] > max(0.48, 6 * RECALL_BY_CHANCE)
    assert figures["MRR"] > max(0.33, 6 * MRR_BY_CHANCE)


def test_lines_alone_find_less_but_more_than_chance(found):
    figures = measure(qrels(), found("black lines"))
    assert 3 * RECALL_BY_CHANCE < figures["recall@10"] < 0.48
    assert 2 * MRR_BY_CHANCE < figures["MRR"] < 0.33


@pytest.mark.parametrize("style", ["black lines", "coloured lines", "coloured and filled"])
def test_the_floor_of_pictures_silences_hardly_any_sketch(found, style):
    assert len([name for name, ranking in found(style).items() if not ranking]) <= 1


def test_judgements_name_pictures_of_the_library(rows):
    for numbers in THINGS.values():
        assert all(rows[number - 1]["file"].startswith(f"demo{number:03}") for number in numbers)

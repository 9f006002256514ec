"""Rows that are selected by name come first, as a leg of their own."""

import pytest
from django.db.models import Q

from mmsearch_django.models import Space
from mmsearch_django.search import fusion
from tests.models import Asset

TEXT = "asset 17"


ONES = Q(title__startswith="asset 1")


def search(named=ONES, **options):
    return Asset.objects.search(TEXT, keywords=named, **options)


def test_named_rows_come_first_each_part_by_score(library):
    found = list(search(depth=300))
    named = [asset.title.startswith("asset 1") for asset in found]
    assert named == sorted(named, reverse=True)
    assert sum(named) == 111
    weights = {"visual": 1, "words": 1, "keywords": 1}
    for asset in found:
        first = "keywords" in asset.match
        assert first == asset.title.startswith("asset 1")
        score = fusion.score({leg: hit["rank"] for leg, hit in asset.match.items()}, weights)
        assert asset.score == pytest.approx((1 + score) / 2 if first else score * 60 / 61 / 2)
    assert [asset.score for asset in found] == sorted((asset.score for asset in found), reverse=True)


def test_a_common_word_names_the_nearest_of_its_rows(library):
    """Not the oldest, which "car" would find in cards and scarves."""
    keys = [asset.pk for asset in library.assets if asset.title.startswith("asset 1")]
    found = Asset.objects.search(vector=library.query, fields=["visual"], keywords=ONES, depth=10)
    named = sorted((a for a in found if "keywords" in a.match), key=lambda asset: asset.match["keywords"]["rank"])
    assert [asset.pk for asset in named] == library.ranking("visual", keys, 10)
    assert [asset.match["keywords"]["rank"] for asset in named] == list(range(1, 11))


def test_named_rows_need_no_vector_and_pass_any_floor(library):
    Space.objects.update(floors={"text": {"zero": 0, "floor": 0.99, "one": 1}})
    without = next(asset for asset in library.assets if asset.pk not in library.vectors["visual"])
    [found] = search(Q(pk=without.pk))
    assert found == without
    assert found.match == {"keywords": {"rank": 1}}
    assert found.closeness is None
    [found] = search(Q(pk=without.pk), min_closeness=0.9)
    assert found == without


def test_filters_restrict_them_too(library):
    found = search().filter(kind="video")
    assert {asset.kind for asset in found} == {"video"}
    assert found.count() == len(found)


def test_names_through_other_tables(library):
    tag = library.tags[0]
    found = list(search(Q(tags__name=tag.name), depth=300))
    assert len(found) == len({asset.pk for asset in found})
    assert {a.pk for a in found if "keywords" in a.match} == set(tag.asset_set.values_list("pk", flat=True))


def test_as_a_subquery_and_none(library):
    named = Asset.objects.filter(number__lt=5)
    found = search(Q(pk__in=named.values("pk")))
    assert {asset.number for asset in found[:5]} == set(range(5))
    assert not any("keywords" in asset.match for asset in search(Q(pk__in=Asset.objects.none().values("pk"))))


def test_pages_agree(library):
    found = search()
    assert found.count() == len(list(search()))
    assert [a.pk for a in found[:10]] + [a.pk for a in found[10:20]] == [a.pk for a in search()[:20]]

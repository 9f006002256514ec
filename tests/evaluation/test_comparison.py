import pytest

from mmsearch_django.evaluation.comparison import Change, changes, differences, with_variant
from mmsearch_django.evaluation.metrics import MEASURES
from mmsearch_django.exceptions import QueryError
from mmsearch_django.fields import embedding_fields
from mmsearch_django.indexing import switch
from mmsearch_django.indexing.targets import target
from tests.models import Asset, Product


def scores(*values):
    return {name: {str(query): value for query, value in enumerate(values)} for name in MEASURES}


class TestDifferences:
    def test_of_equals_is_nothing(self):
        found = differences(scores(0.1, 0.9), scores(0.1, 0.9))
        assert {(each.mean, each.low, each.high, each.is_certain) for each in found.values()} == {(0, 0, 0, False)}

    def test_the_same_gain_everywhere_is_certain(self):
        found = differences(scores(0.1, 0.5, 0.3), scores(0.2, 0.6, 0.4))["MRR"]
        assert (found.mean, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))
        assert found.is_certain

    def test_of_two_queries_one_gains_and_one_loses(self):
        found = differences(scores(0, 1), scores(1, 0))["P@1"]
        assert (found.mean, found.low, found.high) == (0, -1, 1)

    def test_the_interval_is_that_of_the_normal_distribution_for_many(self):
        """Half of 400 queries gain 1: a mean of 0.5, and 1.96 * sqrt(0.25 / 400) on each side."""
        found = differences(scores(*[0] * 400), scores(*[0, 1] * 200))["MRR"]
        assert (found.low, found.high) == pytest.approx((0.451, 0.549), abs=0.004)


def test_changes_are_sorted_and_leave_out_what_is_the_same():
    found = changes(scores(0.5, 0.5, 1), scores(0.25, 0.5, 2))
    assert found == [Change("2", 1, 2), Change("0", 0.5, 0.25)]


@pytest.mark.django_db
class TestWithVariant:
    def test_takes_the_place_among_all_or_among_those_named(self):
        assert with_variant(Product, None, "words", "words2", None) == ["words2"]
        assert with_variant(Asset, None, "words", "visual", None) == ["visual"]
        assert with_variant(Asset, ["words"], "words", "visual", None) == ["visual"]

    @pytest.mark.parametrize("pair", [("words", "nope"), ("nope", "words"), ("words", "words")])
    def test_refuses_names_of_nothing(self, pair):
        with pytest.raises(QueryError, match="to ask in its place"):
            with_variant(Product, None, *pair, None)

    def test_refuses_what_serves_already(self):
        switch.serve(target(embedding_fields(Product)["words2"]), instead=True)
        with pytest.raises(QueryError, match="mmsearch_switch tests.Product words --back"):
            with_variant(Product, None, "words", "words2", None)

"""Search against a ranking computed in numpy, over random filters, weights, depths and branches."""

import pytest
from django.db.models import Q
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmsearch_django.search import legs
from tests.models import Asset

ATOMS = st.one_of(
    st.builds(lambda value: Q(kind=value), st.sampled_from(["image", "video", "audio"])),
    st.builds(lambda n: Q(number__lt=n), st.integers(0, 260)),
    st.builds(lambda n: Q(number__gte=n), st.integers(0, 260)),
    st.builds(lambda n: Q(team__name=f"team {n}"), st.integers(0, 3)),
    st.builds(lambda n: Q(tags__name=f"tag {n}"), st.integers(0, 4)),
    st.builds(lambda null: Q(visual__isnull=null), st.booleans()),
    st.builds(lambda numbers: Q(number__in=numbers), st.lists(st.integers(0, 260), max_size=20)),
)
FILTERS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.builds(lambda a, b: a & b, inner, inner),
        st.builds(lambda a, b: a | b, inner, inner),
        st.builds(lambda a: ~a, inner),
    ),
    max_leaves=5,
)


@pytest.mark.parametrize("exact_limit", [10_000, 20], ids=["list", "full array"])
def test_any_filter_at_any_time_leaves_exactly_the_best_of_what_passes(library, monkeypatch, exact_limit):
    monkeypatch.setattr(legs, "EXACT_LIMIT", exact_limit)

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(
        before=FILTERS,
        after=FILTERS,
        depth=st.integers(1, 300),
        weights=st.fixed_dictionaries({"visual": st.floats(0.1, 4), "words": st.floats(0.1, 4)}),
        start=st.integers(0, 30),
    )
    def check(before, after, depth, weights, start):
        passing = set(Asset.objects.filter(before).filter(after).values_list("pk", flat=True))
        expected, _ = library.expected(passing, depth=depth, weights=weights)
        found = (
            Asset.objects.filter(before)
            .search(vector=library.query, fields=["visual", "words"], depth=depth, weights=weights)
            .filter(after)
        )
        assert found.count() == len(expected)
        page = [asset.pk for asset in found[start : start + 10]]
        assert page == expected[start : start + 10]
        assert len(found) == len(set(found)) == len(expected)

    check()

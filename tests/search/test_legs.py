"""The branches of the statement, with the bounds lowered so that a small library takes all of them."""

import numpy as np
import pytest
from django.db import connection, transaction

from mmsearch_django.search import legs
from tests.models import Asset


@pytest.fixture
def bounds(monkeypatch):
    monkeypatch.setattr(legs, "EXACT_LIMIT", 50)
    # Tables of rolled-back tests are mostly dead pages: look at all of them.
    monkeypatch.setattr(legs, "SAMPLE_PAGES", 100_000)


@pytest.fixture
def index(library):
    with connection.cursor() as cursor:
        for name in ("visual", "words"):
            cursor.execute(f"CREATE INDEX hnsw_{name} ON tests_asset_{name} USING hnsw (vector halfvec_cosine_ops)")
        # So small a table would be sorted rather than scanned by its index.
        cursor.execute("SET LOCAL enable_seqscan = off")


def searched(library, queryset=None, **options):
    queryset = Asset.objects.all() if queryset is None else queryset
    options = {"depth": 10, "fields": ["visual", "words"], **options}
    return queryset.search(vector=library.query, **options)


def keys(queryset):
    return [asset.pk for asset in queryset]


def test_few_candidates_are_exact(library, index):
    assert searched(library).report.legs == {"visual": "exact", "words": "exact"}


def test_many_candidates_without_an_index_are_exact(library, bounds):
    queryset = searched(library)
    assert queryset.report.legs == {"visual": "exact", "words": "exact"}
    assert keys(queryset) == library.expected(library.vectors["visual"], depth=10)[0]
    assert queryset.report.candidates_text == "more than 50"


def test_many_candidates_use_the_index(library, bounds, index):
    queryset = searched(library)
    assert queryset.report.legs == {"visual": "ann", "words": "ann"}
    assert queryset.report.complete is False
    assert keys(queryset) == library.expected(library.vectors["visual"], depth=10)[0]


def test_legs_are_decided_one_by_one(library, bounds, index):
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX hnsw_words")
    assert searched(library).report.legs == {"visual": "ann", "words": "exact"}


def test_an_invalid_index_is_not_used(library, bounds, index):
    with connection.cursor() as cursor:
        cursor.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'hnsw_visual'::regclass")
    assert searched(library, fields=["visual"]).report.legs == {"visual": "exact"}


def test_a_filter_far_from_the_query_falls_back_to_exact(library, bounds, index, monkeypatch):
    monkeypatch.setattr(legs, "ANN_LIMIT", 40)
    monkeypatch.setattr(legs, "EF_MIN", 40)
    far = library.ranking("visual", library.vectors["visual"], 300)[100:]
    queryset = searched(library, Asset.objects.filter(pk__in=far), fields=["visual"])
    assert queryset.report.legs == {"visual": "exact"}
    assert keys(queryset) == far[:10]


def test_a_filter_near_the_query_keeps_the_index(library, bounds, index):
    near = library.ranking("visual", library.vectors["visual"], 300)[:120]
    queryset = searched(library, Asset.objects.filter(pk__in=near), fields=["visual"])
    assert queryset.report.legs == {"visual": "ann"}
    assert keys(queryset) == near[:10]


def test_vectors_of_deleted_assets_take_no_place(library, bounds, index):
    best = library.ranking("visual", library.vectors["visual"], 20)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM tests_asset_tags WHERE asset_id = ANY(%s)", [best[:8]])
        cursor.execute("DELETE FROM tests_asset WHERE id = ANY(%s)", [best[:8]])
    queryset = searched(library, fields=["visual"])
    assert queryset.report.legs == {"visual": "ann"}
    assert keys(queryset) == best[8:18]


@pytest.mark.parametrize("form", [list, lambda queryset: queryset.count(), lambda queryset: queryset.report])
def test_settings_do_not_leak_into_the_callers_transaction(library, bounds, index, form):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL hnsw.ef_search = 77")
        cursor.execute("SET LOCAL hnsw.iterative_scan = relaxed_order")
        form(searched(library))
        cursor.execute("SELECT current_setting('hnsw.ef_search'), current_setting('hnsw.iterative_scan')")
        assert cursor.fetchone() == ("77", "relaxed_order")


def test_branches_that_are_not_needed_do_not_run(library, bounds, index):
    plan = searched(library, fields=["visual"]).explain(analyze=True)
    assert "Index Scan using hnsw_visual" in plan
    exact = plan[plan.index("CTE mm_ranked0") : plan.index("CTE mm_close0")]
    assert "never executed" in exact
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX hnsw_visual")
    plan = searched(library, fields=["visual"]).explain(analyze=True)
    approximate = plan[plan.index("CTE mm_ann0") : plan.index("CTE mm_passing")]
    assert "never executed" in approximate


class TestReport:
    def test_complete_when_every_candidate_is_in_the_window(self, library):
        some = list(library.vectors["visual"])[:5]
        queryset = searched(library, Asset.objects.filter(pk__in=some))
        assert queryset.report.complete
        assert queryset.report.candidates == 5

    def test_not_complete_when_depth_cut_rows_off(self, library):
        assert not searched(library).report.complete

    def test_candidates_that_no_sweep_has_met_are_pending(self, library):
        without = [asset.pk for asset in library.assets if asset.pk not in library.vectors["visual"]][:3]
        report = searched(library, Asset.objects.filter(pk__in=without)).report
        assert report.pending == 3
        assert not report.complete

    def test_candidates_that_were_written_just_now_are_pending(self, library):
        new = Asset.objects.create(title="new")
        report = searched(library, Asset.objects.filter(pk=new.pk)).report
        assert (report.candidates, report.pending, report.complete) == (1, 1, False)

    def test_reads_as_one_line(self, library):
        line = str(searched(library, Asset.objects.filter(kind="nothing")).report)
        assert line.startswith("0 candidates; ")
        assert line.endswith(" ms")

    def test_is_read_from_loaded_rows(self, library, django_assert_num_queries):
        queryset = searched(library)
        list(queryset)
        with django_assert_num_queries(0):
            assert queryset.report.candidates == 260

    def test_none_without_a_search(self, library):
        assert Asset.objects.all().report is None


def test_query_vectors_are_rounded_to_half_precision_once(library):
    vector = np.asarray(library.query) * 1e6
    assert keys(Asset.objects.search(vector=vector, fields=["visual"])) == library.ranking(
        "visual", library.vectors["visual"], 100
    )

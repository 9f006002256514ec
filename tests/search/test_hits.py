"""The search as a join: every way of composing a queryset, against a ranking computed in numpy."""

import pickle

import numpy as np
import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import FieldError
from django.core.paginator import Paginator
from django.db import connection, models, transaction
from django.db.models import Count, Exists, F, FilteredRelation, OuterRef, Prefetch, Q, Subquery, Window
from django.db.models.functions import RowNumber
from django.db.models.sql import Query
from django.db.models.sql.compiler import SQLCompiler
from django.db.models.sql.where import WhereNode

from mmsearch_django.exceptions import QueryError
from mmsearch_django.queryset import search, similar_to
from tests.models import Asset, AssetProxy, Clip, LongClip, Tag, Team

BOTH = ("visual", "words")


def searched(library, queryset=None, **options):
    queryset = Asset.objects.all() if queryset is None else queryset
    return queryset.search(vector=library.query, fields=BOTH, **options)


def keys(queryset):
    return list(queryset.values_list("pk", flat=True))


FILTERS = {
    "column": lambda qs: qs.filter(kind="video"),
    "or": lambda qs: qs.filter(Q(kind="video") | Q(number__lt=20)),
    "foreign key": lambda qs: qs.filter(team__name="team 1"),
    "many to many": lambda qs: qs.filter(tags__name__in=["tag 1", "tag 2"]),
    "two many to many": lambda qs: qs.filter(tags__name="tag 1").filter(tags__name="tag 2"),
    "exclude many to many": lambda qs: qs.exclude(tags__name="tag 1"),
    "exists": lambda qs: qs.filter(Exists(Team.objects.filter(pk=OuterRef("team"), name="team 0"))),
    "annotation": lambda qs: qs.annotate(half=F("number") / 2).filter(half__gt=100),
    "having": lambda qs: qs.annotate(n=Count("tags")).filter(n__gte=2),
    "filtered relation": lambda qs: qs.annotate(first=FilteredRelation("tags", condition=Q(tags__name="tag 0"))).filter(
        first__isnull=False
    ),
    "reverse one to one": lambda qs: qs.filter(visual__isnull=False),
    "none that match": lambda qs: qs.filter(kind="nothing"),
    "empty in": lambda qs: qs.filter(pk__in=[]),
    "none": lambda qs: qs.none(),
}


@pytest.mark.parametrize("narrow", FILTERS.values(), ids=FILTERS.keys())
def test_filters_before_and_after_restrict_the_candidates(library, narrow):
    expected, _ = library.expected(set(keys(narrow(Asset.objects.all()))))
    before = searched(library, narrow(Asset.objects.all()))
    after = narrow(searched(library))
    assert [asset.pk for asset in before] == expected
    assert [asset.pk for asset in after] == expected
    assert before.count() == after.count() == len(expected)
    assert before.exists() == bool(expected)
    assert keys(narrow(searched(library))[3:9]) == expected[3:9]


def test_a_narrow_filter_finds_rows_far_below_the_unfiltered_window(library):
    everything, _ = library.expected(library.vectors["visual"], depth=10)
    rare = library.ranking("visual", library.vectors["visual"], 260)[-3:]
    assert not set(rare) & set(everything)
    assert set(keys(searched(library, depth=10).filter(pk__in=rare))) == set(rare)


def test_scores_and_matches(library):
    expected, scores = library.expected(library.vectors["visual"])
    ranking = {name: library.ranking(name, library.vectors[name], 100) for name in BOTH}
    for asset in searched(library):
        assert asset.score == pytest.approx(scores[asset.pk])
        for leg, found in asset.match.items():
            assert ranking[leg][found["rank"] - 1] == asset.pk
            assert -1 <= found["similarity"] <= 1


def test_weights(library):
    weights = {"visual": 1.0, "words": 0.25}
    expected, _ = library.expected(library.vectors["visual"], weights=weights)
    assert keys(searched(library, weights=weights)) == expected
    only, _ = library.expected(library.vectors["visual"], fields=["visual"])
    assert keys(searched(library, weights={"words": 0})) == only


def test_pages_cut_one_window_and_count_reads_it_once(library, django_assert_num_queries):
    expected, _ = library.expected(library.vectors["visual"])
    queryset = searched(library)
    with django_assert_num_queries(2):
        page = Paginator(queryset, 20).page(2)
        assert [asset.pk for asset in page] == expected[20:40]
    queryset = searched(library)
    with django_assert_num_queries(3):
        pages = Paginator(queryset, 50)
        seen = [asset.pk for number in (1, 2) for asset in pages.page(number)]
    assert seen == expected[:100]


def test_the_remembered_window_yields_to_other_filters_and_to_all(library):
    queryset = searched(library)
    queryset.count()
    videos, _ = library.expected(set(keys(Asset.objects.filter(kind="video"))))
    assert keys(queryset.filter(kind="video")) == videos
    best = keys(queryset[:1])[0]
    Asset._meta.get_field("visual").related_model.objects.filter(pk=best).delete()
    Asset._meta.get_field("words").related_model.objects.filter(pk=best).delete()
    assert best in keys(queryset)
    assert best not in keys(queryset.all())
    assert best not in keys(pickle.loads(pickle.dumps(queryset.query)) and searched(library))


def test_a_remembered_window_never_shows_a_deleted_row(library):
    queryset = searched(library)
    size = queryset.count()
    Asset.objects.filter(pk=keys(queryset[:1])[0]).delete()
    assert len(keys(queryset)) == size - 1


def test_filters_on_score_and_match_apply_to_the_finished_window(library):
    expected, scores = library.expected(library.vectors["visual"])
    good = [key for key in expected if scores[key] > 0.5]
    assert 0 < len(good) < len(expected)
    queryset = searched(library).filter(score__gt=0.5)
    assert keys(queryset) == good
    assert queryset.count() == len(good)
    assert keys(searched(library).filter(match__visual__rank=1)) == library.ranking(
        "visual", library.vectors["visual"], 1
    )


def test_ordering(library):
    expected, scores = library.expected(library.vectors["visual"])
    assert keys(searched(library).order_by("-number")) == sorted(expected, reverse=True)
    assert keys(searched(library).reverse()) == expected[::-1]
    assert searched(library).first().pk == expected[0]
    assert searched(library).last().pk == expected[-1]
    assert keys(searched(library, Asset.objects.order_by("title"))) == expected
    by_team = keys(searched(library).order_by("team__name", "-score", "pk"))
    assert sorted(by_team) == sorted(expected)


def test_slices_cannot_be_searched_and_searches_not_twice(library):
    with pytest.raises(TypeError, match="slice"):
        searched(library, Asset.objects.all()[:5])
    with pytest.raises(QueryError, match="already"):
        searched(library, searched(library))
    with pytest.raises(QueryError, match="union"):
        searched(library, Asset.objects.filter(pk=1).union(Asset.objects.filter(pk=2)))


def test_as_a_subquery(library):
    expected, _ = library.expected(library.vectors["visual"])
    assert set(keys(Asset.objects.filter(pk__in=searched(library)[:7]))) == set(expected[:7])
    assert Asset.objects.filter(pk__in=searched(library).filter(kind="video")).count() == len(
        library.expected(set(keys(Asset.objects.filter(kind="video"))))[0]
    )


def test_the_best_of_each_group_by_a_correlated_subquery(library):
    best = searched(library, Asset.objects.filter(team=OuterRef("pk"))).values("pk")[:1]
    for team in Team.objects.annotate(best=Subquery(best)):
        assert team.best == library.expected(set(keys(Asset.objects.filter(team=team))))[0][0]


def test_aggregates_and_groups(library):
    expected, scores = library.expected(library.vectors["visual"])
    assert searched(library).aggregate(n=Count("pk"), top=models.Max("score"))["n"] == len(expected)
    by_kind = dict(searched(library).order_by().values_list("kind").annotate(n=Count("pk")))
    assert sum(by_kind.values()) == len(expected)
    assert set(by_kind) == {"image", "video"}


def test_annotations_of_many_valued_relations_keep_the_ranking(library):
    expected, _ = library.expected(library.vectors["visual"])
    counted = searched(library).annotate(n=Count("tags"))
    assert [asset.pk for asset in counted] == expected
    assert {asset.pk: asset.n for asset in counted} == {
        a.pk: a.tags.count() for a in Asset.objects.filter(pk__in=expected)
    }


def test_window_functions(library):
    ranked = searched(library).annotate(place=Window(RowNumber(), partition_by=F("team"), order_by=F("score").desc()))
    best = {asset.team_id: asset.pk for asset in ranked.filter(place=1)}
    order = keys(searched(library))
    assert best == {
        team.pk: next(key for key in order if key in set(keys(team.asset_set.all()))) for team in library.teams
    }


def test_distinct(library):
    expected, _ = library.expected(library.vectors["visual"])
    assert keys(searched(library).distinct()) == expected
    firsts = searched(library).order_by("team_id", "-score").distinct("team_id")
    assert len(firsts) == 3


def test_loading_related_objects(library, django_assert_num_queries):
    expected, _ = library.expected(library.vectors["visual"])
    queryset = searched(library)
    with django_assert_num_queries(1):
        rows = list(queryset.select_related("team", "visual")[:5])
        assert [asset.team.name for asset in rows]
        assert rows[0].visual.pk == rows[0].pk
    with django_assert_num_queries(2):
        assert [len(asset.tags.all()) for asset in queryset.prefetch_related("tags")[:5]]


def test_prefetching_a_search(library):
    teams = list(Team.objects.prefetch_related(Prefetch("asset_set", searched(library), to_attr="found")))
    expected, _ = library.expected(library.vectors["visual"])
    assert {asset.pk for team in teams for asset in team.found} == set(expected)
    # A slice is taken of each team's own window.
    teams = list(Team.objects.prefetch_related(Prefetch("asset_set", searched(library)[:4], to_attr="best")))
    assert [len(team.best) for team in teams] == [4, 4, 4]


def test_related_managers(library):
    team = library.teams[1]
    expected, _ = library.expected(set(keys(Asset.objects.filter(team=team))))
    assert keys(team.asset_set.search(vector=library.query, fields=BOTH)) == expected
    tag = library.tags[2]
    expected, _ = library.expected(set(keys(tag.asset_set.all())))
    assert keys(tag.asset_set.search(vector=library.query, fields=BOTH)) == expected


def test_values_iterator_and_in_bulk(library):
    expected, scores = library.expected(library.vectors["visual"])
    assert [row["pk"] for row in searched(library).values("pk", "score")] == expected
    assert [asset.pk for asset in searched(library).iterator()] == expected
    assert [asset.pk for asset in searched(library).only("title")] == expected
    assert searched(library).get(pk=expected[3]).pk == expected[3]
    assert searched(library).contains(Asset.objects.get(pk=expected[5]))


def test_pickles(library):
    expected, _ = library.expected(library.vectors["visual"])
    queryset = Asset.objects.all()
    queryset.query = pickle.loads(pickle.dumps(searched(library).query))
    assert keys(queryset) == expected
    loaded = pickle.loads(pickle.dumps(searched(library)))
    assert [asset.pk for asset in loaded] == expected
    assert loaded[0].match


def test_update_and_delete(library):
    expected, _ = library.expected(set(keys(Asset.objects.filter(kind="video"))))
    assert searched(library).filter(kind="video").update(caption="found") == len(expected)
    assert set(keys(Asset.objects.filter(caption="found"))) == set(expected)
    Asset.objects.filter(pk__in=keys(searched(library)[:3])).delete()
    searched(library).filter(kind="video").delete()
    assert not Asset.objects.filter(pk__in=expected).exists()


def test_union_of_searches(library):
    first = searched(library).filter(kind="video").values_list("pk", flat=True)
    second = searched(library).filter(kind="image").values_list("pk", flat=True)
    assert set(first.order_by().union(second.order_by())) == set(first) | set(second)


def test_combining_with_and_or(library):
    plain = Asset.objects.filter(kind="video")
    expected, _ = library.expected(set(keys(plain)))
    with pytest.raises(QueryError, match="filter"):
        plain & searched(library)
    with pytest.raises(QueryError, match="filter"):
        searched(library) | plain


def test_proxies_and_other_querysets(library):
    expected, _ = library.expected(library.vectors["visual"])
    proxies = search(AssetProxy._base_manager.all(), vector=library.query, fields=BOTH)
    assert [asset.pk for asset in proxies] == expected
    assert isinstance(proxies[0], AssetProxy)
    assert proxies.count() == len(expected)


def clips(count):
    made = [LongClip.objects.create(caption=f"clip {n}", minutes=n) for n in range(count)]
    vectors = np.random.default_rng(3).standard_normal((count, 32))
    table = Clip._meta.get_field("words").related_model
    table.objects.bulk_create(
        table(object_id=clip.pk, vector=v.tolist()) for clip, v in zip(made, vectors, strict=True)
    )
    query = np.ones(32)
    order = np.argsort(-(vectors @ query) / np.linalg.norm(vectors, axis=1))
    return query.tolist(), [made[n].pk for n in order]


def test_uuid_keys_and_multi_table_children(db):
    Clip.objects.create(caption="a parent without a vector")
    query, expected = clips(20)
    assert keys(search(Clip.objects.all(), vector=query)) == expected
    assert keys(search(LongClip.objects.all(), vector=query)) == expected
    long = LongClip.objects.filter(minutes__gte=10)
    among = [key for key in expected if key in set(keys(long))]
    assert keys(search(long, vector=query)) == among
    assert keys(search(LongClip.objects.all(), vector=query).filter(minutes__gte=10)) == among
    assert keys(search(LongClip.objects.filter(caption__startswith="clip"), vector=query))[:5] == expected[:5]
    assert keys(similar_to(LongClip.objects.all(), LongClip.objects.get(pk=expected[0])))[0] != expected[0]


def test_a_model_without_vectors_raises(db):
    with pytest.raises(QueryError, match="Tag has no embedding field"):
        search(Tag.objects.all(), "red")


def test_explain_and_iteration_twice(library, django_assert_num_queries):
    with django_assert_num_queries(1):  # What made the vectors.
        queryset = searched(library)
    with django_assert_num_queries(1):
        assert [asset.pk for asset in queryset] == [asset.pk for asset in queryset]
    assert "CTE mm_list" in searched(library).explain()


def test_settings_of_the_callers_transaction_are_kept(library):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL hnsw.ef_search = 77")
        list(searched(library))
        cursor.execute("SHOW hnsw.ef_search")
        assert cursor.fetchone() == ("77",)


def test_select_for_update_of_the_asset(library):
    with transaction.atomic():
        assert len(searched(library).select_for_update(of=("self",))[:3]) == 3


def test_async(library):
    expected, _ = library.expected(library.vectors["visual"])

    async def use():
        assert [asset.pk async for asset in searched(library)] == expected
        assert await searched(library).acount() == len(expected)
        assert (await searched(library).afirst()).pk == expected[0]

    async_to_sync(use)()


def test_the_private_parts_of_django_that_the_search_uses():
    query = Asset.objects.filter(tags__name="x").query
    for name in (
        "alias_map",
        "alias_refcount",
        "table_map",
        "where",
        "group_by",
        "annotations",
        "select",
        "distinct",
        "distinct_fields",
        "select_related",
        "select_for_update",
        "standard_ordering",
        "explain_info",
        "combinator",
        "extra",
        "is_sliced",
        "clear_limits",
        "clear_ordering",
        "clear_select_clause",
        "get_initial_alias",
        "get_compiler",
        "get_meta",
        "clone",
    ):
        assert hasattr(query, name), name
    assert callable(Query._gen_cols)
    compiler = query.get_compiler(connection=connection)
    compiler.pre_sql_setup()
    for name in ("where", "having", "qualify", "select", "get_order_by", "elide_empty", "connection"):
        assert hasattr(compiler, name), name
    assert issubclass(type(compiler), SQLCompiler)
    assert {"children", "connector", "negated"} <= set(vars(WhereNode()))
    join = list(query.alias_map.values())[1]
    assert hasattr(join, "parent_alias")
    assert hasattr(join.join_field, "one_to_many")
    assert hasattr(Asset.objects.all(), "_result_cache")
    with pytest.raises(FieldError):
        Asset.objects.order_by("score").query.get_compiler(connection=connection).as_sql()

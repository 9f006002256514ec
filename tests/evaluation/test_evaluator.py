import pytest

from mmsearch_django.evaluation.evaluator import Evaluator
from mmsearch_django.exceptions import JudgementError
from tests.indexing.conftest import embed_all, words  # noqa: F401
from tests.models import Asset


@pytest.fixture
def library(words):  # noqa: F811
    Asset.objects.bulk_create([Asset(title=title, file=f"assets/2026/{title}.jpg") for title in ("cat", "dog", "cow")])
    embed_all(words)
    return Asset.objects.all()


def evaluated(evaluator, **options):
    return evaluator.measure(evaluator.rankings(fields=["words"], **options))


def test_items_are_matched_by_base_name(library):
    evaluator = Evaluator(library, {"1": "cat", "2": "dog"}, {"1": {"cat.jpg": 1}, "2": {"dog.jpg": 1}}, "file")
    assert len(evaluator) == 2
    assert evaluated(evaluator).figures == {"nDCG@10": 1.0, "recall@10": 1.0, "MRR": 1.0, "P@1": 1.0}


def test_items_are_matched_by_any_field(library):
    cow = library.get(title="cow")
    for field, item in (("title", "cow"), ("pk", str(cow.pk)), ("id", str(cow.pk))):
        assert evaluated(Evaluator(library, {"1": "cow"}, {"1": {item: 1}}, field)).figures["P@1"] == 1


def test_a_wrong_first_is_measured_as_such(library):
    found = evaluated(Evaluator(library, {"1": "cat"}, {"1": {"dog.jpg": 1}}, "file"))
    assert found.figures["P@1"] == 0
    assert found.figures["MRR"] in (pytest.approx(1 / 2), pytest.approx(1 / 3))


def test_only_rows_of_the_queryset_are_found(library):
    evaluation = evaluated(
        Evaluator(library.exclude(title="cat"), {"1": "cat"}, {"1": {"cat.jpg": 1, "dog.jpg": 1}}, "file")
    )
    assert evaluation.figures["recall@10"] == 0.5
    assert evaluation.missing_items == ("cat.jpg",)


def test_rows_that_share_an_item_count_once(library, words):  # noqa: F811
    Asset.objects.create(title="cat", file="elsewhere/cat.jpg")
    embed_all(words)
    (_, ranking), *_ = Evaluator(library, {"1": "cat"}, {"1": {"cat.jpg": 1}}, "file").rankings(fields=["words"])
    assert ranking[0] == "cat.jpg"
    assert len(ranking) == len(set(ranking)) == 3


def test_queries_without_a_relevant_item_are_not_asked(library):
    queries = {"1": "cat", "2": "dog", "3": "cow"}
    evaluation = evaluated(
        Evaluator(library, queries, {"1": {"cat.jpg": 2}, "2": {"dog.jpg": 0}, "9": {"x": 1}}, "file")
    )
    assert (evaluation.queries, evaluation.judged_items, evaluation.missing_items) == (1, 1, ())


def test_what_cannot_be_judged_is_an_error(library):
    with pytest.raises(JudgementError, match="do the ids of queries and qrels agree"):
        Evaluator(library, {"1": "cat"}, {"q1": {"cat.jpg": 1}}, "file")
    with pytest.raises(JudgementError, match=r"tests.Asset has no field 'fiel' to match items by; it has id, file"):
        Evaluator(library, {"1": "cat"}, {"1": {"cat.jpg": 1}}, "fiel")

"""Searches of a field that another embedder filled, and what happens when it is taken over meanwhile."""

import pytest
from asgiref.sync import async_to_sync
from django.db import connection

from mmsearch_django.exceptions import SignatureMismatch
from mmsearch_django.fields import embedding_fields
from mmsearch_django.indexing import renewal
from mmsearch_django.indexing.targets import target
from mmsearch_django.models import Mark, Space
from mmsearch_django.search import statement
from tests.indexing.conftest import embed_all, make, switch
from tests.models import Asset

FORMER = "dummy:former@1#/32"


@pytest.fixture
def words(db):
    """The text field of three assets; ``visual`` has nothing yet."""
    make("a cat", "a dog", "a house")
    words = target(embedding_fields(Asset)["words"])
    embed_all(words)
    Mark.objects.all().delete()
    return words


def made_by_another(words):
    Space.objects.filter(pk=words.space).update(signature=FORMER)


def titles(queryset):
    return [asset.title for asset in queryset]


class TestRefused:
    @pytest.mark.parametrize(
        "options",
        [
            {"text": "a cat"},
            {"text": "a cat", "fields": ["words"]},
            {"text": "a cat", "weights": {"words": 0.5}},
            {"text": "a cat", "floor": None, "avoid": "a dog"},
            {"vector": [1.0] * 32, "fields": ["words"]},
        ],
    )
    def test_with_the_field_both_signatures_and_the_command(self, words, options):
        made_by_another(words)
        with pytest.raises(SignatureMismatch) as raised:
            Asset.objects.search(**options)
        assert FORMER in str(raised.value)
        assert "tests.Asset.words" in str(raised.value)
        assert "'default' is dummy:@#/32" in str(raised.value)
        assert "manage.py mmsearch_index tests.Asset --field words --reembed" in str(raised.value)

    def test_not_without_the_field(self, words):
        made_by_another(words)
        assert list(Asset.objects.search("a cat", fields=["visual"])) == []
        assert list(Asset.objects.search("a cat", weights={"words": 0})) == []

    def test_not_before_anything_was_embedded(self, words):
        Space.objects.update(signature="")
        assert titles(Asset.objects.search("a cat", floor=None))[0] == "a cat"

    def test_in_a_coroutine_where_it_runs(self, words):
        made_by_another(words)

        async def use():
            queryset = Asset.objects.search("a cat")
            with pytest.raises(SignatureMismatch, match="--reembed"):
                [asset async for asset in queryset]

        async_to_sync(use)()

    def test_the_transaction_goes_on(self, words):
        made_by_another(words)
        with pytest.raises(SignatureMismatch):
            Asset.objects.search("a cat")
        assert Asset.objects.count() == 3


class TestStoredVectors:
    """They are all of one signature, whatever is configured."""

    def test_are_compared_with_each_other(self, words):
        cat = Asset.objects.get(title="a cat")
        before = titles(cat_like := Asset.objects.similar_to(cat, fields=["words"], floor=None))
        made_by_another(words)
        assert titles(Asset.objects.similar_to(cat, fields=["words"], floor=None)) == before
        assert len(before) == len(cat_like) == 2

    def test_but_not_with_what_is_embedded_now(self, words):
        cat = Asset.objects.get(title="a cat")
        made_by_another(words)
        with pytest.raises(SignatureMismatch):
            Asset.objects.search("a dog", like=cat, fields=["words"])
        with pytest.raises(SignatureMismatch):
            Asset.objects.similar_to(cat, avoid="a dog", fields=["words"])


class TestTakenOverMeanwhile:
    """A queryset built for one signature and run under another finds nothing there, and says so."""

    @pytest.mark.parametrize("ask", [{"text": "a cat"}, {"like": True}], ids=["text", "like"])
    def test_nothing_is_compared_across(self, words, settings, ask):
        cat = Asset.objects.get(title="a cat")
        ask = {"like": cat} if "like" in ask else ask
        before = Asset.objects.search(**ask, fields=["words"], floor=None)
        assert len(before.all()) > 0
        switch(settings)
        renewal.reembed(words)
        embed_all(words)
        assert titles(before.all()) == []
        report = before.all().report
        assert (report.degraded, report.legs, report.complete) == (("words",), {}, False)
        assert len(Asset.objects.search(**ask, fields=["words"], floor=None)) > 0

    def test_vectors_of_other_dimensions_are_not_looked_at(self, words):
        before = Asset.objects.search("a cat", floor=None)
        words.vectors.all().delete()
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE tests_asset_words ALTER vector TYPE halfvec(3)")
            cursor.execute("INSERT INTO tests_asset_words (object_id, vector) SELECT id, '[1,2,3]' FROM tests_asset")
        made_by_another(words)
        assert titles(before) == []

    def test_while_it_is_embedded_anew_what_is_ready_answers(self, words, settings):
        switch(settings)
        renewal.reembed(words)
        queryset = Asset.objects.search("a cat", fields=["words"], floor=None)
        report = queryset.all().report
        assert (titles(queryset), report.pending, report.complete) == ([], 3, False)
        embed_all(words)
        assert titles(queryset.all())[0] == "a cat"
        assert queryset.all().report.complete


def test_not_complete_where_more_is_pending_than_was_counted(words, monkeypatch):
    monkeypatch.setattr(statement, "PENDING_LIMIT", 2)
    cat = Asset.objects.filter(title="a cat")
    assert cat.search("a cat", fields=["words"]).report.complete
    Mark.objects.bulk_create(Mark(space_id=words.space, object_id=f"{n}") for n in range(-5, 0))
    assert not cat.search("a cat", fields=["words"]).report.complete


def test_it_costs_one_small_statement(words, django_assert_num_queries):
    with django_assert_num_queries(1):
        queryset = Asset.objects.search("a cat")
    with django_assert_num_queries(1):
        list(queryset)

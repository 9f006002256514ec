import pytest
from django.db import connection
from django.test import override_settings

from mmsearch_django.exceptions import (
    ConfigurationError,
)
from mmsearch_django.indexing import claims
from mmsearch_django.indexing.pipeline import work
from mmsearch_django.models import Space
from tests.indexing.conftest import assert_has_vector_of, embed_all, make, meanwhile, statuses
from tests.models import Asset

pytestmark = pytest.mark.django_db


class TestChangedMeanwhile:
    def test_a_newer_mark_refuses_the_write(self, words, monkeypatch):
        [asset] = make("old")
        meanwhile(monkeypatch, words, lambda text: text == "old" and Asset.objects.update(title="new"))
        first, *rest = list(work(words))
        assert first == {}
        assert rest == [{"ready": 1}]
        assert_has_vector_of(asset, "new")

    def test_a_newer_generation_refuses_the_write(self, words, monkeypatch):
        [asset] = make("old")

        def act(text):
            if text == "old":
                Asset.objects.update(title="new")
                claims.drain(words)

        meanwhile(monkeypatch, words, act)
        assert list(work(words)) == [{}, {"ready": 1}]
        assert_has_vector_of(asset, "new")

    def test_nothing_is_written_for_what_was_deleted(self, words, monkeypatch):
        make("old")
        meanwhile(monkeypatch, words, lambda text: Asset.objects.all().delete())
        assert embed_all(words) == {}
        assert statuses(words) == {}
        assert not words.vectors.exists()

    def test_a_state_whose_row_went_unseen_is_forgotten(self, words):
        make("a")
        claims.drain(words)
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute("DELETE FROM tests_asset")
            cursor.execute("SET LOCAL session_replication_role = origin")
        assert embed_all(words) == {}
        assert statuses(words) == {}


class TestSignatures:
    OTHER = {
        "EMBEDDERS": {
            "default": {
                "BACKEND": "mmsearch_django.embedders.dummy.DummyEmbedder",
                "MODEL": "other",
                "OPTIONS": {"dimensions": 32},
            }
        }
    }

    def test_two_are_never_mixed(self, words):
        make("a")
        embed_all(words)
        make("b")
        with override_settings(MMSEARCH=self.OTHER), pytest.raises(ConfigurationError, match="--start-over"):
            embed_all(words)
        assert words.vectors.count() == 1
        assert embed_all(words) == {"ready": 1}

    def test_an_empty_space_takes_the_new_one(self, words):
        make("a")
        embed_all(words)
        Asset.objects.all().delete()
        embed_all(words)
        make("b")
        with override_settings(MMSEARCH=self.OTHER):
            assert embed_all(words) == {"ready": 1}
            assert Space.objects.get(pk=words.space).signature == str(words.field.embedder.signature)

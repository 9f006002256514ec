from contextlib import contextmanager

import pytest
from django.db import OperationalError, connection

from mmsearch_django.exceptions import SignatureMismatch
from mmsearch_django.indexing import claims
from mmsearch_django.indexing.pipeline import work
from tests.indexing.conftest import assert_has_vector_of, embed_all, make, meanwhile, statuses, switch
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


@pytest.mark.django_db(transaction=True)
class TestFullDisk:
    """Postgres says so by this SQLSTATE, of whatever a write would make larger."""

    @contextmanager
    def full(self, table, event):
        with connection.cursor() as cursor:
            cursor.execute(
                "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                "RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$"
            )
            cursor.execute(f"CREATE TRIGGER full_disk BEFORE {event} EXECUTE FUNCTION full_disk()")
            try:
                yield
            finally:
                cursor.execute(f"DROP TRIGGER full_disk ON {table}; DROP FUNCTION full_disk()")

    def test_while_vectors_are_written_all_are_given_back(self, words):
        make("a", "b")
        table = "tests_asset_words"
        with self.full(table, f"INSERT ON {table}"), pytest.raises(OperationalError, match="could not extend"):
            embed_all(words)
        assert set(words.states.values_list("status", "attempts", "lease_until")) == {("pending", 0, None)}
        assert embed_all(words) == {"ready": 2}

    def test_while_nothing_can_be_given_back_leases_run_out(self, words):
        make("a", "b")
        table = "mmsearch_django_state"
        given = f"UPDATE ON {table} FOR EACH ROW WHEN (NEW.lease_until IS NULL)"
        with self.full(table, given), pytest.raises(OperationalError, match="could not extend"):
            embed_all(words)
        assert set(words.states.values_list("status", "attempts")) == {("pending", 1)}
        words.states.update(lease_until="2020-01-01T00:00Z")
        assert embed_all(words) == {"ready": 2}

    def test_marks_wait(self, words):
        make("a")
        table = "mmsearch_django_state"
        with self.full(table, f"INSERT ON {table}"), pytest.raises(OperationalError, match="could not extend"):
            embed_all(words)
        assert embed_all(words) == {"ready": 1}


class TestSignatures:
    def test_two_are_never_mixed(self, words, settings):
        make("a")
        embed_all(words)
        make("b")
        before = settings.MMSEARCH
        switch(settings)
        with pytest.raises(SignatureMismatch, match=r"mmsearch_index tests\.Asset --field words --reembed"):
            embed_all(words)
        assert words.vectors.count() == 1
        settings.MMSEARCH = before
        assert embed_all(words) == {"ready": 1}

    def test_a_new_space_takes_the_first(self, words, settings):
        assert words.signature == ""
        switch(settings)
        make("a")
        assert embed_all(words) == {"ready": 1}
        assert words.signature == str(words.field.embedder.signature)

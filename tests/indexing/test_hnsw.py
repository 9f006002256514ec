import pytest
from django.db import connection

from mmsearch_django.exceptions import ConfigurationError
from mmsearch_django.fields import embedding_fields
from mmsearch_django.indexing import hnsw
from mmsearch_django.indexing.targets import target
from tests.indexing.processes import wait_for
from tests.models import Asset


@pytest.fixture
def filled(transactional_db, monkeypatch):
    monkeypatch.setattr(hnsw, "PAYS", 20)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO tests_asset_words (object_id, vector) "
            "SELECT n, array_agg(random())::real[]::halfvec FROM generate_series(1, 20) n, generate_series(1, 32) "
            "GROUP BY n"
        )
    yield target(embedding_fields(Asset)["words"])
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX IF EXISTS tests_asset_words_hnsw")


def invalidate():
    with connection.cursor() as cursor:
        cursor.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'tests_asset_words_hnsw'::regclass")


def test_it_is_built_once(filled):
    assert hnsw.state(filled) == "none"
    assert hnsw.build(filled)
    assert hnsw.state(filled) == "valid"
    assert not hnsw.build(filled)


def test_the_one_of_a_table_that_was_renamed_is_kept(filled):
    hnsw.build(filled)
    with connection.cursor() as cursor:
        cursor.execute("ALTER INDEX tests_asset_words_hnsw RENAME TO tests_asset_words2_hnsw")
    assert hnsw.state(filled) == "valid"
    assert not hnsw.build(filled)
    hnsw.drop(filled)
    assert hnsw.state(filled) == "none"


def test_it_is_not_built_before_it_pays(filled):
    filled.vectors.filter(pk=1).delete()
    assert not hnsw.build(filled)


def test_an_invalid_one_is_replaced(filled):
    hnsw.build(filled)
    invalidate()
    assert hnsw.state(filled) == "invalid"
    assert hnsw.build(filled)
    assert hnsw.state(filled) == "valid"


def test_only_one_builds(filled):
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [hnsw.lock_key(filled)])
        assert not hnsw.build(filled)
        with other.cursor() as cursor:  # The server notices a closed connection only after a while.
            cursor.execute("SELECT pg_advisory_unlock(%s)", [hnsw.lock_key(filled)])
    finally:
        other.close()
    assert hnsw.build(filled)


@pytest.mark.django_db
def test_not_inside_a_transaction(words):
    with pytest.raises(ConfigurationError, match=r"tests\.Asset\.words cannot be built inside a transaction"):
        hnsw.build(words)


class TestInTheWay:
    def test_of_most_of_a_large_field(self, filled):
        assert not hnsw.is_in_the_way(filled, 1000)
        hnsw.build(filled)
        assert hnsw.is_in_the_way(filled, 20)
        assert not hnsw.is_in_the_way(filled, 19)

    def test_not_of_a_small_part(self, filled, monkeypatch):
        hnsw.build(filled)
        monkeypatch.setattr(hnsw, "PAYS", 5)
        assert not hnsw.is_in_the_way(filled, 19)


class TestBuild:
    def test_how_far_it_is(self, filled, other_connection):
        """It waits for an older transaction."""
        assert hnsw.progress(filled) is None
        other = connection.copy()
        try:
            with other.cursor() as cursor:
                cursor.execute("BEGIN; DELETE FROM tests_asset_words WHERE object_id = 99")
                build = other_connection(hnsw.build, filled)
                found = wait_for(lambda: hnsw.progress(filled))
                assert found.phase.startswith("waiting for")
                cursor.execute("ROLLBACK")
        finally:
            other.close()
        assert build.result(20)
        assert hnsw.progress(filled) is None

    def test_what_it_lacks(self, filled):
        with connection.cursor() as cursor:
            cursor.execute("SET maintenance_work_mem = '1MB'")
            assert hnsw.lack_of_memory(filled) == ""
            filled.vectors.bulk_create(filled.field.vectors(pk=pk, vector=[1] * 32) for pk in range(100, 1500))
            found = hnsw.lack_of_memory(filled)
            cursor.execute("RESET maintenance_work_mem")
        assert "tests.Asset.words is built in about 2 MB" in found
        assert "-c maintenance_work_mem=2MB" in found

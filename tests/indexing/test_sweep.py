import pytest
from django.db import connection
from django.utils import timezone

from mmsearch_django.indexing import claims, sweep
from mmsearch_django.models import Mark, Space
from tests.indexing.conftest import embed_all, statuses
from tests.models import Asset

pytestmark = pytest.mark.django_db


def unseen(sql, params=None):
    """A write that no trigger sees, as under logical replication."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(sql, params)
        cursor.execute("SET LOCAL session_replication_role = origin")


@pytest.fixture
def assets(words):
    assets = Asset.objects.bulk_create([Asset(title=title) for title in "abcde"])
    embed_all(words)
    Mark.objects.all().delete()
    return assets


def marked(words):
    return set(Mark.objects.filter(space=words.space).values_list("object_id", flat=True))


def key(asset):
    return str(asset.pk)


class TestWhatItFinds:
    def test_nothing_when_all_is_well(self, words, assets):
        assert sweep.sweep_all(words, size=2) == 0

    def test_rows_without_a_state(self, words, assets):
        unseen("INSERT INTO tests_asset (id, title) VALUES (1001, 'x')")
        assert sweep.sweep_all(words, size=2) == 1
        assert marked(words) == {"1001"}

    def test_rows_that_changed(self, words, assets):
        unseen("UPDATE tests_asset SET title = 'x' WHERE id = %s", [assets[3].pk])
        sweep.sweep_all(words, size=2)
        assert marked(words) == {key(assets[3])}

    def test_unwatched_columns_change_nothing(self, words, assets):
        unseen("UPDATE tests_asset SET number = 7, kind = 'x'")
        assert sweep.sweep_all(words) == 0

    def test_rows_that_are_gone(self, words, assets):
        unseen("DELETE FROM tests_asset WHERE id = %s", [assets[1].pk])
        sweep.sweep_all(words, size=2)
        embed_all(words)
        assert set(statuses(words)) == {key(asset) for asset in assets if asset != assets[1]}
        assert words.vectors.count() == 4

    def test_vectors_that_are_gone(self, words, assets):
        words.vectors.filter(pk=assets[4].pk).delete()
        sweep.sweep_all(words, size=2)
        assert embed_all(words) == {"ready": 1}
        assert words.vectors.count() == 5

    def test_vectors_of_no_object(self, words, assets):
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO tests_asset_words (object_id, vector) SELECT 9999, vector FROM tests_asset_words LIMIT 1"
            )
        sweep.sweep_all(words, size=2)
        embed_all(words)
        assert words.vectors.count() == 5

    def test_failed_and_skipped_rows_are_left(self, words, assets):
        words.vectors.filter(pk__in=[assets[0].pk, assets[1].pk]).delete()
        words.states.filter(object_id=key(assets[0])).update(status="failed")
        words.states.filter(object_id=key(assets[1])).update(status="skipped")
        assert sweep.sweep_all(words) == 0

    @pytest.mark.parametrize("setting", ["TimeZone = 'Asia/Tokyo'", "DateStyle = 'German'", "bytea_output = 'escape'"])
    def test_fingerprints_depend_on_no_setting(self, words, assets, setting):
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL {setting}")
        assert sweep.sweep_all(words) == 0

    def test_a_longer_column_changes_no_fingerprint(self, words, assets):
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; ALTER TABLE tests_asset ALTER COLUMN title TYPE text")
        assert sweep.sweep_all(words) == 0


class TestSlices:
    def test_it_gets_round_step_by_step(self, words, assets):
        unseen("UPDATE tests_asset SET title = 'x'")
        found, cursors = [], []
        for _ in range(9):
            found.append(sweep.sweep_slice(words, size=2))
            cursors.append(Space.objects.get(pk=words.space).sweep_cursor)
        assert found == [2, 2, 1, 0, 0, 0, 0, 0, 0]
        assert cursors[-1] == ""
        assert [cursor.split()[0] for cursor in cursors[:-1]] == ["rows"] * 2 + ["states"] * 3 + ["vectors"] * 3

    def test_keys_go_by_their_number(self, words):
        Asset.objects.bulk_create([Asset(pk=pk, title="red") for pk in (8, 9, 10, 11)])
        embed_all(words)
        assert sweep.orphan_vectors(words, "8", 2).end == "10"

    def test_it_says_when_it_ran(self, words):
        before = timezone.now()
        sweep.sweep_slice(words)
        assert Space.objects.get(pk=words.space).swept_at >= before

    def test_a_cursor_that_is_no_key_starts_the_phase_anew(self, words, assets):
        unseen("UPDATE tests_asset SET title = 'x'")
        Space.objects.filter(pk=words.space).update(sweep_cursor="rows 6c0c5ab8-95d4-4c3c")
        assert sweep.sweep_slice(words) == 5


def test_truncate_forgets_all(words, assets):
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; TRUNCATE tests_asset CASCADE")
    asset = Asset.objects.create(title="new")
    assert claims.drain(words) == 2
    assert set(statuses(words)) == {key(asset)}
    assert not words.vectors.exists()

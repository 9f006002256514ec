import pytest
from django.db import connection, transaction
from django.db.models import F

from mmsearch_django.exceptions import ConfigurationError
from mmsearch_django.fields import EmbeddingField
from mmsearch_django.models import Mark
from mmsearch_django.sources import TextSource
from mmsearch_django.triggers.definitions import watched_columns
from tests.models import Asset, Clip, Foreign, LongClip, Quiet, Team
from tests.triggers.sql import execute, keys, marked, space, truncate_assets

pytestmark = pytest.mark.django_db


class TestMarking:
    def test_save_marks_every_field(self, unmarked):
        asset = Asset.objects.create(title="a")
        assert marked(Asset, "words") == marked(Asset, "visual") == keys(asset)

    def test_only_the_fields_that_watch_a_changed_column(self, assets):
        assets[0].title = "new"
        assets[0].save()
        assert marked(Asset, "words") == keys(assets[0])
        assert marked(Asset, "visual") == []

    def test_unwatched_columns_leave_none(self, assets):
        Asset.objects.update(number=F("number") + 1, kind="x")
        assert not Mark.objects.exists()

    def test_writing_the_same_again_leaves_none(self, assets):
        Asset.objects.update(title=F("title"))
        assert not Mark.objects.exists()

    def test_bulk_create(self, unmarked):
        assets = Asset.objects.bulk_create([Asset(title="x") for _ in range(3)])
        assert marked(Asset, "words") == keys(*assets)

    def test_update(self, assets):
        Asset.objects.filter(title__in="ab").update(caption="new")
        assert marked(Asset, "words") == keys(*assets[:2])

    def test_bulk_update(self, assets):
        for asset in assets:
            asset.file = "x.jpg"
        Asset.objects.bulk_update(assets, ["file"])
        assert marked(Asset, "visual") == keys(*assets)

    def test_raw_sql(self, assets):
        execute("UPDATE tests_asset SET title = 'z' WHERE id = %s", [assets[1].pk])
        assert marked(Asset, "words") == keys(assets[1])

    def test_copy(self, unmarked):
        with connection.cursor() as cursor, cursor.copy("COPY tests_asset (id, title) FROM STDIN") as copy:
            copy.write_row((1001, "copied"))
        assert marked(Asset, "words") == ["1001"]

    def test_upsert_marks_the_inserted_and_the_updated(self, assets):
        rows = [Asset(pk=assets[0].pk, title="new"), Asset(pk=1001, title="x")]
        Asset.objects.bulk_create(rows, update_conflicts=True, unique_fields=["id"], update_fields=["title"])
        assert set(marked(Asset, "words")) == {str(assets[0].pk), "1001"}

    def test_merge(self, assets):
        execute(
            "MERGE INTO tests_asset a USING (VALUES (%s, 'new')) AS s(id, title) ON a.id = s.id "
            "WHEN MATCHED THEN UPDATE SET title = s.title",
            [assets[0].pk],
        )
        assert marked(Asset, "words") == keys(assets[0])

    def test_delete(self, assets):
        pk = assets[0].pk
        assets[0].delete()
        assert marked(Asset, "words") == marked(Asset, "visual") == [str(pk)]

    def test_cascade(self, assets):
        team = Team.objects.create(name="t")
        Asset.objects.filter(pk=assets[2].pk).update(team=team)
        team.delete()
        assert marked(Asset, "words") == keys(assets[2])

    def test_truncate_marks_everything(self, assets):
        truncate_assets()
        assert marked(Asset, "words") == marked(Asset, "visual") == [None]

    def test_rollback_leaves_none(self, assets):
        with transaction.atomic():
            Asset.objects.update(title="x")
            assert Mark.objects.exists()
            transaction.set_rollback(True)
        assert not Mark.objects.exists()

    def test_a_changed_key_marks_both(self, assets):
        old = assets[0].pk
        execute("UPDATE tests_asset SET id = 1001 WHERE id = %s", [old])
        assert marked(Asset, "visual") == sorted([str(old), "1001"])

    def test_uuid_keys(self, unmarked):
        clip = Clip.objects.create(caption="a")
        Clip.objects.update(caption="b")
        assert marked(Clip, "words") == [str(clip.pk)] * 2

    def test_text_keys(self, unmarked):
        Foreign.objects.create(name="it's")
        assert marked(Foreign, "look") == ["it's"]

    def test_a_child_is_marked_through_its_parents_table(self, unmarked):
        clip = LongClip.objects.create(caption="a", minutes=1)
        Mark.objects.all().delete()
        LongClip.objects.update(caption="b")
        assert marked(Clip, "words") == [str(clip.pk)]

    def test_a_model_without_fields_is_left_alone(self, unmarked):
        Quiet.objects.create(caption="a")
        assert not Mark.objects.exists()

    @pytest.mark.parametrize(("rows", "live"), [(1000, True), (1001, False)])
    def test_bulk_loads_are_not_live(self, unmarked, rows, live):
        execute("INSERT INTO tests_asset (title) SELECT 'x' FROM generate_series(1, %s)", [rows])
        assert Mark.objects.filter(space=space(Asset, "words"), live=live).count() == rows

    def test_large_updates_after_small_ones(self, unmarked):
        """Above fifty rows another branch of the function runs."""
        assets = Asset.objects.bulk_create([Asset(title=str(number)) for number in range(120)])
        Mark.objects.all().delete()
        Asset.objects.filter(pk=assets[0].pk).update(title="one")
        Asset.objects.filter(pk__in=[asset.pk for asset in assets[1:]]).update(title="many")
        assert marked(Asset, "words") == keys(*assets)


class TestNeverInTheWay:
    def test_a_role_with_rights_on_the_asset_table_alone(self, assets):
        execute("CREATE ROLE mmsearch_writer")
        execute("GRANT SELECT, INSERT, UPDATE, DELETE ON tests_asset TO mmsearch_writer")
        execute("GRANT USAGE ON SEQUENCE tests_asset_id_seq TO mmsearch_writer")
        execute("SET LOCAL ROLE mmsearch_writer")
        execute("UPDATE tests_asset SET title = 'theirs' WHERE id = %s", [assets[0].pk])
        execute("INSERT INTO tests_asset (id, title) VALUES (1001, 'x')")
        execute("DELETE FROM tests_asset WHERE id = %s", [assets[1].pk])
        execute("RESET ROLE")
        assert set(marked(Asset, "words")) == {*keys(assets[0], assets[1]), "1001"}

    @pytest.mark.parametrize("name", ["mmsearch_django_mark", "pg_attribute", "new_rows", "old_rows"])
    def test_temporary_tables_shadow_nothing(self, assets, name):
        execute(f"CREATE TEMP TABLE {name} (x int) ON COMMIT DROP")
        execute("UPDATE tests_asset SET title = 'x'")
        execute("DROP TABLE pg_temp." + name)
        assert marked(Asset, "words") == keys(*assets)

    @pytest.mark.parametrize(
        "sql", ["DROP TABLE mmsearch_django_mark", "ALTER TABLE mmsearch_django_mark RENAME COLUMN live TO alive"]
    )
    def test_writes_pass_without_our_tables(self, assets, sql):
        """Also when the functions' plans are warm."""
        Asset.objects.update(title="warm")
        execute(sql)
        Asset.objects.create(title="x")
        Asset.objects.update(title="y")
        Asset.objects.all()[0].delete()
        truncate_assets()
        assert Asset.objects.count() == 0

    def test_a_renamed_column_breaks_no_write(self, assets):
        Asset.objects.update(title="warm")
        Mark.objects.all().delete()
        execute("ALTER TABLE tests_asset RENAME COLUMN title TO name")
        execute("UPDATE tests_asset SET name = 'x'")
        assert not Mark.objects.exists()
        execute("ALTER TABLE tests_asset RENAME COLUMN name TO title")
        Asset.objects.update(title="back")
        assert marked(Asset, "words") == keys(*assets)


class TestWatchedColumns:
    def test_columns_of_a_parent_are_watched_in_its_table(self):
        field = EmbeddingField(TextSource("caption"))
        field.name, field.model = "x", LongClip
        assert watched_columns(field) == {LongClip: [], Clip: ["caption"]}

    def test_a_column_behind_another_key_is_refused(self):
        field = EmbeddingField(TextSource("x"))
        field.name, field.model = "x", Asset
        field.source.columns = lambda model: [Team._meta.get_field("name")]
        with pytest.raises(ConfigurationError, match=r"tests\.Asset\.x reads name.*tests\.Team"):
            watched_columns(field)

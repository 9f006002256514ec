import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from mmsearch_django import triggers
from mmsearch_django.fields import embedding_fields
from mmsearch_django.models import Mark
from mmsearch_django.triggers import installation, receivers
from tests.models import Asset, Clip
from tests.triggers.sql import execute, held_lock, keys, marked, space

pytestmark = pytest.mark.django_db
ASSETS = '"public"."tests_asset"'


class TestInstalling:
    def test_all_is_as_declared_after_migrate(self):
        assert triggers.problems("default") == []

    def test_a_second_migrate_writes_nothing(self):
        with CaptureQueriesContext(connection) as queries:
            call_command("migrate", verbosity=0)
        sent = [query["sql"].strip() for query in queries]
        assert sum("pg_trigger" in sql for sql in sent) == 1
        assert [sql for sql in sent if not sql.startswith(("SELECT", "WITH"))] == []

    @pytest.mark.parametrize(
        "damage",
        [
            f"DROP TRIGGER mmsearch_insert ON {ASSETS}",
            f"ALTER TABLE {ASSETS} DISABLE TRIGGER mmsearch_insert",
            f"ALTER TABLE {ASSETS} DISABLE TRIGGER ALL",
            "DROP FUNCTION mmsearch_insert_tests_asset() CASCADE",
            "CREATE OR REPLACE FUNCTION mmsearch_insert_tests_asset() RETURNS trigger LANGUAGE plpgsql "
            "AS 'BEGIN RETURN NULL; END'",
        ],
    )
    def test_damage_is_told_and_repaired(self, unmarked, damage):
        execute(damage)
        assert any("insert" in problem for problem in triggers.problems("default"))
        assert triggers.install("default").failed == []
        assert triggers.problems("default") == []
        asset = Asset.objects.create(title="x")
        assert marked(Asset, "words") == keys(asset)

    def test_functions_of_a_role_that_may_no_longer_mark(self, unmarked):
        """Their tables were given away: nothing breaks, it is told, and repaired."""
        execute("CREATE ROLE mmsearch_former; ALTER FUNCTION mmsearch_insert_tests_asset() OWNER TO mmsearch_former")
        Asset.objects.create(title="x")
        assert marked(Asset, "words") == []
        assert ["may not insert marks" in problem for problem in triggers.problems("default")] == [True]
        assert triggers.install("default").failed == []
        asset = Asset.objects.create(title="x")
        assert marked(Asset, "words") == keys(asset)

    def test_functions_that_nothing_needs_are_dropped(self):
        execute(
            "CREATE FUNCTION mmsearch_insert_gone() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
            "COMMENT ON FUNCTION mmsearch_insert_gone() IS 'mmsearch_django 0';"
            "CREATE FUNCTION mmsearch_foreign() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
            "CREATE TRIGGER mmsearch_gone AFTER INSERT ON tests_team EXECUTE FUNCTION mmsearch_insert_gone()"
        )
        triggers.install("default")
        names = {row[0] for row in execute("SELECT proname FROM pg_proc WHERE proname LIKE 'mmsearch%%'")}
        assert "mmsearch_insert_gone" not in names
        assert "mmsearch_foreign" in names

    def test_a_removed_field_is_no_longer_marked(self, unmarked, monkeypatch):
        words = embedding_fields(Asset)["words"]
        monkeypatch.setattr("mmsearch_django.triggers.installation.all_embedding_fields", lambda: [words])
        assert triggers.install("default").failed == []
        Asset.objects.create(title="x")
        Clip.objects.create(caption="x")
        assert set(Mark.objects.values_list("space", flat=True)) == {space(Asset, "words")}

    def test_without_our_tables_nothing_is_installed(self):
        execute("DROP TABLE mmsearch_django_mark")
        assert triggers.install("default").failed == []
        assert execute("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'mmsearch%%'") == [(0,)]

    def test_a_router_that_refuses_installs_nothing(self, settings):
        execute("DROP FUNCTION mmsearch_insert_tests_asset() CASCADE")
        settings.DATABASE_ROUTERS = [Refusing("mmsearch_django")]
        assert triggers.changes("default") == []
        settings.DATABASE_ROUTERS = [Refusing("tests")]
        assert triggers.changes("default") == []

    def test_vectors_are_stored_in_line(self):
        rows = execute(
            "SELECT attstorage FROM pg_attribute WHERE attrelid = 'tests_asset_words'::regclass AND attname = 'vector'"
        )
        assert rows == [("p",)]

    def test_a_locked_table_is_a_warning(self, transactional_db, caplog, monkeypatch):
        monkeypatch.setattr(installation, "PATIENCE", 0)
        execute(f"DROP TRIGGER mmsearch_insert ON {ASSETS}")
        with held_lock(ASSETS):
            receivers.install_triggers(using="default")
        assert "Somebody holds it; run 'manage.py mmsearch_triggers --database default'" in caplog.text
        assert triggers.problems("default") != []
        receivers.install_triggers(using="default")
        assert triggers.problems("default") == []

    def test_a_lock_is_waited_for_between_tries(self, transactional_db, monkeypatch):
        """The first pause ends with the lock, which nobody queues for meanwhile."""
        execute(f"DROP TRIGGER mmsearch_insert ON {ASSETS}")
        lock = held_lock(ASSETS)
        lock.__enter__()
        pauses = []

        def pause(seconds):
            pauses.append(seconds)
            if len(pauses) == 3:
                lock.__exit__(None, None, None)

        monkeypatch.setattr(installation.time, "sleep", pause)
        assert triggers.install("default").failed == []
        assert pauses == [0.1, 0.2, 0.4]


class TestMigrate:
    def test_zero_and_back(self, transactional_db):
        try:
            call_command("migrate", "mmsearch_django", "zero", verbosity=0)
            Asset.objects.create(title="x").delete()
        finally:
            call_command("migrate", verbosity=0)
        assert triggers.problems("default") == []

    def test_the_extension_is_asked_for_in_one_line(self, settings, monkeypatch):
        plan = [(type("Migration", (), {"app_label": "tests"}), False)]
        execute("SAVEPOINT s")
        execute("DROP EXTENSION vector CASCADE")
        execute("CREATE ROLE mmsearch_nobody")
        execute("SET LOCAL ROLE mmsearch_nobody")
        with pytest.raises(CommandError, match="CREATE EXTENSION vector;"):
            receivers.create_extension(using="default", plan=plan)
        with pytest.raises(CommandError, match="CREATE EXTENSION vector;"):
            receivers.create_extension(using="default", plan=[])  # An app without migrations is just created.
        settings.MIGRATION_MODULES = {}
        receivers.create_extension(using="default", plan=[])
        execute("RESET ROLE")
        receivers.create_extension(using="default", plan=plan)
        assert execute("SELECT count(*) FROM pg_extension WHERE extname = 'vector'") == [(1,)]
        execute("ROLLBACK TO SAVEPOINT s")


class Refusing:
    def __init__(self, label):
        self.label = label

    def allow_migrate(self, db, app_label, **hints):
        return False if app_label == self.label else None

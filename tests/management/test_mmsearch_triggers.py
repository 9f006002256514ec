import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from mmsearch_django import triggers

pytestmark = pytest.mark.django_db


def drop_trigger():
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER mmsearch_insert ON tests_asset")


def test_it_repairs_and_says_so(capsys):
    drop_trigger()
    call_command("mmsearch_triggers")
    assert capsys.readouterr().out == 'Done: create the insert trigger of "public"."tests_asset".\n'
    call_command("mmsearch_triggers")
    assert capsys.readouterr().out == "All is as declared.\n"
    assert triggers.problems("default") == []


def test_what_cannot_be_installed_is_an_error(monkeypatch):
    drop_trigger()
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE mmsearch_nobody")
        cursor.execute("GRANT SELECT ON mmsearch_django_space TO mmsearch_nobody")
        cursor.execute("SET LOCAL ROLE mmsearch_nobody")
    remedy = 'permission denied.*Let a role that may run: GRANT TRIGGER ON "public"."tests_asset" TO mmsearch_nobody;'
    with pytest.raises(CommandError, match=f"Could not create the insert trigger.*{remedy}"):
        call_command("mmsearch_triggers")


def test_pending_sql_is_what_this_database_lacks(capsys):
    call_command("mmsearch_triggers", "--sql", "--pending")
    assert capsys.readouterr().out == ""
    drop_trigger()
    call_command("mmsearch_triggers", "--sql", "--pending")
    timeout, create, reset, end = capsys.readouterr().out.split(";\n\n")
    assert timeout.startswith("SET lock_timeout = ")
    assert create.startswith('CREATE OR REPLACE TRIGGER mmsearch_insert AFTER INSERT ON "public"."tests_asset"')
    assert (reset, end) == ("RESET lock_timeout", "")
    with pytest.raises(CommandError, match="--pending goes with --sql"):
        call_command("mmsearch_triggers", "--pending")


def test_sql_is_all_that_a_new_database_needs(capsys):
    triggers_of = "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'mmsearch%'"
    call_command("mmsearch_triggers", "--sql")
    sql = capsys.readouterr().out
    with connection.cursor() as cursor:
        cursor.execute(triggers_of)
        before = cursor.fetchone()
        cursor.execute("DROP TABLE mmsearch_django_mark")
        triggers.install("default")
        cursor.execute("CREATE TABLE mmsearch_django_mark (space_id int, object_id text, live bool)")
        cursor.execute("TRUNCATE mmsearch_django_space")
        cursor.execute(sql)
        cursor.execute(triggers_of)
        assert cursor.fetchone() == before
    assert triggers.problems("default") == []


@pytest.mark.django_db(databases=[])
def test_sql_asks_no_database(capsys):
    call_command("mmsearch_triggers", "--sql", "--schema", "archive")
    assert 'AFTER DELETE ON "archive"."tests_asset"' in capsys.readouterr().out

import json

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from mmsearch_django import tasks
from mmsearch_django.embedders.dummy import DummyEmbedder
from mmsearch_django.exceptions import EmbedderUnavailable
from mmsearch_django.fields import embedding_fields
from mmsearch_django.indexing import hnsw, sweep
from mmsearch_django.indexing.targets import target, targets
from mmsearch_django.models import Space, State
from mmsearch_django.search import legs
from tests.celery_app import broker
from tests.indexing.conftest import embed_all, make
from tests.indexing.processes import python, wait_for
from tests.models import Asset

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def healthy(transactional_db, celery, monkeypatch):
    monkeypatch.setattr(tasks, "send", lambda *args, **options: None)  # The application keeps the broker of its first.
    for one in targets():
        sweep.sweep_all(one)
    make("red", "blue")
    embed_all(target(embedding_fields(Asset)["words"]))
    embed_all(target(embedding_fields(Asset)["visual"]))


def lines(capsys):
    """What it prints, and whether it finds a problem."""
    try:
        call_command("mmsearch_doctor", no_color=True)
        failed = False
    except CommandError:
        failed = True
    return capsys.readouterr().out.splitlines(), failed


def line(capsys, topic):
    found, failed = lines(capsys)
    [one] = [text for text in found if text.split(maxsplit=1)[1].startswith(topic)]
    assert failed == any(text.startswith("problem") for text in found)
    return " ".join(one.split())


def test_all_is_well(capsys):
    found, failed = lines(capsys)
    assert not failed
    topics = [text.split(maxsplit=1)[1].partition(":")[0] for text in found]
    assert topics[:2] == ["database 'default'", "checks"]
    assert {"tests.Asset.words", "tests.Asset.words sweep", "tests.Asset.words index", "Celery"} <= set(topics)
    assert topics[-2:] == ["embedder 'default'", "embedder 'next'"]
    assert "2 of 2 are ready, 0 pending" in line(capsys, "tests.Asset.words:")
    assert "pgvector 0." in line(capsys, "database")


def test_json(capsys):
    call_command("mmsearch_doctor", "--no-embedders", format="json")
    found = json.loads(capsys.readouterr().out)
    assert {row["level"] for row in found} == {"ok", "note"}
    assert not any(row["topic"].startswith("embedder") for row in found)


def test_triggers(capsys):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE tests_asset DISABLE TRIGGER mmsearch_update")
    assert "is disabled. Run mmsearch_triggers" in line(capsys, "check mmsearch.W022")


def test_a_backlog_that_nobody_works_on(capsys):
    make("green")
    State.objects.update(finished_at=None)
    text = line(capsys, "tests.Asset.words:")
    assert text.startswith("problem tests.Asset.words: 2 of 3 are ready, 1 pending, and nobody works on them. Start a")


def test_failures_are_a_note(capsys):
    State.objects.filter(space=target(embedding_fields(Asset)["words"]).space).update(
        status="failed", error_class="CorruptFile"
    )
    found, failed = lines(capsys)
    assert not failed
    [text] = [text for text in found if "failed:" in text]
    assert "2 CorruptFile. Mend the files, then manage.py mmsearch_index tests.Asset --retry-failed." in text


@pytest.mark.parametrize(("swept_at", "text"), [(None, "never ran"), ("2020-01-01T00:00Z", "s ago")])
def test_a_sweep_that_does_not_run(capsys, swept_at, text):
    Space.objects.update(swept_at=swept_at)
    assert line(capsys, "tests.Asset.words sweep").startswith("problem")


@pytest.fixture
def no_index():
    yield
    hnsw.drop(target(embedding_fields(Asset)["words"]))


def test_indexes(capsys, monkeypatch, no_index):
    monkeypatch.setattr(hnsw, "PAYS", 2)
    assert "missing: searches are exact and slow. manage.py mmsearch_index tests.Asset" in line(
        capsys, "tests.Asset.words index"
    )
    words = target(embedding_fields(Asset)["words"])
    hnsw.build(words)
    assert "valid; searches of up to 10,000 rows are exact" in line(capsys, "tests.Asset.words index")
    monkeypatch.setattr(legs, "EXACT_LIMIT", 50)
    make(*map(str, range(300)))
    embed_all(words)
    embed_all(target(embedding_fields(Asset)["visual"]))
    assert "valid and used" in line(capsys, "tests.Asset.words index")
    monkeypatch.setattr(legs.Legs, "_has_hnsw", lambda self, table: "false")
    assert "valid, yet a search does not use it" in line(capsys, "tests.Asset.words index")


def test_an_embedder_that_cannot_load(capsys, monkeypatch):
    def load(self):
        raise EmbedderUnavailable("no weights; run mmsearch_download")

    monkeypatch.setattr("mmsearch_django.embedders.engines._engines", {})
    monkeypatch.setattr(DummyEmbedder, "load", load)
    assert "run mmsearch_download" in line(capsys, "embedder 'default'")


def test_a_field_without_a_space(capsys):
    Space.objects.filter(model="tests.asset", field="words").delete()
    assert "mmsearch_triggers" in line(capsys, "tests.Asset.words")


class TestCelery:
    def test_without_a_broker(self, capsys):
        assert line(capsys, "Celery") == "note Celery: has no broker configured. Run mmsearch_sweep from cron."

    def test_a_broker_that_is_away(self, capsys, celery):
        celery.conf.broker_url = "redis://127.0.0.1:1/0"
        assert line(capsys, "broker").startswith("problem broker: cannot be reached")

    def test_no_worker(self, capsys, celery, tmp_path):
        celery.conf.update(broker(str(tmp_path)))
        assert line(capsys, "workers").startswith("problem workers: none that knows mmsearch_django.tasks")

    def test_a_worker(self, capsys, celery, tmp_path):
        celery.conf.update(broker(str(tmp_path)))
        command = ["-W", "ignore", "-m", "celery", "-A", "tests.celery_app", "worker", "--pool", "solo", "-n", "one@x"]
        with python(*command, TEST_BROKER=str(tmp_path)):
            wait_for(tasks.workers, seconds=60)
            assert line(capsys, "workers") == "ok workers: one@x can index."

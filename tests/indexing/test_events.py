import logging
import subprocess
import sys

import pytest

from mmsearch_django.exceptions import CorruptFile
from mmsearch_django.indexing import hnsw, sweep
from tests.indexing.conftest import embed_all, make, reading
from tests.indexing.processes import environment

pytestmark = pytest.mark.django_db
LOGGER = "mmsearch_django.indexing"


@pytest.fixture
def records(caplog):
    caplog.set_level(logging.INFO, LOGGER)
    return lambda: [record for record in caplog.records if record.name == LOGGER]


@pytest.mark.django_db(transaction=True)
def test_a_batch_its_sum_and_what_failed(words, caplog, records, monkeypatch):
    good, bad = make("secret poem", "bad")
    reading(monkeypatch, words, bad=CorruptFile('a"b\nevent=forged is no picture'))
    embed_all(words)
    assert [record.event for record in records()] == ["work_started", "asset_failed", "batch_finished", "work_ended"]
    failed, batch = records()[1:3]
    assert failed.levelno == logging.WARNING
    assert (failed.field, failed.object, failed.error_class) == ("tests.Asset.words", str(bad.pk), "CorruptFile")
    assert failed.getMessage().count("\n") == 0
    assert 'reason="a\\"b\\nevent=forged is no picture"' in failed.getMessage()
    assert (batch.levelno, batch.ready, batch.failed, batch.skipped, batch.retried) == (logging.INFO, 1, 1, 0, 0)
    assert batch.getMessage().startswith("batch_finished field=tests.Asset.words database=default ready=1 failed=1 ")
    assert batch.per_second > 0
    assert not any("poem" in record.getMessage() for record in records())
    caplog.clear()
    embed_all(words)
    assert records() == []


def test_what_the_sweep_found(words, caplog, records):
    make("a")
    embed_all(words)
    words.states.all().delete()
    caplog.clear()
    sweep.sweep_all(words)
    assert [(record.event, record.phase, record.stale) for record in records()] == [
        ("sweep_found", "rows", 1),
        ("sweep_found", "vectors", 1),
    ]


@pytest.mark.django_db(transaction=True)
def test_an_index_that_was_built(words, caplog, records, monkeypatch):
    hnsw.drop(words)
    make("a")
    embed_all(words)
    monkeypatch.setattr(hnsw, "PAYS", 1)
    caplog.clear()
    assert hnsw.build(words)
    assert [record.event for record in records()] == ["index_started", "index_built"]
    hnsw.drop(words)


def test_quiet_where_nobody_has_configured_logging():
    code = (
        "import django, logging; django.setup()\n"
        "from mmsearch_django.indexing import events\n"
        "events.logger.warning('noise'); logging.getLogger('other').warning('heard')"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    assert done.stderr == "heard\n"

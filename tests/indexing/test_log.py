import logging

import pytest

from mmsearch_django.exceptions import CorruptFile
from mmsearch_django.indexing import log, running, sweep
from tests.indexing.conftest import embed_all, make, reading

pytestmark = pytest.mark.django_db


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, logger="mmsearch_django.indexing")
    return caplog


def test_a_batch_and_each_that_failed(words, lines, monkeypatch):
    _, bad = make("good", "bad")
    reading(monkeypatch, words, bad=CorruptFile('"bad.jpg" is cut\nshort'))
    embed_all(words)
    batch, failed = lines.records
    assert batch.getMessage().startswith("batch field=tests.Asset.words pending=0 ready=1 failed=1 skipped=0 seconds=")
    assert batch.mmsearch["per_second"] > 0
    assert (batch.levelname, failed.levelname) == ("INFO", "WARNING")
    assert failed.getMessage() == (
        f"failed field=tests.Asset.words object={bad.pk} error_class=CorruptFile message=\"'bad.jpg' is cut short\""
    )
    assert failed.mmsearch["message"] == '"bad.jpg" is cut\nshort'


def test_contents_are_not_logged(words, lines):
    make("secret words")
    embed_all(words)
    assert "secret" not in lines.text


def test_what_the_sweep_found(words, lines, monkeypatch):
    monkeypatch.setattr(sweep, "sweep_slice", lambda target: 3)
    running.tick()
    assert "swept field=tests.Asset.words marked=3" in lines.text


def test_nothing_is_made_where_nobody_listens(monkeypatch):
    monkeypatch.setattr(log.logger, "isEnabledFor", lambda level: False)
    monkeypatch.setattr(log.logger, "log", lambda *args, **kwargs: pytest.fail("logged"))
    log.event(logging.INFO, "batch", field="x")

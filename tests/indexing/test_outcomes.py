"""What interrupts a task is nobody's end. The rest of outcomes is in test_pipeline."""

import signal
import time
from contextlib import contextmanager

import pytest
from billiard.exceptions import SoftTimeLimitExceeded
from django.core.files.base import ContentFile

from mmsearch_django import tasks
from mmsearch_django.exceptions import StorageUnavailable
from mmsearch_django.fields import embedding_fields
from mmsearch_django.indexing import running
from mmsearch_django.indexing.targets import target
from mmsearch_django.media import sandbox
from tests.colours import encoded
from tests.indexing.conftest import embed_all, engine, make, reading, state_of
from tests.media import deadly
from tests.models import Asset

pytestmark = pytest.mark.django_db

LIMIT_SECONDS = 0.4


@contextmanager
def soft_time_limit():
    """As Celery's prefork pool holds it: by a signal to the main thread, whatever it does."""

    def exceeded(*caught):
        raise SoftTimeLimitExceeded

    former = signal.signal(signal.SIGALRM, exceeded)
    signal.setitimer(signal.ITIMER_REAL, LIMIT_SECONDS)
    try:
        with pytest.raises(SoftTimeLimitExceeded):
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


def assert_not_blamed(target, asset):
    state = state_of(target, asset)
    assert (state.status, state.attempts, state.retries, state.error_class) == ("pending", 0, 0, "")
    assert state.lease_until is None


def wrapped():
    try:
        raise StorageUnavailable("The storage did not give it.") from SoftTimeLimitExceeded()
    except StorageUnavailable as error:
        return error


@pytest.mark.parametrize("raised", [SoftTimeLimitExceeded(), wrapped()])
def test_a_soft_time_limit_while_reading_is_not_blamed_on_the_asset(words, monkeypatch, raised):
    assets = make("red", "green")
    with monkeypatch.context() as patch:
        reading(patch, words, red=raised)
        with pytest.raises(SoftTimeLimitExceeded):
            embed_all(words)
    for asset in assets:
        assert_not_blamed(words, asset)
    assert embed_all(words) == {"ready": 2}


def test_nor_while_decoding(words, monkeypatch, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    visual = target(embedding_fields(Asset)["visual"])
    monkeypatch.setattr(sandbox, "decoders", sandbox.Sandbox(deadly.COMMAND))
    sandbox.decoders.idle.append(sandbox.decoders._fresh())  # It takes a moment to start.
    asset = Asset.objects.create()
    asset.file.save("a.png", ContentFile(encoded("red") + deadly.DEADLY + b"endless"))
    with soft_time_limit():
        embed_all(visual)
    assert_not_blamed(visual, asset)
    assert not sandbox.decoders.living


def test_nor_while_waiting_for_the_embedder(words, monkeypatch):
    [asset] = make("red")
    with monkeypatch.context() as patch:
        engine(patch, lambda texts: time.sleep(2 * LIMIT_SECONDS))
        with soft_time_limit():
            embed_all(words)
    assert_not_blamed(words, asset)
    assert embed_all(words) == {"ready": 1}


def test_nor_where_the_embedder_waits_in_the_same_thread(words, monkeypatch):
    def interrupted(texts):
        raise SoftTimeLimitExceeded

    [asset] = make("red")
    engine(monkeypatch, interrupted)
    with pytest.raises(SoftTimeLimitExceeded):
        embed_all(words)
    assert_not_blamed(words, asset)


def test_the_sweep_ends_with_it(monkeypatch):
    def interrupted(target):
        raise SoftTimeLimitExceeded

    monkeypatch.setattr(running.sweep, "sweep_slice", interrupted)
    with pytest.raises(SoftTimeLimitExceeded):
        tasks.sweep()

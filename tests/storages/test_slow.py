"""A storage that never answers and knows no timeout: Celery's soft limit is what ends the wait."""

import os
import signal
import threading

import pytest
from billiard.exceptions import SoftTimeLimitExceeded
from billiard.pool import soft_timeout_sighandler
from django.core.files.storage import InMemoryStorage

from example_project.library.models import Asset
from mmsearch_django.fields import embedding_fields
from mmsearch_django.indexing import claims
from mmsearch_django.indexing.pipeline import UnderWay
from mmsearch_django.indexing.targets import target
from mmsearch_django.models import State
from tests import colours
from tests.indexing.conftest import embed_all


class StallingStorage(InMemoryStorage):
    """The first who reads waits for an answer that will not come."""

    def _open(self, name, mode="rb"):
        if mode == "rb" and not self.stalled.is_set():
            self.stalled.set()
            self.answer.wait(30)
        return super()._open(name, mode)


@pytest.fixture
def stalled(settings):
    """Set when somebody waits."""
    settings.STORAGES = {"default": {"BACKEND": "tests.storages.test_slow.StallingStorage"}}
    StallingStorage.stalled, StallingStorage.answer = threading.Event(), threading.Event()
    yield StallingStorage.stalled
    StallingStorage.answer.set()


@pytest.fixture
def soft_limit(stalled):
    """What a prefork worker does to its task after ten minutes, done as soon as somebody waits."""

    def interrupt():
        stalled.wait(30)
        threading.Event().wait(0.6)
        os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, soft_timeout_sighandler)
    thread = threading.Thread(target=interrupt)
    thread.start()
    yield
    thread.join()
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.django_db
def test_the_soft_limit_ends_the_wait_and_the_batch(stalled, soft_limit, settings):
    settings.MMSEARCH = {**settings.MMSEARCH, "LEASE_SECONDS": 1}
    for colour in ("red", "green", "blue"):
        Asset(title=colour).file.save(f"{colour}.png", colours.picture(colour))
    visual = target(embedding_fields(Asset)["visual"])
    claims.drain(visual)
    with pytest.raises(SoftTimeLimitExceeded), UnderWay(visual) as under_way:
        under_way.start(claims.claim(visual, 3))
    states = State.objects.filter(space=visual.space)
    assert set(states.values_list("status", "attempts", "lease_until", "error_class")) == {("pending", 0, None, "")}
    assert embed_all(visual) == {"ready": 3}

"""A storage that never answers and knows no timeout: the wait ends all the same."""

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
from tests.indexing.processes import wait_for


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


def readers():
    return [thread for thread in threading.enumerate() if thread.name == "mmsearch-reader"]


@pytest.mark.django_db(transaction=True)
def test_what_does_not_come_is_tried_again_later_and_holds_nobody_up(stalled, settings):
    limits = {"LEASE_SECONDS": 1, "READ_SECONDS": 0.2, "DECODE_SECONDS": 2}
    settings.MMSEARCH = {**settings.MMSEARCH, **limits}
    for colour in ("red", "green", "blue"):
        Asset(title=colour).file.save(f"{colour}.png", colours.picture(colour))
    visual = target(embedding_fields(Asset)["visual"])
    assert embed_all(visual) == {"pending": 1, "ready": 2}
    state = visual.states.get(status="pending")
    assert (state.attempts, state.retries, state.error_class, state.lease_until) == (0, 1, "StorageUnavailable", None)
    [waiting] = wait_for(lambda: (found := readers()) and len(found) == 1 and found)
    assert waiting.daemon  # The process can end without it.
    StallingStorage.answer.set()
    waiting.join()
    visual.states.update(not_before=None)
    assert embed_all(visual) == {"ready": 1}

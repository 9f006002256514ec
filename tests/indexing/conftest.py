import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.db import connections

from mmsearch_django.embedders.dummy import DummyEngine
from mmsearch_django.embedders.registry import embedders
from mmsearch_django.fields import embedding_fields
from mmsearch_django.indexing.pipeline import work
from mmsearch_django.indexing.targets import target
from mmsearch_django.models import Mark, State
from mmsearch_django.sources import TextSource
from tests.models import Asset


@pytest.fixture
def words(db):
    """The text field of assets; nothing is marked."""
    Mark.objects.all().delete()
    return target(embedding_fields(Asset)["words"])


@pytest.fixture
def other_connection(transactional_db):
    """Runs a function in a thread, and so with a connection of its own; gives a Future."""
    with ThreadPoolExecutor(1) as executor:
        yield executor.submit
        executor.submit(connections.close_all).result()


@pytest.fixture
def struck():
    """As in a child of Celery's prefork pool: a signal raises in the main thread, once, after a moment."""

    def strike(*_):
        raise SoftTimeLimitExceeded(600)

    before = signal.signal(signal.SIGALRM, strike)
    yield lambda: signal.setitimer(signal.ITIMER_REAL, 0.2)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def switch(settings, dimensions=32, model="other"):
    """Configure another embedder."""
    config = {"BACKEND": "mmsearch_django.embedders.dummy.DummyEmbedder", "MODEL": model}
    default = {**config, "OPTIONS": {"dimensions": dimensions}}
    settings.MMSEARCH = {"EMBEDDERS": {**settings.MMSEARCH["EMBEDDERS"], "default": default}}


def embed_all(target, **options):
    """How everything that can be done now ended, by status."""
    return sum(work(target, **options), start=Counter())


def vector_of(text):
    return embedders["default"].embed_texts([text])[0]


def state_of(target, obj):
    return State.objects.get(space=target.space, object_id=str(obj.pk))


def statuses(target):
    return dict(State.objects.filter(space=target.space).values_list("object_id", "status"))


def make(*titles):
    return Asset.objects.bulk_create([Asset(title=title) for title in titles])


def assert_has_vector_of(asset, text):
    vector = np.asarray(Asset.objects.get(pk=asset.pk).words.vector)
    assert np.allclose(vector, vector_of(text), atol=1e-3)


def reading(monkeypatch, target, **raised):
    """Reading the text of an asset with one of these titles raises."""
    read = TextSource(*target.field.source.fields).read

    def patched(instance):
        if instance.title in raised:
            raise raised[instance.title]
        return read(instance)

    monkeypatch.setattr(target.field.source, "read", patched)


def meanwhile(monkeypatch, target, act):
    """``act`` is called with each text once it was read, before it is embedded and written."""
    read = TextSource(*target.field.source.fields).read

    def patched(instance):
        content = read(instance)
        act(content.value)
        return content

    monkeypatch.setattr(target.field.source, "read", patched)


def engine(monkeypatch, respond):
    """The engine calls ``respond`` with its texts before it answers."""
    texts = DummyEngine.texts

    def patched(self, contents, *, query):
        respond(list(contents))
        return texts(self, contents, query=query)

    monkeypatch.setattr(DummyEngine, "texts", patched)

"""Savers, deleters and workers at once, and workers that are killed."""

import random
import threading
import time
from collections import Counter
from contextlib import ExitStack, suppress
from hashlib import sha256

import numpy as np
import pytest
from django.db import IntegrityError, connections, transaction

from mmsearch_django.embedders.dummy import DummyEngine
from mmsearch_django.fields import embedding_fields
from mmsearch_django.indexing.pipeline import work
from mmsearch_django.indexing.status import status
from mmsearch_django.indexing.targets import target
from mmsearch_django.models import Mark, State
from tests.indexing.conftest import assert_has_vector_of, embed_all, vector_of
from tests.indexing.processes import python, wait_for
from tests.models import Asset

pytestmark = pytest.mark.django_db(transaction=True)

ROWS = range(1, 25)
SECONDS = 4


@pytest.fixture
def words(transactional_db):
    Mark.objects.all().delete()
    return target(embedding_fields(Asset)["words"])


class Crowd:
    """Threads that repeat an action until the time is over, and what they raised."""

    def __init__(self, *actions):
        self.errors = []
        self.end = time.monotonic() + SECONDS
        self.threads = [threading.Thread(target=self._repeat, args=(action,)) for action in actions]

    def run(self):
        for thread in self.threads:
            thread.start()
        for thread in self.threads:
            thread.join()
        return self.errors

    def _repeat(self, action):
        try:
            while time.monotonic() < self.end:
                action()
        except Exception as error:
            self.errors.append(error)
        finally:
            connections.close_all()


def save_one():
    pk = random.choice(ROWS)
    with suppress(IntegrityError):  # Another inserted the same key.
        Asset(pk=pk, title=f"{pk} {random.random()}").save()


def save_many():
    """In the order of their keys, as two sites' transactions must to not block each other."""
    with transaction.atomic():
        for pk in sorted(random.sample(ROWS, 4)):
            Asset.objects.filter(pk=pk).update(title=f"{pk} {random.random()}")
            time.sleep(0.002)


def delete_some():
    with transaction.atomic():
        keys = sorted(random.sample(ROWS, 2))
        list(Asset.objects.filter(pk__in=keys).order_by("pk").select_for_update().values_list("pk"))
        Asset.objects.filter(pk__in=keys)._raw_delete("default")
    time.sleep(0.02)


def test_nothing_is_stale_missing_or_orphaned(words, monkeypatch):
    Asset.objects.bulk_create([Asset(pk=pk, title=str(pk)) for pk in ROWS])
    texts = DummyEngine.texts

    def slow(self, contents, *, query):
        time.sleep(random.uniform(0, 0.01))
        return texts(self, contents, query=query)

    monkeypatch.setattr(DummyEngine, "texts", slow)
    written = Counter()

    def embed():
        for counts in work(words, size=5):
            written.update(counts)
        time.sleep(0.005)

    errors = Crowd(save_one, save_one, save_many, delete_some, embed, embed, embed).run()

    assert errors == []
    assert written["ready"] > 100
    embed_all(words)
    found = status(words)
    assert (found.ready, found.pending) == (found.total, 0)
    assert not Mark.objects.filter(space=words.space).exists()
    assert State.objects.filter(space=words.space).count() == found.total == words.vectors.count()
    for asset in Asset.objects.select_related("words"):
        assert bytes(asset.words.digest) == sha256(asset.title.encode()).digest()
        assert np.allclose(np.asarray(asset.words.vector), vector_of(asset.title), atol=1e-3)


POINTS = {
    "claimed": "pipeline.read",
    "loading": "DummyEmbedder.load",
    "reading": "TextSource.read",
    "embedding": "DummyEmbedder.embed_texts",
    "between vectors and states": "writing._write_states",
    "before commit": "claims.release",
}
"""Where a worker stops, and what does not return there."""
STOPPING_WORKER = """
import django, time
django.setup()
from django.conf import settings
settings.MMSEARCH = {{**settings.MMSEARCH, "LEASE_SECONDS": 1}}
from mmsearch_django.embedders.dummy import DummyEmbedder
from mmsearch_django.fields import embedding_fields
from mmsearch_django.indexing import claims, pipeline, writing
from mmsearch_django.indexing.targets import target
from mmsearch_django.sources import TextSource
from tests.models import Asset

def stop(*args, **kwargs):
    print("stopped", flush=True)
    time.sleep(60)

{point} = stop
list(pipeline.work(target(embedding_fields(Asset)["words"]), size=1))
"""


def test_what_killed_workers_claimed_is_taken_over_wherever_they_were(words):
    assets = [Asset.objects.create(title=f"asset {number}") for number in range(2 * len(POINTS))]
    with ExitStack() as stack:
        scripts = [STOPPING_WORKER.format(point=point) for point in POINTS.values()]
        workers = [stack.enter_context(python("-W", "ignore", "-c", script)) for script in scripts]
        for worker in workers:
            assert worker.stdout.readline() == b"stopped\n"
        claimed = State.objects.filter(space=words.space, lease_until__isnull=False)
        assert claimed.count() >= len(POINTS)
        assert set(claimed.values_list("attempts", flat=True)) == {0, 1}  # Not counted while the model is loaded.
        assert not words.vectors.exists()
        for worker in workers:
            worker.kill()
    assert wait_for(lambda: embed_all(words) and words.states.filter(status="ready").count() == len(assets))
    for asset in assets:
        assert_has_vector_of(asset, asset.title)

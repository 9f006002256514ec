"""Savers, deleters and workers at once, and workers that are killed."""

import random
import threading
import time
from collections import Counter
from contextlib import suppress
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
from tests.indexing.conftest import embed_all, state_of, vector_of
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
    assert written["ready"] > len(ROWS)
    embed_all(words)
    found = status(words)
    assert (found.ready, found.pending) == (found.total, 0)
    assert not Mark.objects.filter(space=words.space).exists()
    assert State.objects.filter(space=words.space).count() == found.total == words.vectors.count()
    for asset in Asset.objects.select_related("words"):
        assert bytes(asset.words.digest) == sha256(asset.title.encode()).digest()
        assert np.allclose(np.asarray(asset.words.vector), vector_of(asset.title), atol=1e-3)


DYING_WORKER = """
import django, sys, time
django.setup()
from django.conf import settings
settings.MMSEARCH = {**settings.MMSEARCH, "LEASE_SECONDS": 1}
from mmsearch_django.embedders.dummy import DummyEmbedder
from mmsearch_django.fields import embedding_fields
from mmsearch_django.indexing import claims, pipeline, reading, writing
from mmsearch_django.indexing.targets import target
from mmsearch_django.sources import TextSource
from tests.models import Asset

def hang(*args, **kwargs):
    print("there", flush=True)
    time.sleep(60)

owner, name = sys.argv[1].split(".")
setattr(vars()[owner], name, hang)
list(pipeline.work(target(embedding_fields(Asset)["words"])))
"""


# In the order of the pipeline. claims.release is the last statement before the commit.
@pytest.mark.parametrize(
    ("place", "attempts"),
    [
        ("reading._load", 1),
        ("TextSource.read", 1),
        ("DummyEmbedder.load", 0),  # No asset's fault.
        ("DummyEmbedder.embed_texts", 1),
        ("writing._write_states", 1),
        ("writing._write_vectors", 1),
        ("claims.release", 1),
    ],
)
def test_a_killed_workers_claims_are_taken_over(words, place, attempts):
    asset = Asset.objects.create(title="red")
    with python("-W", "ignore", "-c", DYING_WORKER, place) as process:
        assert process.stdout.readline() == b"there\n"
        assert (state_of(words, asset).status, state_of(words, asset).attempts) == ("pending", attempts)
        assert embed_all(words) == {}
        assert not words.vectors.exists()
        process.kill()
    assert wait_for(lambda: embed_all(words)) == {"ready": 1}
    assert state_of(words, asset).attempts == 0
    assert np.allclose(np.asarray(asset.words.vector), vector_of("red"), atol=1e-3)

"""Real workers of every pool, on Redis and on a folder: their servers are restarted, and they go on by themselves."""

import json
import os
import warnings
from contextlib import contextmanager

import numpy as np
import psycopg
import pytest

from tests.chaos.deadly import DEADLY_WORD
from tests.chaos.servers import Site
from tests.embedders import checkpoints
from tests.indexing.processes import wait_for

SECONDS = 40
POOLS = {
    "prefork": ("--pool", "prefork", "-c", "2", "-B"),
    "threads": ("--pool", "threads", "-c", "2", "-B"),
    "solo": ("--pool", "solo", "-B"),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with Site(tmp_path_factory.mktemp("site")) as site:
        yield site


@contextmanager
def running(site, broker, *options):
    worker = site.worker(broker, *options)
    try:
        yield worker
        assert worker.process.poll() is None, worker.tail()
    finally:
        worker.kill()


def write(site, *titles):
    """By raw SQL: only the sweep, which beat sends by the broker, can find it."""
    with psycopg.connect(site.postgres.url) as connection:
        connection.execute("TRUNCATE tests_asset CASCADE")
        connection.execute(
            "INSERT INTO tests_asset (title, file) SELECT t, '1.png' FROM unnest(%s::text[]) AS t", [[*titles]]
        )


def embedded(site, count):
    with psycopg.connect(site.postgres.url) as connection:
        states = "SELECT count(*), count(*) FILTER (WHERE status = 'ready') FROM mmsearch_django_state"
        return connection.execute(states).fetchone() == (2 * count, 2 * count)


def assert_embeds(site, worker, *titles):
    write(site, *titles)
    wait_for(lambda: worker.process.poll() is not None or embedded(site, len(titles)), SECONDS)


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("kind", ["redis", "folder"])
def test_it_goes_on_after_its_servers_were_restarted(site, pool, kind, tmp_path):
    redis = site.redis() if kind == "redis" else None
    with running(site, redis.url if redis else str(tmp_path), *POOLS[pool]) as worker:
        assert_embeds(site, worker, "a", "b")
        site.restart_postgres("immediate", 0)
        if redis:
            redis.kill()
            redis.start()
        assert_embeds(site, worker, "c", "d", "e")
        assert worker.starts == 1
    if redis:
        redis.kill()


def test_where_a_process_of_a_pool_dies_another_goes_on(site, monkeypatch):
    """Without a beat, and with one message in all."""
    write(site, DEADLY_WORD, *(str(number) for number in range(120)))
    monkeypatch.setenv("CHAOS_WORKERS", "1")
    redis = site.redis()
    with running(site, redis.url, "--pool", "prefork", "-c", "1") as worker:
        wait_for(lambda: worker.process.poll() is not None or ready_texts(site) > 32, SECONDS)
        assert "WorkerLostError" in worker.tail()
    redis.kill()


def ready_texts(site):
    with psycopg.connect(site.postgres.url) as connection:
        return connection.execute("SELECT count(*) FROM tests_asset_words").fetchone()[0]


EMBEDDED_HERE = """
import json, django
django.setup()
from mmsearch_django.embedders.registry import embedders
print(json.dumps(embedders["default"].embed_texts(["a", "b"]).tolist()))
"""


def test_torch_runs_in_children_of_a_parent_that_has_run_it(tmp_path):
    pytest.importorskip("sentence_transformers")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        checkpoint = str(checkpoints.clip(tmp_path / "clip"))
    with pytest.MonkeyPatch.context() as patch, Site(tmp_path) as site:
        patch.setitem(os.environ, "CHAOS_CHECKPOINT", checkpoint)
        with running(site, site.redis().url, *POOLS["prefork"]) as worker:
            assert_embeds(site, worker, "a", "b")
        with psycopg.connect(site.postgres.url) as connection:
            vectors = connection.execute(
                "SELECT vector::text FROM tests_asset_words JOIN tests_asset ON id = object_id ORDER BY title"
            ).fetchall()
        here = json.loads(site.run("-c", EMBEDDED_HERE))
        assert np.allclose([json.loads(vector) for (vector,) in vectors], here, atol=2e-3)

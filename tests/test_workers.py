"""Real Celery workers on a Redis: who is embedded when. Told in batches, as an embedder writes them down."""

import signal
from collections import Counter
from contextlib import contextmanager

import pytest
from django.db import connection

from mmsearch_django import tasks
from mmsearch_django.indexing import lanes
from mmsearch_django.indexing.targets import targets
from mmsearch_django.models import Mark, State
from tests.celery_app import broker
from tests.indexing.processes import python, wait_for
from tests.models import Asset, Clip

pytestmark = pytest.mark.django_db(transaction=True)

ROWS = 2000
OURS = ("backfill", "live", "bulk", "kicked")
PENDING = "SELECT 'backfill ' || n FROM generate_series(1, %s) n"


@pytest.fixture(autouse=True)
def nothing_sent_yet(monkeypatch):
    """By the tests before; and where these had no broker, none would be tried for a while."""
    monkeypatch.setattr(tasks, "_kicked", {})
    monkeypatch.setattr(tasks, "_quiet_until", 0.0)


@pytest.fixture
def log(tmp_path):
    """What was embedded: for each batch the process that did and its texts."""
    return Log(tmp_path / "batches")


class Log:
    def __init__(self, path):
        self.path = path
        path.touch()

    def batches(self):
        lines = [line.partition(" ") for line in self.path.read_text().splitlines()]
        found = [(process, texts.split("|")) for process, _, texts in lines]
        return [(process, texts) for process, texts in found if texts[0].startswith(OURS)]  # No self-tests.

    def processes(self, start):
        """How many batches each process did from that one on."""
        return Counter(process for process, _ in self.batches()[start:])

    def place(self, text):
        """The number of the batch with this text; None if there is none yet."""
        found = [number for number, (_, texts) in enumerate(self.batches()) if text in texts]
        return found[0] if found else None


@contextmanager
def worker(url, log, *arguments, workers=1, queue="celery"):
    base = ("-m", "celery", "-A", "tests.celery_app", "worker", "--without-gossip", "--without-mingle")
    extra = {"TEST_BROKER": url, "TEST_BATCHES": str(log.path), "TEST_WORKERS": str(workers), "TEST_QUEUE": queue}
    with python("-W", "ignore", *base, "--loglevel", "error", *arguments, **extra) as process:
        yield process


def backfill(table, column):
    with connection.cursor() as cursor:
        key = "id, " if table == "tests_clip" else ""
        rows = PENDING.replace("SELECT", "SELECT gen_random_uuid(),") if key else PENDING
        cursor.execute(f"INSERT INTO {table} ({key}{column}) {rows}", [ROWS])
    assert not Mark.objects.filter(live=True).exists()


def waiting():
    return Mark.objects.count() + State.objects.filter(status="pending").count()


@pytest.mark.parametrize("processes", [1, 2])
def test_what_people_write_waits_for_a_batch_or_two_of_any_backfill(celery, redis, log, processes):
    """Of its own model and of another one, whichever the workers are at."""
    celery.conf.update(broker(redis))
    backfill("tests_asset", "title")
    backfill("tests_clip", "caption")
    pool = ("--pool", "solo") if processes == 1 else ("--concurrency", "2")
    with worker(redis, log, *pool, workers=processes):
        for number, (model, text) in enumerate([(Asset, "title"), (Clip, "caption")] * 2):
            wait_for(lambda number=number: len(log.batches()) > 3 + 8 * number)
            model.objects.create(**{text: f"live {number}"})
            before = len(log.batches())
            wait_for(lambda number=number: log.place(f"live {number}") is not None)
            # Each process has a batch in hand, has read the next, and may be about to claim one more.
            assert log.place(f"live {number}") - before <= 3 * processes
            assert waiting() > ROWS


def test_as_many_workers_as_configured_are_busy_after_one_bulk_load(celery, redis, log):
    celery.conf.update(broker(redis))
    with worker(redis, log, "--concurrency", "2", workers=2):
        Asset.objects.create(title="live")
        wait_for(lambda: log.place("live") is not None and not waiting())
        started = len(log.batches())
        Asset.objects.bulk_create([Asset(title=f"bulk {number}") for number in range(2 * ROWS)])
        wait_for(lambda: len(log.processes(started)) == 2)
        both = len(log.batches())
        wait_for(lambda: len(log.batches()) >= both + 20)
        assert min(log.processes(both).values()) >= 5


def test_a_worker_of_one_queue_alone(celery, redis, log):
    """By Celery's own task_routes; the sweep, kicks and successors all go there."""
    celery.conf.update(broker(redis), task_routes={"mmsearch_django.tasks.*": {"queue": "search"}})
    with worker(redis, log, "--pool", "solo", "-Q", "search", queue="search"):
        for text in ("kicked", "kicked again"):  # The first may be found by the sweep that a worker begins with.
            Asset.objects.create(title=text)
            wait_for(lambda text=text: log.place(text) is not None)
            wait_for(lambda: not waiting())
    with celery.connection_for_read() as connection:
        assert connection.default_channel.client.llen("celery") == 0


def test_a_warm_shutdown_waits_for_the_batches_in_hand(celery, redis, log):
    celery.conf.update(broker(redis))
    backfill("tests_asset", "title")
    for pool in (("--pool", "solo"), ("--concurrency", "1")):
        started = len(log.batches())
        with worker(redis, log, *pool) as process:
            wait_for(lambda started=started: len(log.batches()) > started + 3)
            process.send_signal(signal.SIGTERM)
            before = len(log.batches())
            assert process.wait(15) == 0
        assert len(log.batches()) - before <= 3
        # It was all written or given back: nothing waits for a lease, no attempt is counted.
        assert not State.objects.filter(status="pending").exclude(lease_until=None, attempts=0).exists()
        assert State.objects.filter(status="pending").exists()


def test_all_workers_heed_a_pause(celery, redis, log):
    celery.conf.update(broker(redis))
    backfill("tests_asset", "title")
    with worker(redis, log, "--concurrency", "2", workers=2):
        wait_for(lambda: len(log.batches()) > 6)
        for target in targets(Asset):
            lanes.change(target, ["backfill"], paused=True)
        before = len(log.batches())
        Asset.objects.create(title="live")
        wait_for(lambda: log.place("live") is not None)
        wait_for(lambda: not State.objects.exclude(lease_until=None).exists())
        assert len(log.batches()) - before <= 5
        assert waiting() > ROWS / 2

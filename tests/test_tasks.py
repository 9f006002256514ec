import os
import socket
import subprocess
import sys
import time
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now

from mmsearch_django import tasks
from mmsearch_django.conf import BEAT_SCHEDULE, conf
from mmsearch_django.embedders.dummy import DummyEmbedder
from mmsearch_django.exceptions import EmbedderUnavailable
from mmsearch_django.indexing import claims, running
from mmsearch_django.indexing.targets import targets
from mmsearch_django.models import Mark, State
from mmsearch_django.sources import Content, ImageSource
from tests.celery_app import broker
from tests.indexing.processes import python, wait_for
from tests.models import Asset, AssetProxy, Clip, LongClip, Quiet, Story, Tag


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    monkeypatch.setattr(tasks, "_kicked", {})
    monkeypatch.setattr(tasks, "_quiet_until", 0.0)


@pytest.fixture
def sent(monkeypatch):
    """What would be sent: task name, arguments, delay."""
    messages = []

    def record(task, *args, countdown=0):
        messages.append((task.name.rpartition(".")[2], *args, countdown))

    monkeypatch.setattr(tasks, "send", record)
    return messages


def no_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class TestKicks:
    @pytest.mark.django_db(transaction=True)
    def test_a_write_through_the_orm_kicks_once_a_second(self, sent):
        for number in range(20):
            Asset.objects.create(title=str(number))
        assert sent == [("index_model", "tests.Asset", 1)]
        tasks._kicked["tests.Asset"] -= 1
        Asset.objects.first().delete()
        assert sent == [("index_model", "tests.Asset", 1)] * 2

    @pytest.mark.django_db(transaction=True)
    def test_a_write_to_a_related_table_kicks(self, sent):
        tag, story = Tag.objects.create(name="red"), Story.objects.create(title="A")
        for write in (lambda: story.tags.add(tag), tag.save, story.tags.clear):
            sent.clear()
            tasks._kicked.clear()
            write()
            assert sent == [("index_model", "tests.Story", 1)]

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize(
        "write", [lambda: Asset.objects.bulk_create([Asset()]), lambda: Asset.objects.update(title="x")]
    )
    def test_bulk_writes_kick(self, sent, write):
        write()
        assert sent == [("index_model", "tests.Asset", 1)]

    @pytest.mark.django_db(transaction=True)
    def test_only_on_commit(self, sent):
        with transaction.atomic():
            Asset.objects.create(title="a")
            assert sent == []
        assert len(sent) == 1
        with transaction.atomic():
            Clip.objects.create(caption="a")
            transaction.set_rollback(True)
        assert len(sent) == 1

    @pytest.mark.django_db(transaction=True)
    def test_proxies_and_children_kick_the_model_that_declares(self, sent):
        AssetProxy.objects.create(title="a")
        LongClip.objects.create(caption="a")
        Quiet.objects.create(caption="a")
        assert [label for _, label, _ in sent] == ["tests.Asset", "tests.Clip"]

    @pytest.mark.django_db(transaction=True)
    def test_eager_tasks_embed_every_write_at_once(self, celery):
        celery.conf.task_always_eager = True
        for number in range(3):
            asset = Asset.objects.create(title=str(number))
            assert Asset.objects.get(pk=asset.pk).words


IN_A_THREAD = """
import threading
from celery import Celery{before}
import django; django.setup()
from mmsearch_django.tasks import index_model
thread = threading.Thread(target=lambda: print(index_model.app.main))
thread.start()
thread.join()
"""


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("; Celery('site')", "site"),
        ("; Celery('chosen').set_default(); Celery('other')", "chosen"),
        ("", "example_project"),  # Its package, which the settings import, makes it.
    ],
)
def test_threads_of_a_web_server_know_the_sites_application(before, expected):
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", IN_A_THREAD.format(before=before)],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        capture_output=True,
        text=True,
    )
    assert (run.stdout, run.stderr) == (f"{expected}\n", "")


class TestBrokenBrokers:
    @pytest.mark.django_db(transaction=True)
    def test_a_dead_broker_costs_next_to_nothing(self, celery, caplog):
        celery.conf.broker_url = f"amqp://127.0.0.1:{no_port()}//"
        spent = 0.0
        kick = tasks.kick
        for number in range(1000):
            start = time.perf_counter()
            kick("tests.Asset")
            spent += time.perf_counter() - start
            if number % 100 == 0:
                tasks._kicked.clear()
        assert spent < 0.5
        assert caplog.text.count("broker cannot be reached") == 1
        Asset.objects.create(title="saved all the same")

    def test_it_is_tried_again_after_a_while(self, celery, caplog, monkeypatch):
        celery.conf.broker_url = f"amqp://127.0.0.1:{no_port()}//"
        tasks.send(tasks.sweep)
        tasks.send(tasks.sweep)
        monkeypatch.setattr(tasks, "_quiet_until", 0.0)
        tasks.send(tasks.sweep)
        assert caplog.text.count("broker cannot be reached") == 2

    @pytest.mark.django_db(transaction=True)
    def test_a_dead_worker_finds_no_heap_of_messages(self, celery, tmp_path):
        celery.conf.update(broker(str(tmp_path)))
        start = time.monotonic()
        for number in range(1000):
            Asset.objects.create(title=str(number))
        messages = list((tmp_path / "queue").iterdir())
        assert 1 <= len(messages) <= time.monotonic() - start + 1


class TestTasks:
    @pytest.mark.django_db
    def test_index_model_embeds(self, sent):
        asset = Asset.objects.create(title="red")
        tasks.index_model("tests.Asset")
        assert Asset.objects.get(words__isnull=False) == asset
        assert sent == []

    @pytest.mark.django_db
    def test_the_first_after_a_bulk_load_calls_in_others(self, sent, settings, monkeypatch):
        settings.MMSEARCH = {**settings.MMSEARCH, "WORKERS": 4, "BATCH_SIZE": 2}
        monkeypatch.setattr(tasks.running, "work_on", lambda *args, **kwargs: False)
        running.tick()  # Emptying tables after other tests leaves marks.
        Asset.objects.bulk_create([Asset(title="red") for _ in range(2)])
        tasks.index_model("tests.Asset")
        assert sent == [("index_model", "tests.Asset", 0)]  # For the two fields, a batch each.
        sent.clear()
        Asset.objects.bulk_create([Asset(title="red") for _ in range(20)])
        tasks.index_model("tests.Asset")
        assert sent == [("index_model", "tests.Asset", 0)] * 3

    @pytest.mark.django_db
    def test_whoever_joins_calls_in_nobody(self, sent, settings):
        settings.MMSEARCH = {**settings.MMSEARCH, "WORKERS": 4, "BATCH_SIZE": 2}
        Asset.objects.bulk_create([Asset(title="red") for _ in range(20)])
        target = targets(Asset)[0]
        claims.drain(target)
        claims.claim(target, 2)
        tasks.index_model("tests.Asset")
        assert sent == []

    @pytest.mark.django_db
    def test_it_hands_over_when_its_time_is_up(self, sent, monkeypatch):
        monkeypatch.setattr(tasks, "WORK_SECONDS", 0)
        Asset.objects.create(title="red")
        tasks.index_model("tests.Asset")
        assert sent == [("index_model", "tests.Asset", 0)]

    @pytest.mark.django_db
    def test_one_field_that_cannot_be_embedded_does_not_stop_the_others(self, monkeypatch):
        asset = Asset.objects.create(title="red", file="x.png")

        def unavailable(self, images):
            raise EmbedderUnavailable("no weights")

        monkeypatch.setattr(DummyEmbedder, "embed_images", unavailable)
        monkeypatch.setattr(ImageSource, "read", lambda self, instance: Content("picture", b""))
        with pytest.raises(EmbedderUnavailable, match="no weights"):
            tasks.index_model("tests.Asset")
        assert Asset.objects.get(words__isnull=False) == asset

    @pytest.mark.django_db
    def test_the_sweep_tops_up_workers_where_work_is(self, sent, settings):
        settings.MMSEARCH = {**settings.MMSEARCH, "WORKERS": 3}
        Mark.objects.all().delete()
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
        Asset.objects.create(title="unseen")
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = origin")
        tasks.sweep()
        assert sent == [("index_model", "tests.Asset", 0)] * 3

    @pytest.mark.django_db
    def test_it_counts_those_at_work(self, sent):
        Asset.objects.bulk_create([Asset(title=title) for title in "ab"])
        tasks.sweep()
        sent.clear()
        first = State.objects.order_by("pk").first()
        held = Now() + timedelta(seconds=conf.LEASE_SECONDS)
        State.objects.exclude(pk=first.pk).update(lease_until=held)
        tasks.sweep()
        assert len(sent) == 1

    @pytest.mark.django_db
    def test_one_fields_trouble_leaves_the_others_verified(self, sent, monkeypatch, caplog):
        Asset.objects.create(title="a")
        swept = []

        def patched(target):
            if target.field.name == "visual":
                raise RuntimeError("odd")
            swept.append(str(target))

        monkeypatch.setattr(running.sweep, "sweep_slice", patched)
        tasks.sweep()
        assert "The sweep of tests.Asset.visual failed" in caplog.text
        assert "tests.Asset.words" in swept

    def test_a_starting_worker_sweeps(self, sent):
        tasks.sweep_at_start()
        assert sent == [("sweep", 0)]

    def test_names_in_the_schedule_exist(self):
        assert BEAT_SCHEDULE["mmsearch-sweep"]["task"] == tasks.sweep.name


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("place", ["tmp_path", "redis"])
def test_a_real_worker_embeds_what_is_saved(celery, request, place):
    place = str(request.getfixturevalue(place))
    celery.conf.update(broker(place))
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO tests_asset (title) VALUES ('while no worker ran')")
    worker = ["-m", "celery", "-A", "tests.celery_app", "worker", "--pool", "solo", "--without-gossip"]
    quiet = ["--without-mingle", "--without-heartbeat", "--loglevel", "error"]
    with python("-W", "ignore", *worker, *quiet, TEST_BROKER=place) as process:
        wait_for(lambda: process.poll() is not None or Asset.objects.filter(words__isnull=False).count() == 1)
        Asset.objects.create(title="while it runs")
        wait_for(lambda: process.poll() is not None or Asset.objects.filter(words__isnull=False).count() == 2)
        assert process.poll() is None

import json
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
from celery import Celery
from kombu.exceptions import OperationalError
from PIL import Image

from mmsearch_django import tasks
from mmsearch_django.embedders import celery as embedding
from mmsearch_django.embedders import engines
from mmsearch_django.embedders.dummy import DummyEmbedder, DummyEngine
from mmsearch_django.embedders.registry import embedders
from mmsearch_django.exceptions import (
    ConfigurationError,
    EmbedderError,
    EmbedderMisconfigured,
    EmbedderUnavailable,
    SelfTestFailed,
)
from tests.celery_app import broker
from tests.indexing.processes import environment, python, wait_for
from tests.models import Asset

QUEUE = "mmsearch_queries"


@pytest.fixture
def celery(redis):
    """The site's application, on a Redis of the test's own."""
    from celery import _state

    before = _state.default_app
    app = Celery("tests", set_as_current=True)
    app.set_default()
    app.conf.update(broker(redis))
    yield app
    _state.set_default_app(before)
    _state._set_current_app(before)


@pytest.fixture
def site(settings, monkeypatch):
    """Its settings: "default" asks a worker, which runs "model"."""
    monkeypatch.setattr(engines, "_engines", {})
    monkeypatch.setattr(embedders, "_made", {})

    def configure(behind=None, **options):
        settings.MMSEARCH = {
            "QUERY_CACHE": None,
            "EMBEDDERS": {
                "default": {
                    "BACKEND": "mmsearch_django.embedders.celery.CeleryEmbedder",
                    "OPTIONS": {"behind": "model", **options},
                },
                "model": behind
                or {"BACKEND": "mmsearch_django.embedders.dummy.DummyEmbedder", "OPTIONS": {"dimensions": 32}},
            },
        }
        return embedders["default"]

    return configure


@contextmanager
def working(app):
    """A worker's part, in a thread: takes what is in the queue and runs the task. Gives the list of what it took."""
    taken, stop = [], threading.Event()

    def work():
        with app.connection_for_write() as connection, connection.SimpleQueue(QUEUE) as queue:
            while not stop.is_set():
                try:
                    message = queue.get(timeout=0.05)
                except queue.Empty:
                    continue
                message.ack()
                _, kwargs, _ = message.payload
                taken.append(message)
                embedding.answer(app, **kwargs)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield taken
    finally:
        stop.set()
        thread.join()


def picture(color, size=(40, 30)):
    return Image.new("RGB", size, color)


def noise(side=1024):
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8))


class TestDeclaration:
    def test_it_is_what_is_behind_it(self, site):
        embedder = site()
        assert embedder.signature == embedders["model"].signature
        assert embedder.dimensions == 32
        assert embedder.modalities == {"text", "image"}
        assert not embedder.pairs_modalities

    @pytest.mark.parametrize(
        ("config", "problem"),
        [
            ({"OPTIONS": {}}, "'behind'"),
            ({"OPTIONS": {"behind": "default"}}, "'behind'"),
            ({"OPTIONS": {"behind": "nope"}}, "'behind'"),
            ({"OPTIONS": {"behind": "model", "timout": 1}}, "no timout"),
            ({"OPTIONS": {"behind": "model", "timeout": 0}}, "'timeout'"),
            ({"OPTIONS": {"behind": "model", "queue": ""}}, "'queue'"),
            ({"OPTIONS": {"behind": "model"}, "MODEL": "x"}, "leave out MODEL"),
        ],
    )
    def test_settings_that_cannot_work_are_reported(self, site, settings, config, problem):
        from mmsearch_django.checks import check_settings

        site()
        settings.MMSEARCH["EMBEDDERS"]["default"] = {
            "BACKEND": "mmsearch_django.embedders.celery.CeleryEmbedder",
            **config,
        }
        [found] = [each for each in check_settings() if each.id == "mmsearch.E003"]
        assert problem in found.msg

    def test_a_web_process_may_lack_what_the_model_needs(self, site, monkeypatch):
        from mmsearch_django.checks import check_settings

        monkeypatch.setattr("mmsearch_django.embedders.starter.weights.missing", lambda: [("It is gone.", "Get it.")])
        site({"BACKEND": "mmsearch_django.embedders.starter.StarterEmbedder"})
        assert check_settings() == []


class TestAnswers:
    def test_vectors_are_those_of_the_model(self, celery, site):
        embedder, texts, pictures = site(), ["red car", "blue \ud800 sky\0", "ü", " "], [picture("red"), noise(300)]
        with working(celery):
            found, images = embedder.embed_texts(texts, query=True), embedder.embed_images(pictures)
        assert np.allclose(found, embedders["model"].embed_texts(texts), atol=1e-6)
        assert np.allclose(images, embedders["model"].embed_images(pictures), atol=1e-6)
        assert embedder.embed_texts([]).shape == (0, 32)

    def test_nothing_is_left_behind(self, celery, site):
        with working(celery):
            site().embed_texts(["red"])
        with celery.connection_for_write() as connection:
            keys = connection.default_channel.client.keys("*")
        assert [key for key in keys if b"reply" in key or b"celery-task-meta" in key] == []

    def test_messages_are_json_of_bounded_size_and_expire(self, celery, site):
        with working(celery) as taken:
            site().embed_images([noise() for _ in range(3)] + [picture("red")] * 20)
            site().embed_texts(["x" * 10_000_000])
        assert len(taken) > 3
        for message in taken:
            assert message.content_type == "application/json"
            assert len(message.body) < 6 * 1024 * 1024
            assert message.headers["expires"]

    def test_threads_get_their_own_answers(self, celery, site):
        embedder, found = site(timeout=20), {}

        def ask(word):
            found[word] = embedder.embed_texts([word])[0]

        with working(celery):
            threads = [threading.Thread(target=ask, args=(f"word{number}",)) for number in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        for word, vector in found.items():
            assert np.allclose(vector, embedders["model"].embed_texts([word])[0], atol=1e-6)
        assert len(found) == 8

    @pytest.mark.parametrize(
        ("raised", "expected"),
        [
            (EmbedderUnavailable("no weights"), EmbedderUnavailable),
            (SelfTestFailed("wrong"), SelfTestFailed),
            (ConfigurationError("wrong"), EmbedderMisconfigured),
            (EmbedderError("odd"), EmbedderError),
            (MemoryError("no memory"), EmbedderError),
        ],
    )
    def test_a_workers_error_comes_back(self, celery, site, monkeypatch, raised, expected):
        def fail(*args, **kwargs):
            raise raised

        monkeypatch.setattr(DummyEngine, "texts", fail)
        monkeypatch.setattr(embedding, "_vectors", fail)
        with working(celery), pytest.raises(EmbedderError, match=f"the worker says: .*{raised}") as error:
            site().embed_texts(["red"])
        assert type(error.value) is expected

    def test_a_worker_with_other_settings_is_found_out(self, celery, site, monkeypatch):
        embedder = site()
        other = {"model": DummyEmbedder("model", options={"dimensions": 16})}
        monkeypatch.setattr(embedding, "embedders", other)
        with (
            working(celery),
            pytest.raises(EmbedderMisconfigured, match="it runs dummy:@#/16 .* asked for dummy:@#/32"),
        ):
            embedder.embed_texts(["red"])

    def test_the_selftest_goes_through_the_worker(self, celery, site, monkeypatch):
        embedder = site()
        with working(celery) as taken:
            embedder.warm_up()
            assert len(taken) == 9
            monkeypatch.setattr(DummyEngine, "_text", lambda self, text: self._random("same", (32,)))
            with pytest.raises(SelfTestFailed):
                embedder.warm_up()


class TestAway:
    def test_no_worker(self, celery, site):
        embedder, start = site(timeout=0.3), time.monotonic()
        with pytest.raises(EmbedderUnavailable, match=r"no worker answered within 0.3 s .* worker -Q mmsearch_queries"):
            embedder.embed_texts(["red"])
        with pytest.raises(EmbedderUnavailable, match="not be asked again for"):
            embedder.embed_texts(["red"])
        assert time.monotonic() - start < 3

    def test_a_dead_queue_does_not_fill(self, celery, site, monkeypatch):
        embedder = site(timeout=0.01)
        monkeypatch.setattr("mmsearch_django.embedders.forwarding.QUIET_SECONDS", 0)
        monkeypatch.setattr(embedding, "MOST_WAITING", 3)
        for _ in range(8):
            with pytest.raises(EmbedderUnavailable):
                embedder.embed_texts(["red"])
        with celery.connection_for_write() as connection:
            assert embedding._waiting(connection, QUEUE) == 4

    def test_no_broker(self, celery, site, tmp_path):
        celery.conf.broker_url = f"redis+socket://{tmp_path}/none.sock"
        start = time.monotonic()
        with pytest.raises(EmbedderUnavailable, match="broker does not answer"):
            site().embed_texts(["red"])
        assert time.monotonic() - start < 3

    @pytest.mark.parametrize("late", [0.3, 2])
    def test_a_late_answer_is_forgotten(self, celery, site, monkeypatch, late):
        vectors = embedding._vectors

        def slow(*args, **kwargs):
            time.sleep(late)
            return vectors(*args, **kwargs)

        monkeypatch.setattr(embedding, "_vectors", slow)
        with working(celery) as taken, pytest.raises(EmbedderUnavailable):
            site(timeout=0.2).embed_texts(["red"])
        assert len(taken) == 1
        with celery.connection_for_write() as connection:
            client = connection.default_channel.client
            left = [client.ttl(key) for key in client.keys("mmsearch_reply*")]
        assert all(0 < seconds <= embedding.FORGOTTEN_SECONDS for seconds in left)


class TestWithinTasks:
    def test_ours_run_the_model_themselves(self, celery, site, monkeypatch):
        embedder, found = site(), []
        monkeypatch.setattr(
            tasks.running, "work_on", lambda *args, **kwargs: found.append(embedder.embed_texts(["red"]))
        )
        monkeypatch.setattr(tasks.running, "others_wanted", lambda model: 0)
        tasks.index_model("tests.Asset")
        assert np.allclose(found[0], embedders["model"].embed_texts(["red"]))

    def test_those_of_the_site_ask(self, celery, site):
        embedder = site(timeout=0.2)

        @celery.task(name="site.digest")
        def digest():
            return embedder.embed_texts(["red"])

        with pytest.raises(EmbedderUnavailable, match="no worker"):
            digest()
        with working(celery):
            embedder.breaker = embedding.CircuitBreaker()
            assert digest().shape == (1, 32)

    def test_eager_tasks_have_no_worker(self, celery, site):
        celery.conf.task_always_eager = True
        assert site().embed_texts(["red"]).shape == (1, 32)


WEB = """
import json, sys
sys.modules["onnxruntime"] = None
import django; django.setup()
import tests.celery_app
from tests.models import Asset
from mmsearch_django.queryset import report
from mmsearch_django.embedders.registry import embedders
from mmsearch_django.exceptions import EmbedderUnavailable
try:
    embedders["model"].embed_texts(["red"])
except EmbedderUnavailable:
    pass
else:
    sys.exit("The model was loaded.")
found = Asset.objects.search("red car", floor=None)
print(json.dumps([[row.pk, row.score] for row in found]))
"""


@pytest.mark.django_db(transaction=True)
def test_a_real_worker_indexes_and_answers_a_web_process_without_the_model(redis):
    pytest.importorskip("onnxruntime")
    for title in ("a red car", "a blue car", "green trees"):
        Asset.objects.create(title=title)
    serving = {"DJANGO_SETTINGS_MODULE": "tests.serving_settings", "TEST_BROKER": redis}
    worker = ["-m", "celery", "-A", "tests.celery_app", "worker", "--pool", "solo", "-Q", f"celery,{QUEUE}"]
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "error"]
    with python("-W", "ignore", *worker, *quiet, **serving) as process:
        wait_for(lambda: process.poll() is not None or Asset.objects.filter(words__isnull=False).count() == 3)
        web = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", WEB], env=environment(**serving), capture_output=True, text=True
        )
    assert web.returncode == 0, web.stderr
    here = [[row.pk, row.score] for row in Asset.objects.search("red car", floor=None)]
    assert len(here) == 3
    assert json.loads(web.stdout) == [[pk, pytest.approx(score, abs=1e-6)] for pk, score in here]


def test_transports_raise_what_they_like(celery, site, monkeypatch):
    def fail(*args, **kwargs):
        raise OperationalError("gone")

    monkeypatch.setattr(embedding, "exchange", fail)
    with pytest.raises(EmbedderUnavailable, match="OperationalError"):
        site().embed_texts(["red"])

import os
import subprocess
import sys
import threading
import time
import traceback

import numpy as np
import pytest
from PIL import Image

from mmsearch_django.checks import check_settings
from mmsearch_django.embedders.http import HttpEmbedder
from mmsearch_django.embedders.registry import embedders
from mmsearch_django.exceptions import ConfigurationError, EmbedderUnavailable, SelfTestFailed
from tests.embedding_server import DIMENSIONS

HTTP = "mmsearch_django.embedders.http.HttpEmbedder"
JINA = "mmsearch_django.embedders.jina_clip.JinaClipEmbedder"


def key():
    return "sk-from-a-vault"


class TestSettings:
    @pytest.mark.parametrize(
        ("config", "problem"),
        [
            ({"url": ""}, "'url'"),
            ({"url": None}, "'url'"),
            ({"url": "gpu:7997/embeddings"}, "'url'"),
            ({"url": "http://"}, "'url'"),
            ({"url": "http://gpu:99999/"}, "'url'"),
            ({"url": "file:///etc/passwd"}, "'url'"),
            ({"url": "http://user:secret@gpu/"}, "no password"),
            ({"url": "http://gpu/?key=secret"}, "no query"),
            ({"protocol": "gopher"}, "'protocol'"),
            ({"dimensions": 0}, "'behind'.*'dimensions'"),
            ({"dimensions": -1}, "'dimensions'"),
            ({"dimensions": "16"}, "'dimensions'"),
            ({"behind": "local"}, "'behind'"),
            ({"timeout": "5"}, "'timeout'"),
            ({"timeout": True}, "'timeout'"),
            ({"connect_timeout": 0}, "'connect_timeout'"),
            ({"retries": -1}, "'retries'"),
            ({"batch_size": 0}, "'batch_size'"),
            ({"image_format": "gif"}, "'image_format'"),
            ({"api_key": "secret"}, "api_key_env"),
            ({"modalities": ["image"], "protocol": "openai"}, "has no image"),
            ({"adress": "x"}, "no adress"),
            ({"headers": {"X-Key": "secret\nX-Other: 1"}}, "'headers'"),
            ({"headers": {"X-Key": 7}}, "'headers'"),
        ],
    )
    def test_what_cannot_work(self, config, problem):
        with pytest.raises(ConfigurationError, match=f"(?s)'remote': .*{problem}") as error:
            HttpEmbedder("remote", model="m", options={"url": "http://gpu/", "dimensions": 16, **config})
        assert "secret" not in str(error.value)

    def test_a_model_is_named(self):
        with pytest.raises(ConfigurationError, match="give MODEL"):
            HttpEmbedder("remote", options={"url": "http://gpu/", "dimensions": 16})

    def test_checks(self, settings, monkeypatch):
        options = {"url": "http://gpu/", "dimensions": 32, "api_key_env": "GPU_KEY"}
        default = {"BACKEND": HTTP, "MODEL": "m", "OPTIONS": options}
        settings.MMSEARCH = {"EMBEDDERS": {"default": default}}
        monkeypatch.delenv("GPU_KEY", raising=False)
        [found] = check_settings()
        assert (found.id, "GPU_KEY" in found.msg) == ("mmsearch.W011", True)
        with pytest.raises(EmbedderUnavailable, match="^Embedder 'default': the environment has no GPU_KEY"):
            embedders["default"].embed_texts(["red"])
        monkeypatch.setenv("GPU_KEY", "sk")
        assert check_settings() == []
        monkeypatch.setattr("mmsearch_django.embedders.http.find_spec", lambda name: None)
        assert [each.id for each in check_settings()] == ["mmsearch.E010"]
        settings.MMSEARCH = {"EMBEDDERS": {"default": {**default, "OPTIONS": {"dimensions": 32}}}}
        assert [each.id for each in check_settings()] == ["mmsearch.E003"]

    @pytest.mark.parametrize("api_key", [key, f"{__name__}.key"])
    def test_a_key_from_elsewhere(self, server, embedder, api_key):
        embedder(api_key=api_key).embed_texts(["red"])
        assert server.requests[0][0]["Authorization"] == "Bearer sk-from-a-vault"

    @pytest.mark.parametrize(
        "held", ["sk-secret\nX-Other: 1", "sk-secret\u20ac", b"sk-secret", "", None, KeyError("sk-secret")]
    )
    def test_a_key_that_cannot_be_sent(self, server, embedder, held):
        def ask():
            if isinstance(held, Exception):
                raise held
            return held

        with pytest.raises(EmbedderUnavailable) as error:
            embedder(api_key=ask).embed_texts(["red"])
        assert "secret" not in "".join(traceback.format_exception(error.value))
        assert server.requests == []

    def test_a_key_from_nowhere(self, embedder):
        with pytest.raises(EmbedderUnavailable, match="gave no key"):
            embedder(api_key="no.such.vault").embed_texts(["red"])

    def test_a_key_is_never_shown(self, server, embedder, monkeypatch):
        monkeypatch.setenv("GPU_KEY", "sk-very-secret")
        made = embedder(api_key_env="GPU_KEY")
        server.respond = lambda handler, inputs: handler.send(503, b"sk-very-secret")
        try:
            made.embed_texts(["red"])
        except EmbedderUnavailable as error:
            shown = "".join(traceback.format_exception(error)) + repr(made) + str(made.signature) + repr(made.server)
        assert "very-secret" not in shown


class TestSignature:
    def test_is_that_of_the_model_behind_it(self, settings, server):
        local = {"BACKEND": JINA, "OPTIONS": {"dimensions": 512}}
        remote = {"BACKEND": HTTP, "OPTIONS": {"url": server.url, "protocol": "infinity", "behind": "local"}}
        settings.MMSEARCH = {"EMBEDDERS": {"default": remote, "local": local}}
        made, behind = embedders["default"], embedders["local"]
        assert made.signature == behind.signature
        assert (made.dimensions, made.modalities, made.calibrations) == (512, behind.modalities, behind.calibrations)
        assert made.load().common["model"] == behind.model
        settings.MMSEARCH["EMBEDDERS"]["default"] = {**remote, "OPTIONS": {**remote["OPTIONS"], "protocol": "openai"}}
        assert embedders["default"].modalities == {"text"}

    def test_names_the_model_where_nothing_is_behind_it(self, embedder):
        assert str(embedder().signature) == "http:toy@#/16"
        assert embedder().signature == embedder(url="http://other/", protocol="jina").signature


class TestServing:
    def test_batches_keep_the_order(self, server, embedder):
        made = embedder(batch_size=3)
        pictures = [Image.new("RGB", (8, 8), (30 * number, 0, 0)) for number in range(7)]
        found = made.embed_images(pictures)
        assert len(server.requests) == 3
        assert np.allclose(found, np.concatenate([made.embed_images([each]) for each in pictures]), atol=1e-6)

    def test_hostile_texts(self, server, embedder):
        texts = ["\0", "\ud800", "'; DROP TABLE", "😀" * 1000, "x" * 1_000_000, "\u202e", '{"a": 1}']
        assert embedder().embed_texts(texts).shape == (7, DIMENSIONS)
        assert max(len(each) for _, body in server.requests for each in body["input"]) == 100_000

    def test_it_is_tested_before_it_serves(self, server, embedder):
        made = embedder(tested=False, modalities=["text"])
        made.embed_texts(["red"])
        assert len(server.requests) > 1
        server.alter = lambda rows: [{**each, "embedding": [1.0] * DIMENSIONS} for each in rows]
        with pytest.raises(SelfTestFailed, match="same vector"):
            embedder(tested=False, modalities=["text"], batch_size=4).embed_texts(["red"])

    def test_one_that_is_away_during_its_test_is_away(self, server, embedder):
        server.respond = lambda handler, inputs: handler.send(503, b"")
        with pytest.raises(EmbedderUnavailable):
            embedder(tested=False).embed_texts(["red"])

    def test_searches_do_not_queue_up_behind_a_server_that_hangs(self, server, embedder):
        release, times = threading.Event(), []
        server.respond, made = lambda handler, inputs: release.wait(5), embedder(tested=False, timeout=0.2)

        def search():
            start = time.monotonic()
            with pytest.raises(EmbedderUnavailable):
                made.embed_texts(["red"])
            times.append(time.monotonic() - start)

        threads = [threading.Thread(target=search) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        release.set()
        assert len(server.requests) == 1
        assert max(times) < 2

    def test_a_forked_child_has_connections_of_its_own(self, server):
        run = subprocess.run([sys.executable, "-c", FORK], env={**os.environ, "URL": server.url}, timeout=30)
        assert run.returncode == 7
        assert len(server.connections) == 2


FORK = f"""
import os, sys
from django.conf import settings
settings.configure()
from mmsearch_django.embedders import engines
from mmsearch_django.embedders.http import HttpEmbedder

made = HttpEmbedder("x", model="toy", options=dict(url=os.environ["URL"], dimensions={DIMENSIONS}))
before = made.embed_texts(["red"])
child = os.fork()
if child == 0:
    sys.exit(7 if (made.embed_texts(["red"]) == before).all() else 1)
assert (made.embed_texts(["red"]) == before).all()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""

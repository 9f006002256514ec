import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from mmsearch_django.checks import MEANINGS
from mmsearch_django.embedders import engines, hub
from mmsearch_django.embedders.base import unit_rows
from mmsearch_django.embedders.jina_clip import PROMPT, REVISION, WEIGHTS, JinaClipEmbedder
from mmsearch_django.embedders.registry import embedders
from mmsearch_django.embedders.selftest import captioned_pictures
from mmsearch_django.exceptions import ConfigurationError, EmbedderUnavailable

BACKEND = "mmsearch_django.embedders.jina_clip.JinaClipEmbedder"
TEXTS = [
    "a red car by the sea",
    "x",
    "",
    "ein roter Wagen " * 40,
    "deux chats",
    "снег и лёд",
    "的照片",
    "coffee",
    "a b",
    "c",
]


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(engines, "_engines", {})


@pytest.fixture
def jina(toy_jina_clip):
    def make(**options):
        return JinaClipEmbedder("jina", options={"folder": str(toy_jina_clip), **options})

    return make


@pytest.fixture(params=WEIGHTS)
def each(request, jina):
    """One for each weights file."""
    return jina(weights=request.param)


class Recorded:
    """Runs a session and keeps what it was given."""

    def __init__(self, session):
        self.session, self.runs = session, []

    def run(self, *outputs, **inputs):
        self.runs.append((outputs, inputs))
        return self.session.run(*outputs, **inputs)


@pytest.fixture
def recorded():
    def record(embedder):
        engine = engines.get(embedder)
        engine.session = Recorded(engine.session)
        return engine.session.runs

    return record


class TestDeclaration:
    def test_by_alias(self, settings):
        settings.MMSEARCH = {"EMBEDDERS": {"default": {"BACKEND": BACKEND, "OPTIONS": {"threads": 2}}}}
        embedder = embedders["default"]
        assert (embedder.model, embedder.revision) == ("jinaai/jina-clip-v2", REVISION)
        assert (embedder.threads, embedder.dimensions, embedder.weights) == (2, 1024, "model.onnx")

    def test_signature(self, jina):
        signatures = {
            str(jina(weights=weights, dimensions=dimensions).signature)
            for weights in WEIGHTS
            for dimensions in (64, 512)
        }
        assert f"jina_clip:jinaai/jina-clip-v2@{REVISION}#model_quantized.onnx/64" in signatures
        assert len(signatures) == 6

    def test_where_files_are_is_no_part_of_it(self, jina):
        assert jina().signature == JinaClipEmbedder("x").signature == jina(threads=3, sha256="0").signature

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"weights": "q4"}, r"OPTIONS\['weights'\] is 'q4'; give one of fp32, fp16, int8"),
            ({"weights": ["fp32"]}, r"OPTIONS\['weights'\] is \['fp32'\]"),
            ({"dimensions": 100}, r"OPTIONS\['dimensions'\] is 100; give one of 64, 128"),
            ({"dimensions": 2048}, r"OPTIONS\['dimensions'\] is 2048"),
            ({"threads": 0}, r"OPTIONS\['threads'\] is 0; give 1 or more"),
            ({"threads": True}, r"OPTIONS\['threads'\] is True"),
            ({"thread": 1}, r"OPTIONS has no thread\."),
        ],
    )
    def test_options_that_are_none(self, options, message):
        with pytest.raises(ConfigurationError, match=f"'jina': {message}"):
            JinaClipEmbedder("jina", options=options)

    @pytest.mark.parametrize("revision", ["main", "v2", REVISION[:8], REVISION.upper()])
    def test_a_revision_must_not_move(self, revision, toy_jina_clip):
        with pytest.raises(ConfigurationError, match="'jina': REVISION is .*; give a full commit"):
            JinaClipEmbedder("jina", revision=revision)
        ours = JinaClipEmbedder("jina", model="ours", revision=revision, options={"folder": toy_jina_clip})
        assert ours.signature.revision == revision

    def test_constructing_imports_no_runtime(self):
        script = (
            "import sys; from django.conf import settings; settings.configure(); "
            "from mmsearch_django.embedders.jina_clip import JinaClipEmbedder; "
            "embedder = JinaClipEmbedder('x'); embedder.check(), embedder.signature, embedder.dimensions; "
            "sys.exit(any(name in sys.modules for name in "
            "('onnxruntime', 'tokenizers', 'httpx', 'httpx2', 'requests', 'torch')))"
        )
        assert subprocess.run([sys.executable, "-c", script]).returncode == 0


class TestChecks:
    def test_the_licence_is_repeated(self, jina):
        [licence] = jina().check()
        assert licence.id == "mmsearch.I001"
        assert "cc-by-nc-4.0" in licence.msg

    def test_files_that_are_missing(self, tmp_path):
        _licence, files = JinaClipEmbedder("jina", options={"folder": tmp_path, "weights": "int8"}).check()
        assert files.id == "mmsearch.W010"
        assert "lacks tokenizer.json, onnx/model_quantized.onnx of jinaai/jina-clip-v2 at 344d9" in files.msg
        assert "mmsearch_download jina" in files.msg

    def test_libraries_that_are_missing(self, jina, monkeypatch):
        monkeypatch.setattr("mmsearch_django.embedders.jina_clip.find_spec", lambda name: None)
        _licence, libraries = jina().check()
        assert libraries.id == "mmsearch.E010"
        assert "needs huggingface_hub, onnxruntime, tokenizers. Run: pip install" in libraries.msg
        with pytest.raises(EmbedderUnavailable, match=r"mmsearch-django\[jina\]"):
            jina().embed_texts(["a"])

    def test_every_id_is_documented(self, jina, tmp_path):
        assert {found.id for found in JinaClipEmbedder("jina", options={"folder": tmp_path}).check()} <= MEANINGS.keys()


class TestVectors:
    def test_unit_length_and_dimensions(self, each):
        for vectors in (each.embed_texts(TEXTS), each.embed_images(captioned_pictures())):
            assert vectors.shape[1] == 1024
            assert vectors.dtype == np.float32
            assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)

    @pytest.mark.parametrize("dimensions", [64, 128, 256, 512, 768])
    def test_truncated_and_then_of_unit_length(self, jina, dimensions):
        whole, short = jina(), jina(dimensions=dimensions)
        for full, cut in (
            (whole.embed_texts(TEXTS), short.embed_texts(TEXTS)),
            (whole.embed_images(captioned_pictures()), short.embed_images(captioned_pictures())),
        ):
            expected = unit_rows(full[:, :dimensions], len(full), dimensions, "x")
            assert np.allclose(cut, expected, atol=1e-5)

    def test_a_text_alone_is_as_among_others(self, each):
        together = each.embed_texts(TEXTS * 2)
        limit = 1e-3 if each.weights == "model_fp16.onnx" else 1e-5
        for text, vector in zip(TEXTS * 2, together, strict=True):
            assert np.abs(each.embed_texts([text])[0] - vector).max() < limit

    def test_a_picture_alone_is_as_among_others(self, each):
        pictures = [*captioned_pictures(), Image.new("RGB", (30, 40), "red"), Image.new("RGB", (9, 3), "blue")] * 2
        together = each.embed_images(pictures)
        # onnxruntime 1.20 computes half precision a little differently in a batch.
        limit = 1e-4 if each.weights == "model_fp16.onnx" else 1e-5
        for picture, vector in zip(pictures, together, strict=True):
            assert np.abs(each.embed_images([picture])[0] - vector).max() < limit

    def test_the_prompt_stands_before_queries_alone(self, jina):
        embedder = jina()
        query, document = (embedder.embed_texts(["a red car"], query=query) for query in (True, False))
        assert np.abs(query - document).max() > 1e-3
        assert np.allclose(query, embedder.embed_texts([f"{PROMPT}a red car"]), atol=1e-6)

    def test_threads_change_nothing(self, jina):
        assert np.allclose(jina().embed_texts(TEXTS), jina(threads=2).embed_texts(TEXTS), atol=1e-5)

    def test_nothing_gives_nothing(self, jina):
        assert jina(dimensions=64).embed_texts([]).shape == (0, 64)


class TestWhatTheGraphIsGiven:
    def test_texts_come_with_an_empty_batch_of_pixels(self, jina, recorded):
        embedder = jina()
        runs = recorded(embedder)
        embedder.embed_texts(TEXTS)
        assert [outputs for outputs, _inputs in runs] == [("text_embeddings",)] * 2
        assert {inputs["pixel_values"].shape for _outputs, inputs in runs} == {(0, 3, 512, 512)}
        assert [len(inputs["input_ids"]) for _outputs, inputs in runs] == [8, 2]

    def test_those_of_one_length_run_together(self, jina, recorded):
        embedder = jina()
        runs = recorded(embedder)
        embedder.embed_texts(["long " * 30, *["a"] * 8])
        assert [inputs["input_ids"].shape[0] for _outputs, inputs in runs] == [8, 1]
        assert runs[0][1]["input_ids"].shape[1] < 6

    def test_pictures_come_with_a_token_each(self, jina, recorded):
        embedder = jina()
        runs = recorded(embedder)
        embedder.embed_images(captioned_pictures() * 2)
        assert [outputs for outputs, _inputs in runs] == [("image_embeddings",)] * 2
        assert [inputs["input_ids"].tolist() for _outputs, inputs in runs] == [[[1]] * 4, [[1]] * 2]
        assert [inputs["pixel_values"].shape for _outputs, inputs in runs] == [(4, 3, 512, 512), (2, 3, 512, 512)]

    def test_half_precision_is_given_what_it_takes(self, jina, recorded):
        embedder = jina(weights="fp16")
        runs = recorded(embedder)
        embedder.embed_images(captioned_pictures())
        assert runs[0][1]["pixel_values"].dtype == np.float16

    def test_int8_runs_each_alone(self, jina, recorded):
        embedder = jina(weights="int8")
        runs = recorded(embedder)
        embedder.embed_texts(TEXTS)
        embedder.embed_images(captioned_pictures())
        assert len(runs) == len(TEXTS) + 3


class TestWhatCannotBeLoaded:
    def test_nothing_was_downloaded(self, monkeypatch, tmp_path):
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setattr("huggingface_hub.hf_hub_download", forbidden)
        with pytest.raises(EmbedderUnavailable, match=r"'jina' lacks tokenizer.json, .* mmsearch_download jina"):
            JinaClipEmbedder("jina").embed_texts(["a"])

    def test_a_damaged_file(self, jina, toy_jina_clip, tmp_path):
        broken(toy_jina_clip, tmp_path, "onnx/model.onnx", b"no graph")
        with pytest.raises(EmbedderUnavailable, match=r"'jina' could not load .*model\.onnx .*mmsearch_download jina"):
            jina(folder=tmp_path).embed_texts(["a"])
        broken(toy_jina_clip, tmp_path, "tokenizer.json", b"{}")
        with pytest.raises(EmbedderUnavailable, match="'jina' could not load"):
            jina(folder=tmp_path, weights="int8").embed_texts(["a"])

    def test_another_models_graph(self, jina, toy_jina_clip, tmp_path):
        broken(toy_jina_clip, tmp_path, "onnx/model_quantized.onnx", other_graph())
        with pytest.raises(EmbedderUnavailable, match="The graph is not Jina CLIP's: it takes x and gives y"):
            jina(folder=tmp_path, weights="int8").embed_texts(["a"])

    @pytest.mark.parametrize("weights", WEIGHTS)
    def test_the_digest_of_the_site(self, jina, toy_jina_clip, weights):
        path = toy_jina_clip / WEIGHTS[weights][-1]
        assert jina(weights=weights, sha256=hub.digests(path)[0]).embed_texts(["a"]).shape == (1, 1024)
        with pytest.raises(EmbedderUnavailable, match=rf"SHA-256 of .*{path.name} is .*, not OPTIONS\['sha256'\]"):
            jina(weights=weights, sha256="0" * 64).embed_texts(["a"])

    def test_a_provider_that_onnxruntime_does_not_have(self, jina):
        with pytest.raises(EmbedderUnavailable, match="NoSuchProvider"):
            jina(providers=["NoSuchProvider"]).embed_texts(["a"])


def forbidden(*args, **kwargs):
    raise AssertionError("Embedding must not download.")


def broken(whole, folder, name, data):
    """A copy of the toy with one file replaced."""
    shutil.copytree(whole, folder, dirs_exist_ok=True)
    (folder / name).write_bytes(data)


def other_graph():
    from onnx import TensorProto, helper

    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "other", values[:1], values[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


FORK = """
import os, sys
from django.conf import settings
settings.configure()
from mmsearch_django.embedders import engines
from mmsearch_django.embedders.jina_clip import JinaClipEmbedder

embedder = JinaClipEmbedder("x", options={"threads": 2, "folder": sys.argv[1]})
before = embedder.embed_texts(["a red car"])
child = os.fork()
if child == 0:
    fresh = not engines._engines
    same = (embedder.embed_texts(["a red car"]) == before).all()
    sys.exit(7 if fresh and same else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_child_loads_its_own_and_ends(toy_jina_clip):
    assert subprocess.run([sys.executable, "-c", FORK, str(toy_jina_clip)], timeout=30).returncode == 7

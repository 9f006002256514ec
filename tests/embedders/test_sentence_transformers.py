"""The real library on tiny checkpoints of real architectures: not what they find, but how they are fed."""

import socket
import warnings

import numpy as np
import pytest
from PIL import Image

from mmsearch_django.checks import check_settings
from mmsearch_django.embedders.registry import embedders
from mmsearch_django.embedders.sentence_transformers import SentenceTransformersEmbedder
from mmsearch_django.exceptions import ConfigurationError, EmbedderUnavailable
from mmsearch_django.testing import EmbedderContract
from tests.embedders import checkpoints

TEXTS = ["a cat", "Ein Hund schläft", "x", "", "猫", "a" * 500]
PICTURES = [
    Image.new("RGB", size, colour) for size, colour in (((40, 30), "red"), ((8, 90), "blue"), ((1, 1), "white"))
]


class Tiny(SentenceTransformersEmbedder):
    # Of random weights: a caption is no nearer to its picture than any other.
    pairs_modalities = False


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = {name: getattr(checkpoints, name)(tmp_path_factory.mktemp(name)) for name in ("clip", "siglip")}
    return {name: str(folder) for name, folder in made.items()}


@pytest.fixture(params=["clip", "siglip"])
def folder(request, folders):
    return folders[request.param]


def embedder(folder, **options):
    return Tiny("tiny", model=folder, options={"dimensions": 32, **options})


def alike(one, other):
    return pytest.approx(np.sum(one * other, axis=-1), abs=1e-5)


@pytest.mark.filterwarnings("ignore")
class Contract(EmbedderContract):
    tolerance = 1e-5

    @pytest.fixture(autouse=True)
    def configure(self, folders):
        options = {"dimensions": 32, "batch_size": 3, "threads": 1}
        self.config = {"BACKEND": f"{__name__}.Tiny", "MODEL": folders[self.family], "OPTIONS": options}


class TestClipContract(Contract):
    family = "clip"


class TestSiglipContract(Contract):
    """SigLIP knows texts of one length; padded as others are, its vectors change with their neighbours."""

    family = "siglip"


@pytest.mark.filterwarnings("ignore")
class TestVectors:
    def test_texts_of_siglip_are_padded_to_what_it_was_trained_on(self, folders):
        from sentence_transformers import SentenceTransformer

        bare = SentenceTransformer(folders["siglip"], local_files_only=True)
        padded = {"text": {"padding": "max_length", "max_length": 64, "truncation": True}}
        wanted = bare.encode([{"text": "a cat"}], processing_kwargs=padded, normalize_embeddings=True)
        plain = bare.encode([{"text": "a cat"}], normalize_embeddings=True)
        found = embedder(folders["siglip"]).embed_texts(["a cat"])
        assert alike(found, wanted) == [1]
        assert np.sum(found * plain) < 0.999

    def test_cut_vectors_are_of_unit_length_again(self, folder):
        whole = embedder(folder).embed_texts(["a cat"])[0]
        cut = embedder(folder, dimensions=16, matryoshka=True).embed_texts(["a cat"])[0]
        assert cut == pytest.approx(whole[:16] / np.linalg.norm(whole[:16]), abs=1e-5)

    def test_half_precision_is_another_signature(self, folder):
        half = embedder(folder, dtype="bfloat16")
        assert half.signature != embedder(folder).signature
        vectors = half.embed_texts(["a cat"])
        assert vectors.dtype == np.float32
        assert np.linalg.norm(vectors) == pytest.approx(1, abs=1e-3)


@pytest.mark.filterwarnings("ignore")
class TestTexts:
    def test_prompts_are_for_queries_or_for_documents(self, folder):
        model = embedder(folder, query_prompt="find: ", document_prompt="this is ")
        bare = embedder(folder)
        assert alike(model.embed_texts(["a cat"], query=True), bare.embed_texts(["find: a cat"])) == [1]
        assert alike(model.embed_texts(["a cat"]), bare.embed_texts(["this is a cat"])) == [1]

    def test_siglip_2_knows_lower_case_alone(self, folder):
        model = embedder(folder, lowercase=True)
        assert alike(model.embed_texts(["A CAT"]), embedder(folder).embed_texts(["a cat"])) == [1]


class TestRefusals:
    def test_jina_clip_is_refused_before_anything_is_loaded(self, settings):
        backend = "mmsearch_django.embedders.sentence_transformers.SentenceTransformersEmbedder"
        options = {"BACKEND": backend, "MODEL": "jinaai/jina-clip-v2", "OPTIONS": {"dimensions": 1024}}
        settings.MMSEARCH = {"EMBEDDERS": {"default": options}}
        [found] = check_settings()
        assert found.id == "mmsearch.E003"
        assert "jina_clip.JinaClipEmbedder" in found.msg
        with pytest.raises(ConfigurationError, match=r"jina_clip\.JinaClipEmbedder"):
            embedders["default"].embed_texts(["a"])

    def test_dimensions_have_to_be_said(self):
        with pytest.raises(ConfigurationError, match="needs OPTIONS"):
            SentenceTransformersEmbedder("default", model="x").signature  # noqa: B018

    @pytest.mark.filterwarnings("ignore")
    def test_other_dimensions_than_the_model_has(self, folders):
        with pytest.raises(ConfigurationError, match="has 32 dimensions, not 16"):
            embedder(folders["clip"], dimensions=16).embed_texts(["a"])

    def test_a_model_that_is_not_here_is_not_fetched(self, monkeypatch, tmp_path):
        def refuse(*args, **kwargs):
            raise AssertionError("The network was asked.")

        monkeypatch.setattr(socket, "getaddrinfo", refuse)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
        absent = Tiny("tiny", model="nobody/nothing", revision="0" * 40, options={"dimensions": 32})
        [found] = absent.check()
        assert found.id == "mmsearch.W010"
        with pytest.raises(EmbedderUnavailable) as error:
            absent.embed_texts(["a"])
        assert found.msg == str(error.value)
        assert "lacks *.json, *.safetensors of nobody/nothing at 000" in found.msg
        assert "Run: manage.py mmsearch_download tiny" in found.msg

    @pytest.mark.parametrize("revision", ["", "main", "v1.0"])
    def test_a_revision_must_not_move(self, revision):
        with pytest.raises(ConfigurationError, match="REVISION is .*; of a model on the hub, give a full"):
            Tiny("tiny", model="nobody/nothing", revision=revision, options={"dimensions": 32})

    @pytest.mark.filterwarnings("ignore")
    def test_a_folder_that_is_not_there(self, tmp_path):
        with pytest.raises(EmbedderUnavailable, match="cannot load '.*/nothing' from this machine"):
            embedder(str(tmp_path / "nothing")).embed_texts(["a"])

    @pytest.mark.filterwarnings("ignore")
    def test_code_of_a_model_is_not_run(self, folders, tmp_path):
        (tmp_path / "modules.json").write_text('[{"idx": 0, "name": "0", "path": "", "type": "evil.Module"}]')
        (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Module: pass\n")
        with pytest.raises(EmbedderUnavailable, match="trust_remote_code"):
            embedder(str(tmp_path)).embed_texts(["a"])
        assert not (tmp_path / "ran").exists()

    def test_what_it_does_not_embed(self, folders):
        with pytest.raises(ConfigurationError, match="cannot embed image"):
            embedder(folders["clip"], modalities=["text"]).embed_images(PICTURES)

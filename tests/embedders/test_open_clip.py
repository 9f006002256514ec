"""OpenCLIP itself on a tiny checkpoint, where torchvision is; what is known without loading, everywhere."""

import json
import socket

import numpy as np
import pytest

from mmsearch_django.embedders import base
from mmsearch_django.embedders.open_clip import OpenClipEmbedder
from mmsearch_django.embedders.selftest import captioned_pictures
from mmsearch_django.exceptions import ConfigurationError, EmbedderUnavailable, SelfTestFailed
from mmsearch_django.testing import EmbedderContract
from tests.embedders import checkpoints

COMMIT = "0" * 40
TEXTS = ["a cat", "a dog that sleeps"]


class Tiny(OpenClipEmbedder):
    # Of random weights: a caption is no nearer to its picture than any other.
    pairs_modalities = False


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    pytest.importorskip("torchvision", reason="open_clip imports torchvision, which is not installed")
    pytest.importorskip("open_clip")
    return checkpoints.open_clip(tmp_path_factory.mktemp("open_clip"))


def made(model="hf-hub:laion/tiny", revision=COMMIT, **options):
    return Tiny("clip", model=model, revision=revision, options={"dimensions": 32, **options})


def local(folder, **options):
    return made(f"local-dir:{folder}", "", **options)


@pytest.mark.filterwarnings("ignore")
class TestContract(EmbedderContract):
    tolerance = 1e-5

    @pytest.fixture(autouse=True)
    def configure(self, folder):
        options = {"dimensions": 32, "batch_size": 3, "threads": 1}
        self.config = {"BACKEND": f"{__name__}.Tiny", "MODEL": f"local-dir:{folder}", "OPTIONS": options}


class TestDeclaration:
    def test_signatures(self):
        assert str(made().signature) == f"open_clip:hf-hub:laion/tiny@{COMMIT}#/32"
        assert made(precision="fp16").weights == "fp16"
        built_in = made("ViT-B-32", "", pretrained="openai", file="/models/openai.safetensors")
        assert str(built_in.signature) == "open_clip:ViT-B-32@#openai/32"
        assert made(device="cuda", threads=2).signature == made().signature

    def test_its_files_are_fetched_by_the_command(self, monkeypatch, tmp_path):
        monkeypatch.setattr(base, "find_spec", lambda name: object())
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
        assert made().checkpoint.model == "laion/tiny"
        [found] = made().check()
        assert found.id == "mmsearch.W010"
        assert "lacks open_clip_config.json, open_clip_*.safetensors of laion/tiny" in found.msg
        assert "manage.py mmsearch_download clip" in found.msg
        assert local(tmp_path).checkpoint is None

    def test_what_is_not_installed(self, monkeypatch):
        monkeypatch.setattr(base, "find_spec", lambda name: None)
        [found] = made().check()
        assert found.id == "mmsearch.E010"
        assert "needs open_clip, torch, torchvision. Run: pip install 'mmsearch-django[open-clip]'" in found.msg

    @pytest.mark.parametrize(
        ("config", "message"),
        [
            ({"revision": "main"}, "REVISION 'main'; give a full commit"),
            ({"dimensions": None}, r"needs OPTIONS\['dimensions'\]"),
            ({"precision": "int8"}, "'int8'; give one of fp32, fp16"),
            ({"model": "ViT-B-32"}, r"a built-in name and both OPTIONS\['pretrained'\]"),
            ({"pretrained": "openai", "file": "x"}, "MODEL 'hf-hub:laion/tiny'"),
            ({"model": ""}, "has MODEL ''"),
        ],
    )
    def test_what_cannot_work(self, config, message):
        with pytest.raises(ConfigurationError, match=f"'clip' .*{message}"):
            made(**config)


@pytest.mark.filterwarnings("ignore")
class TestLoading:
    @pytest.fixture(autouse=True)
    def no_network(self, folder, monkeypatch):
        def refuse(*args, **kwargs):
            raise AssertionError("The network was asked.")

        monkeypatch.setattr(socket, "getaddrinfo", refuse)

    def test_the_hubs_cache_is_read(self, folder, monkeypatch, tmp_path):
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
        with pytest.raises(EmbedderUnavailable, match="mmsearch_download clip"):
            made().embed_texts(TEXTS)
        place = made().checkpoint.place
        place.parent.mkdir(parents=True)
        place.symlink_to(folder)
        assert np.allclose(made().embed_texts(TEXTS), local(folder).embed_texts(TEXTS), atol=1e-6)

    def test_vectors_are_those_of_open_clip(self, folder):
        import open_clip
        import torch

        model, transform = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
        tokens = open_clip.get_tokenizer(f"local-dir:{folder}")(TEXTS)
        with torch.inference_mode():
            texts = model.eval().encode_text(tokens, normalize=True)
            pictures = model.encode_image(torch.stack(list(map(transform, captioned_pictures()))), normalize=True)
        assert np.allclose(local(folder).embed_texts(TEXTS), texts, atol=1e-5)
        assert np.allclose(local(folder).embed_images(captioned_pictures()), pictures, atol=1e-5)

    def test_a_built_in_name_is_prepared_as_its_tag_says(self, folder, monkeypatch, tmp_path):
        import open_clip
        from open_clip import pretrained

        (tmp_path / "tiny.json").write_text(json.dumps(checkpoints.OPEN_CLIP))
        open_clip.add_model_config(tmp_path / "tiny.json")
        half = {"mean": (0.5,) * 3, "std": (0.5,) * 3, "interpolation": "bicubic"}
        tags = {"half": half, "quick": {**half, "quick_gelu": True}, "openai": {}}
        monkeypatch.setitem(pretrained._PRETRAINED, "tiny", tags)
        file = str(folder / "open_clip_model.safetensors")

        def embed(tag):
            return made("tiny", "", pretrained=tag, file=file).embed_images(captioned_pictures())

        assert np.allclose(embed("half"), local(folder).embed_images(captioned_pictures()), atol=1e-5)
        assert np.abs(embed("half") - embed("quick")).max() > 1e-4
        with pytest.raises(ConfigurationError, match="OpenCLIP's tags of 'tiny' are: half, quick, openai"):
            embed("none")
        with pytest.raises(EmbedderUnavailable, match="'/nowhere', is not there"):
            made("tiny", "", pretrained="half", file="/nowhere").embed_texts(TEXTS)

    def test_what_would_be_fetched_whenever_it_is_loaded(self, folder, tmp_path):
        with pytest.raises(ConfigurationError, match="its text model or its tokenizer from the hub"):
            made("ViT-B-16-SigLIP", "", pretrained="webli", file="x").load()

    def test_half_precision(self, folder):
        half = local(folder, precision="pure_bf16")
        assert np.abs(half.embed_texts(TEXTS) - local(folder).embed_texts(TEXTS)).max() < 0.05
        assert half.embed_images(captioned_pictures()).dtype == np.float32

    def test_no_weights(self, folder, tmp_path):
        (tmp_path / "open_clip_config.json").write_bytes((folder / "open_clip_config.json").read_bytes())
        with pytest.raises(EmbedderUnavailable, match="cannot load 'local-dir:.*Required pretrained weights"):
            local(tmp_path).embed_texts(TEXTS)

    def test_other_dimensions_than_it_has(self, folder):
        with pytest.raises(SelfTestFailed, match=r"\(3, 32\) for 3 inputs of 16 dimensions"):
            local(folder, dimensions=16).embed_texts(TEXTS)

"""Against a hub on this machine, through huggingface_hub as it is."""

import os
import shutil
import subprocess
import sys
from hashlib import sha256
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from mmsearch_django.embedders import engines
from mmsearch_django.embedders.jina_clip import MODEL, REVISION
from mmsearch_django.embedders.registry import embedders
from tests.hub_server import Hub, serving

BACKEND = "mmsearch_django.embedders.jina_clip.JinaClipEmbedder"
DUMMY = "mmsearch_django.embedders.dummy.DummyEmbedder"
WEIGHTS = "onnx/model_quantized.onnx"


@pytest.fixture
def hub(toy_jina_clip, monkeypatch, tmp_path):
    """The hub that serves the toy, and an empty cache."""
    files = {str(path.relative_to(toy_jina_clip)): path.read_bytes() for path in toy_jina_clip.rglob("*.*")}
    with serving(Hub(MODEL, REVISION, files)) as served:
        template = served.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", served.address)
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
        monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 50_000)
        monkeypatch.setattr(engines, "_engines", {})
        yield served


@pytest.fixture
def configure(settings):
    def configured(**config):
        config = {"BACKEND": BACKEND, "OPTIONS": {"weights": "int8"}, **config}
        settings.MMSEARCH = {"EMBEDDERS": {"default": {"BACKEND": DUMMY}, "jina": config}}
        return embedders["jina"]

    configured()
    return configured


def download(*options, alias="jina"):
    out = StringIO()
    call_command("mmsearch_download", alias, *options, stdout=out, verbosity=0)
    return out.getvalue()


def files_in(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


class TestDownload:
    def test_sizes_digests_and_licence_are_told(self, hub, configure):
        out = download("--accept-licence")
        for name in ("tokenizer.json", WEIGHTS):
            [found] = [line for line in out.splitlines() if f" {name} " in line]
            assert f"sha256 {sha256(hub.files[name]).hexdigest()}" in found
            assert "KB" in found
            assert found.endswith("cc-by-nc-4.0")
        assert f"{MODEL} at {REVISION}" in out

    def test_what_came_serves(self, hub, configure):
        embedder = configure()
        assert {found.id for found in embedder.check()} == {"mmsearch.I001", "mmsearch.W010"}
        download("--accept-licence")
        assert {found.id for found in embedder.check()} == {"mmsearch.I001"}
        assert embedder.embed_texts(["a red car"]).shape == (1, 1024)

    def test_weights_in_two_files(self, hub, configure):
        embedder = configure(OPTIONS={})
        out = download("--accept-licence")
        assert "onnx/model.onnx_data" in out
        assert embedder.embed_texts(["a red car"]).shape == (1, 1024)

    def test_only_the_pinned_revision_is_asked_for(self, hub, configure):
        download("--accept-licence")
        paths = [path for _method, path, _range in hub.requests if MODEL in path]
        assert paths
        assert all(REVISION in path for path in paths)

    def test_only_the_files_that_are_needed(self, hub, configure):
        download("--accept-licence")
        assert hub.gets("onnx/model_fp16.onnx") == []

    def test_what_is_there_is_not_fetched_again_but_tested(self, hub, configure):
        first = download("--accept-licence")
        asked = len(hub.gets(WEIGHTS))
        assert download("--accept-licence") == first
        assert len(hub.gets(WEIGHTS)) == asked == 1

    def test_a_folder_of_the_sites_own(self, hub, configure, tmp_path):
        embedder = configure(OPTIONS={"weights": "int8", "folder": str(tmp_path / "models")})
        assert str(tmp_path / "models") in download("--accept-licence")
        assert (tmp_path / "models" / WEIGHTS).read_bytes() == hub.files[WEIGHTS]
        assert not (tmp_path / "cache").exists()
        assert embedder.embed_texts(["a red car"]).shape == (1, 1024)


class TestLicence:
    def test_it_must_be_accepted_before_anything_comes(self, hub, configure, tmp_path):
        with pytest.raises(CommandError, match="jina-clip-v2 is cc-by-nc-4.0: not for commercial use.*accept-licence"):
            download()
        assert not any("/resolve/" in path for _method, path, _range in hub.requests)
        assert not (tmp_path / "cache").exists()

    @pytest.mark.parametrize("licence", ["apache-2.0", "mit"])
    def test_one_that_allows_all(self, hub, configure, licence):
        hub.licence = licence
        assert licence in download()

    @pytest.mark.parametrize("licence", ["other", "cc-by-nc-sa-4.0", "CC-BY-NC-ND-4.0", "unknown"])
    def test_ones_that_may_not(self, hub, configure, licence):
        hub.licence = licence
        with pytest.raises(CommandError, match=licence):
            download()

    def test_a_card_that_says_nothing(self, hub, configure):
        hub.licence = None
        with pytest.raises(CommandError, match="cc-by-nc-4.0"):
            download()


class TestWhatGoesWrong:
    def test_a_revision_that_is_not_there(self, hub, configure):
        configure(REVISION="0" * 40)
        with pytest.raises(CommandError, match=f"{MODEL} at {'0' * 40} could not be fetched"):
            download("--accept-licence")

    def test_a_hub_that_answers_with_another_commit(self, hub, configure, monkeypatch):
        listed = {**hub.listed(), "sha": "1" * 40}
        monkeypatch.setattr(hub, "listed", lambda: listed)
        with pytest.raises(CommandError, match=f"answered with commit {'1' * 40} when asked for"):
            download("--accept-licence")

    def test_a_file_that_is_not_there(self, hub, configure):
        del hub.files[WEIGHTS]
        with pytest.raises(CommandError, match=rf"has no {WEIGHTS}\. It has: .*onnx/model_fp16.onnx"):
            download("--accept-licence")

    @pytest.mark.parametrize("name", ["tokenizer.json", WEIGHTS])
    def test_a_wrong_digest_leaves_nothing_behind(self, hub, configure, name):
        hub.altered[name] = bytes([hub.files[name][0] ^ 1]) + hub.files[name][1:]
        with pytest.raises(CommandError, match=f"{name} of .* is not what the hub lists.*It was removed"):
            download("--accept-licence")
        assert name in configure().checkpoint.missing()
        hub.altered.clear()
        download("--accept-licence")
        assert configure().checkpoint.missing() == []

    def test_a_file_that_was_changed_on_the_disk(self, hub, configure):
        download("--accept-licence")
        path = configure().checkpoint.path(WEIGHTS)
        path.write_bytes(b"\0" + path.read_bytes()[1:])
        with pytest.raises(CommandError, match=f"{WEIGHTS} of .* is not what the hub lists"):
            download("--accept-licence")
        download("--accept-licence")
        assert path.read_bytes() == hub.files[WEIGHTS]

    def test_a_broken_connection_is_taken_up_where_it_broke(self, hub, configure):
        hub.cut[WEIGHTS] = [100_000, 200_000]
        download("--accept-licence")
        assert configure().checkpoint.path(WEIGHTS).read_bytes() == hub.files[WEIGHTS]
        assert hub.gets(WEIGHTS) == [None, "bytes=100000-", "bytes=300000-"]

    def test_a_download_that_stays_broken(self, hub, configure, tmp_path):
        hub.cut[WEIGHTS] = [100_000, *[0] * 20]
        with pytest.raises(CommandError, match="could not be fetched"):
            download("--accept-licence")
        assert configure().checkpoint.missing() == [WEIGHTS]
        assert not [name for name in files_in(tmp_path / "cache") if "incomplete" in name]
        hub.cut.clear()
        download("--accept-licence")
        assert configure().checkpoint.missing() == []
        assert len(hub.gets("tokenizer.json")) == 1

    def test_no_hub(self, configure, monkeypatch):
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
        with pytest.raises(CommandError, match=r"could not be fetched \(\w+\)"):
            download("--accept-licence")

    def test_an_alias_of_none(self, configure):
        with pytest.raises(CommandError, match="There is no embedder 'nope'"):
            download(alias="nope")


def test_without_the_library(configure, monkeypatch):
    monkeypatch.setattr("mmsearch_django.management.commands.mmsearch_download.find_spec", lambda name: None)
    with pytest.raises(CommandError, match="pip install huggingface_hub"):
        download()


def test_an_embedder_that_needs_none(configure):
    assert download(alias="default") == "Embedder 'default' needs no download.\n"


class TestOffline:
    @pytest.fixture(autouse=True)
    def offline(self, monkeypatch):
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    def test_nothing_is_fetched(self, hub, configure):
        with pytest.raises(CommandError, match=f"{WEIGHTS} of .* HF_HUB_OFFLINE forbids to fetch"):
            download("--accept-licence")
        assert hub.requests == []

    def test_what_is_there_is_shown(self, hub, configure, toy_jina_clip, tmp_path):
        shutil.copytree(toy_jina_clip, tmp_path / "brought")
        configure(OPTIONS={"weights": "int8", "folder": str(tmp_path / "brought")})
        out = download()
        assert "not compared with the hub" in out
        assert sha256(hub.files[WEIGHTS]).hexdigest() in out
        assert hub.requests == []


SCRIPT = """
import django
from django.conf import settings
settings.configure(INSTALLED_APPS=["mmsearch_django"], MMSEARCH={"EMBEDDERS": {"default": {
    "BACKEND": "mmsearch_django.embedders.jina_clip.JinaClipEmbedder", "OPTIONS": {"weights": "int8"}}}})
django.setup()
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", "mmsearch_download", "--accept-licence"])
"""


def test_as_an_owner_runs_it(hub, tmp_path):
    """HF_ENDPOINT, HF_HOME and HF_HUB_OFFLINE are honoured, a bar shows progress, exit codes tell."""

    def run(**variables):
        environment = {**os.environ, "HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "home"), **variables}
        return subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True)

    offline = run(HF_HUB_OFFLINE="1")
    assert offline.returncode == 1
    assert "HF_HUB_OFFLINE forbids" in offline.stderr
    assert hub.requests == []
    # Without a terminal the bar shows only when told to.
    done = run(TQDM_POSITION="-1")
    assert done.returncode == 0, done.stderr
    assert Path(WEIGHTS).name in done.stderr
    assert "100%" in done.stderr
    assert f"snapshots/{REVISION}/{WEIGHTS}" in "\n".join(files_in(tmp_path / "home"))
    assert run(HF_HUB_OFFLINE="1").returncode == 0


class TestByPattern:
    """Backends that run many models: what is fetched is told by its kind."""

    MODEL, COMMIT = "somebody/siglip", "a" * 40
    WANTED = {
        "sentence_transformers.SentenceTransformersEmbedder": {
            *("config.json", "tokenizer.json", "merges.txt", "0_Transformer/config.json"),
            *("0_Transformer/model.safetensors", "open_clip_model.safetensors", "open_clip_config.json"),
        },
        "open_clip.OpenClipEmbedder": {
            *("config.json", "tokenizer.json", "merges.txt", "0_Transformer/config.json"),
            *("open_clip_model.safetensors", "open_clip_config.json"),
        },
    }
    OTHERS = {"pytorch_model.bin", "modeling.py", "onnx/model.onnx", "README.md"}

    @pytest.fixture(params=WANTED)
    def wanted(self, request, hub, configure):
        """The names that are to come, once an embedder of this backend is configured."""
        wanted = self.WANTED[request.param]
        hub.model, hub.revision, hub.licence = self.MODEL, self.COMMIT, "apache-2.0"
        every = self.WANTED["sentence_transformers.SentenceTransformersEmbedder"] | self.OTHERS
        hub.files = {name: name.encode() * 2000 for name in every}
        prefix = "hf-hub:" if "open_clip" in request.param else ""
        backend = f"mmsearch_django.embedders.{request.param}"
        configure(BACKEND=backend, MODEL=prefix + self.MODEL, REVISION=self.COMMIT, OPTIONS={"dimensions": 8})
        return wanted

    def test_what_it_needs_comes_and_nothing_else(self, hub, wanted):
        checkpoint = embedders["jina"].checkpoint
        assert checkpoint.missing()
        out = download()
        assert files_in(checkpoint.place) == wanted
        assert checkpoint.missing() == []
        digests = {sha256(hub.files[name]).hexdigest() for name in wanted}
        assert {line.split("sha256 ")[1].split()[0] for line in out.splitlines() if "sha256" in line} == digests

    def test_offline_it_shows_what_is_there(self, hub, wanted, monkeypatch):
        download()
        asked = len(hub.requests)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        assert download().count("sha256") == len(wanted)
        assert len(hub.requests) == asked

    def test_code_comes_only_where_it_may_run(self, hub, wanted, configure):
        if "0_Transformer/model.safetensors" in wanted:
            options = {"dimensions": 8, "trust_remote_code": True}
            backend = "mmsearch_django.embedders.sentence_transformers.SentenceTransformersEmbedder"
            configure(BACKEND=backend, MODEL=self.MODEL, REVISION=self.COMMIT, OPTIONS=options)
            wanted = wanted | {"modeling.py"}
        download()
        assert files_in(embedders["jina"].checkpoint.place) == wanted

    def test_a_repository_without_such_weights(self, hub, wanted):
        hub.files = {name: data for name, data in hub.files.items() if not name.endswith("safetensors")}
        with pytest.raises(CommandError, match=r"has no .*\*\.safetensors\. It has: .*pytorch_model\.bin"):
            download()
        assert not any("/resolve/" in path for _method, path, _range in hub.requests)

    def test_a_licence_that_nobody_states(self, hub, wanted):
        hub.licence = None
        with pytest.raises(CommandError, match="is not stated"):
            download()

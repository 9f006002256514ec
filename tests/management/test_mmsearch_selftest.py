import pytest
from django.core.management import CommandError, call_command
from PIL import Image

from mmsearch_django.embedders import engines
from mmsearch_django.embedders.jina_clip import JinaClipEmbedder
from mmsearch_django.embedders.jina_clip.preparation import pixels
from mmsearch_django.embedders.selftest import CAPTIONS, captioned_pictures

JINA = "mmsearch_django.embedders.jina_clip.JinaClipEmbedder"
DUMMY = "mmsearch_django.embedders.dummy.DummyEmbedder"


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(engines, "_engines", {})


@pytest.fixture
def selftest(settings, toy_jina_clip, capsys):
    """Runs the command on the toy, or on another embedder, and gives its lines by their first word."""

    def run(*options, backend=JINA, **config):
        config = {"OPTIONS": {"folder": str(toy_jina_clip), "dimensions": 256}, **config}
        settings.MMSEARCH = {"EMBEDDERS": {"default": {"BACKEND": backend, **config}}}
        call_command("mmsearch_selftest", "--seconds", "0", *options)
        return dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())

    return run


def library(folder, captions):
    """The pictures of the self-test under other captions."""
    lines = ["file,caption"]
    for number, (picture, caption) in enumerate(zip(captioned_pictures(), captions, strict=True)):
        picture.save(folder / f"{number}.png")
        lines.append(f"{number}.png,{caption}")
    (folder / "metadata.csv").write_text("\n".join(lines))


def test_a_sound_model(selftest):
    said = selftest()
    assert said["embedder"] == (
        "'default': jina_clip:jinaai/jina-clip-v2@344d954da76eb8ad47a7aaff42d012e30c15b8fe#model.onnx/256"
    )
    assert said["captions"].startswith("100% of 3 are nearest to their own picture, 100% of all comparisons won;")
    assert said["queries"].endswith(" ms each")
    assert said["texts"].endswith(" a second")
    assert said["pictures"].endswith(" a second")
    assert float(said["memory"].split()[0].replace(",", "")) > 20


def test_pictures_of_ones_own(selftest, tmp_path):
    library(tmp_path, CAPTIONS.values())
    assert selftest("--folder", str(tmp_path))["captions"].startswith("100% of 3 are nearest")


def test_captions_of_other_pictures_fail(selftest, tmp_path):
    library(tmp_path, [*CAPTIONS.values()][1:] + [*CAPTIONS.values()][:1])
    with pytest.raises(CommandError, match=r"A caption is nearer to its own picture than to another in \d+%"):
        selftest("--folder", str(tmp_path))


def test_a_model_that_gives_every_picture_one_vector_fails(selftest, monkeypatch):
    red = pixels(Image.new("RGB", (8, 8), "red"))
    monkeypatch.setattr("mmsearch_django.embedders.jina_clip.pixels", lambda image: red)
    with pytest.raises(CommandError, match="must not serve: different inputs of kind picture gave the same vector"):
        selftest()


def test_files_that_are_missing(selftest, tmp_path):
    with pytest.raises(CommandError, match="Run: manage.py mmsearch_download default"):
        selftest(OPTIONS={"folder": str(tmp_path)})


def test_an_embedder_that_claims_no_common_space(selftest):
    said = selftest(backend=DUMMY, OPTIONS={})
    assert "captions" not in said
    assert "pictures" in said


@pytest.mark.parametrize(("modality", "left"), [("text", {"queries", "texts"}), ("image", {"pictures"})])
def test_an_embedder_of_one_modality(selftest, monkeypatch, modality, left):
    monkeypatch.setattr(JinaClipEmbedder, "modalities", frozenset({modality}))
    assert selftest().keys() == {"embedder", "loaded", "tested", *left, "memory"}


@pytest.mark.parametrize("rows", ["file,caption\n", "file,caption\n0.png,one\n"])
def test_too_few_pictures(selftest, tmp_path, rows):
    library(tmp_path, CAPTIONS.values())
    (tmp_path / "metadata.csv").write_text(rows)
    with pytest.raises(CommandError, match="give 2 or more"):
        selftest("--folder", str(tmp_path))


def test_an_alias_of_none(selftest):
    with pytest.raises(CommandError, match="no embedder 'nope'"):
        selftest("nope")

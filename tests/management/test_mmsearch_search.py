import json
from io import BytesIO

import pytest
from django.core.management import CommandError, call_command
from PIL import Image

from mmsearch_django.fields import embedding_fields
from mmsearch_django.indexing.targets import target
from mmsearch_django.models import Space
from tests.indexing.conftest import embed_all
from tests.models import Asset


@pytest.fixture
def library(words):
    Asset.objects.bulk_create([Asset(title="red car", number=1), Asset(title="blue boat", number=2)])
    embed_all(words)


def found(capsys, *arguments):
    call_command("mmsearch_search", "tests.Asset", *arguments, "--format", "json")
    return json.loads(capsys.readouterr().out)


def test_json(library, capsys):
    first, second = found(capsys, "red car", "--fields", "words", "--limit", "10")
    assert first["label"] == "red car"
    assert first["pk"] == Asset.objects.get(title="red car").pk
    assert first["score"] == 1.0
    assert first["match"]["words"]["rank"] == 1
    assert first["match"]["words"]["similarity"] == pytest.approx(1, abs=1e-3)
    assert second["match"]["words"]["rank"] == 2


def test_vectors_of_another_embedder(library):
    Space.objects.update(signature="dummy:former@1#/32")
    with pytest.raises(CommandError, match="mmsearch_index tests.Asset --field .* --reembed"):
        call_command("mmsearch_search", "tests.Asset", "red car")


def test_text(library, capsys):
    call_command("mmsearch_search", "tests.Asset", "red car", "--fields", "words", "--limit", "1")
    out, err = capsys.readouterr()
    assert out == f"1.000  {Asset.objects.get(title='red car').pk}  red car  (words #1 at 1.00)\n"
    assert "2 candidates; words exact; complete" in err


def test_filters_restrict_what_is_found(library, capsys):
    assert [row["label"] for row in found(capsys, "red car", "--filter", "number=2")] == ["blue boat"]
    assert len(found(capsys, "red car", "--filter", "number__in=1,2")) == 2
    assert len(found(capsys, "red car", "--filter", "team__isnull=true", "--filter", "number__gte=2")) == 1
    assert found(capsys, "red car", "--filter", "number=3") == []


def test_nothing_found_is_said(library, capsys):
    call_command("mmsearch_search", "tests.Asset", "red car", "--filter", "number=3")
    assert capsys.readouterr().out == "Nothing was found.\n"


def test_a_picture_finds_itself(db, capsys, tmp_path):
    data = BytesIO()
    Image.new("RGB", (20, 20), "red").save(data, "PNG")
    (tmp_path / "red.png").write_bytes(data.getvalue())
    asset = Asset(title="red")
    asset.file.save("red.png", data)
    embed_all(target(embedding_fields(Asset)["visual"]))
    (row,) = found(capsys, "--image", str(tmp_path / "red.png"))
    assert row["match"]["visual"]["similarity"] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tests.Nothing", "a"], "no model; write it as app.Model"),
        (["asset", "a"], "no model; write it as app.Model"),
        (["tests.Team", "a"], "tests.Team has no embedding field"),
        (["tests.Asset"], "nothing to search by"),
        (["tests.Asset", "a", "--fields", "sight"], "no embedding field 'sight'; it has visual, words"),
        (["tests.Asset", "a", "--limit", "0"], "--limit must be 1 or more"),
        (["tests.Asset", "a", "--depth", "0"], "depth must be a whole number"),
        (["tests.Asset", "a", "--filter", "kin=image"], "--filter kin=image: Cannot resolve keyword 'kin'"),
        (["tests.Asset", "a", "--filter", "number=many"], "--filter number=many"),
        (["tests.Asset", "a", "--filter", "number"], "write it as lookup=value"),
        (["tests.Asset", "--image", "/missing.jpg"], "--image cannot be read"),
        (["tests.Asset", "--image", __file__], "cannot be read|no picture"),
    ],
)
def test_errors_name_what_is_wrong(db, arguments, message):
    with pytest.raises(CommandError, match=message):
        call_command("mmsearch_search", *arguments)

import json

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from mmsearch_django.evaluation.judging import judge
from tests.indexing.conftest import embed_all
from tests.models import Asset


@pytest.fixture
def assets(words):
    made = [Asset(title=title, file=f"assets/{title}.jpg") for title in ("cat", "dog", "cow")]
    Asset.objects.bulk_create(made)
    embed_all(words)
    return {asset.title: asset for asset in made}


@pytest.fixture
def judged(assets):
    user = User.objects.create(username="ada")
    judge(assets["cat"], "cat", relevant=True, user=user)
    judge(assets["dog"], "cat", relevant=False, user=user)
    judge(assets["dog"], "dog", relevant=True, user=user)
    gone = Asset.objects.create(title="wolf", file="assets/wolf.jpg")
    judge(gone, "dog", relevant=True, user=user)
    gone.delete()
    return assets


def files(folder):
    return ["--queries", str(folder / "queries.tsv"), "--qrels", str(folder / "qrels.txt"), "--item-field", "file"]


def export(folder, *arguments, **options):
    call_command("mmsearch_judgements", "tests.Asset", *files(folder), *arguments, **options)


def test_what_is_written_is_what_is_evaluated(judged, tmp_path, capsys):
    user = User.objects.get()
    # Both are found first by their own title; of the second text also the cow, which is found later, is relevant.
    judge(judged["cow"], "dog", relevant=True, user=user)
    export(tmp_path)
    out, err = capsys.readouterr()
    assert out == "Queries: 2, judged items: 4\n"
    assert "Judgements left out, since their objects are gone: 1" in err
    assert (tmp_path / "queries.tsv").read_text() == "1\tcat\n2\tdog\n"
    assert (tmp_path / "qrels.txt").read_text() == "1 0 cat.jpg 1\n1 0 dog.jpg 0\n2 0 dog.jpg 1\n2 0 cow.jpg 1\n"
    found = [row.title for row in Asset.objects.search("dog", fields=["words"])]
    assert found[0] == "dog"
    assert len(found) == 3
    call_command("mmsearch_evaluate", "tests.Asset", *files(tmp_path), "--fields", "words", format="json", verbosity=0)
    figures = json.loads(capsys.readouterr().out)
    # Of the second text: 1 + 1 / log2(4), or 1 + 1 / log2(3), of the latter, which is the best that is possible.
    ideal = 1 + 0.6309
    reached = ideal if found[1] == "cow" else 1.5
    assert figures["nDCG@10"] == pytest.approx((1 + reached / ideal) / 2, abs=1e-4)
    assert (figures["recall@10"], figures["MRR"], figures["P@1"], figures["queries"]) == (1, 1, 1, 2)


def test_files_are_overwritten_only_if_asked_to(judged, tmp_path, capsys):
    (tmp_path / "qrels.txt").write_text("kept")
    with pytest.raises(CommandError, match=r"qrels.txt would be overwritten: --force does it"):
        export(tmp_path)
    assert (tmp_path / "qrels.txt").read_text() == "kept"
    assert not (tmp_path / "queries.tsv").exists()
    export(tmp_path, "--force", verbosity=0)
    assert (tmp_path / "qrels.txt").read_text() == "1 0 cat.jpg 1\n1 0 dog.jpg 0\n2 0 dog.jpg 1\n"
    assert capsys.readouterr().out == ""


def test_nothing_is_written_of_nothing(assets, tmp_path):
    with pytest.raises(CommandError, match=r"No row of tests.Asset has been judged"):
        export(tmp_path)
    assert not list(tmp_path.iterdir())


def test_places_that_cannot_be_written(judged, tmp_path):
    with pytest.raises(CommandError, match="cannot be written"):
        export(tmp_path / "missing")
    with pytest.raises(CommandError, match="name the same file"):
        export(tmp_path, "--qrels", str(tmp_path / "x" / ".." / "queries.tsv"))


def test_a_label_of_no_model(db, tmp_path):
    with pytest.raises(CommandError, match="'tests.Nothing' is no model"):
        call_command("mmsearch_judgements", "tests.Nothing", *files(tmp_path))

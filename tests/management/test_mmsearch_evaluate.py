import json
import sys

import pytest
from django.core.management import CommandError, call_command

from mmsearch_django.embedders.calibration import Calibration
from mmsearch_django.fields import embedding_fields
from mmsearch_django.indexing.targets import target
from mmsearch_django.models import Space
from tests.indexing.conftest import embed_all
from tests.models import Asset, Product


@pytest.fixture
def judged(words, tmp_path):
    Asset.objects.bulk_create([Asset(title=title, file=f"assets/{title}.jpg") for title in ("cat", "dog", "cow")])
    embed_all(words)
    (tmp_path / "queries.tsv").write_text("1\tcat\n2\tdog\n3\tnever judged\n")
    (tmp_path / "qrels.txt").write_text("1 0 cat.jpg 1\n2 0 dog.jpg 1\n2 0 wolf.jpg 1\n")
    return tmp_path


def evaluate(folder, *arguments, label="tests.Asset", item_field="file", **options):
    call_command(
        "mmsearch_evaluate",
        label,
        *("--queries", str(folder / "queries.tsv"), "--qrels", str(folder / "qrels.txt")),
        *("--item-field", item_field, "--fields", "words", *arguments),
        **{"verbosity": 0, **options},
    )


def test_json(judged, capsys):
    evaluate(judged, format="json")
    out, err = capsys.readouterr()
    figures = json.loads(out)
    # The second query: one of two relevant items, in the first place; 1 / (1 + 1 / log2(3)) of what is possible.
    assert figures == pytest.approx(
        {
            "nDCG@10": 0.8066,
            "recall@10": 0.75,
            "MRR": 1.0,
            "P@1": 1.0,
            "queries": 2,
            "recall@10 without floor": 0.75,
        },
        abs=1e-4,
    )
    assert "1 of 3 relevant items are not among the rows, so nothing could find them: wolf.jpg" in err


def test_text_and_progress(judged, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    evaluate(judged, verbosity=1)
    out, err = capsys.readouterr()
    assert out.split()[:10] == ["nDCG@10", "0.8066", "recall@10", "0.75", "MRR", "1", "P@1", "1", "queries", "2"]
    assert "recall@10 without floor     0.75" in out
    assert "2/2" in err


def test_filters_restrict_what_can_be_found(judged, capsys):
    evaluate(judged, "--filter", "title=dog", format="json")
    assert json.loads(capsys.readouterr().out)["recall@10"] == 0.25


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"item_field": "name"}, "no field 'name' to match items by"),
        ({"item_field": "number"}, "None of the 3 relevant items is the number of a row; rows have 0"),
    ],
)
def test_errors_name_what_is_wrong(judged, options, message):
    with pytest.raises(CommandError, match=message):
        evaluate(judged, **options)


def test_floors_are_measured(judged, capsys):
    Space.objects.filter(field="words").update(floors={"text": Calibration(0.0, 0.99, 1.01).as_dict()})
    (judged / "off.txt").write_text("asdf qwerty\n7\tcat\n\n")
    evaluate(judged, "--off-topic", str(judged / "off.txt"), format="json")
    figures = json.loads(capsys.readouterr().out)
    assert (figures["off-topic"], figures["off-topic empty"]) == (2, 1)
    assert figures["recall@10"] == figures["recall@10 without floor"] == 0.75
    evaluate(judged, "--off-topic", str(judged / "off.txt"), "--no-floor", format="json")
    assert "recall@10 without floor" not in json.loads(capsys.readouterr().out)


def test_unreadable_judgements(judged):
    (judged / "qrels.txt").write_text("1 0 cat.jpg\n")
    with pytest.raises(CommandError, match=r"qrels.txt:1: expected"):
        evaluate(judged)


@pytest.fixture
def compared(db, tmp_path):
    """What replaces ``words`` has lost the cow and nothing else."""
    Product.objects.bulk_create([Product(name=name) for name in ("cat", "dog", "cow")])
    for field in embedding_fields(Product).values():
        embed_all(target(field))
    Product.objects.get(name="cow").words2.delete()
    (tmp_path / "queries.tsv").write_text("1\tcat\n2\tdog\n3\tcow\n")
    (tmp_path / "qrels.txt").write_text("1 0 cat 1\n2 0 dog 1\n3 0 cow 1\n")
    return tmp_path


class TestVariant:
    OPTIONS = {"label": "tests.Product", "item_field": "name"}

    def test_json(self, compared, capsys):
        evaluate(compared, "--variant", "words=words2", format="json", **self.OPTIONS)
        found = json.loads(capsys.readouterr().out)
        assert (found["words"]["nDCG@10"], found["words2"]["nDCG@10"]) == pytest.approx((1, 2 / 3))
        assert found["difference"]["P@1"]["mean"] == pytest.approx(-1 / 3)
        assert found["changed"] == [{"query": "3", "before": 1.0, "after": 0.0}]

    def test_text(self, compared, capsys):
        evaluate(compared, "--variant", "words=words2", **self.OPTIONS)
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].split()[:2] == ["words", "words2"]
        assert lines[1].split() == [
            "nDCG@10",
            "1",
            "0.6667",
            "-0.3333",
            "(-1.0000",
            "to",
            "+0.0000):",
            "may",
            "be",
            "chance",
        ]
        assert lines[-4:] == ["0 queries gain in nDCG@10.", "", "1 queries lose:", "  1.000  0.000  3  cow"]

    @pytest.mark.parametrize("variant", ["words", "words=", "=words2"])
    def test_of_no_pair(self, compared, variant):
        with pytest.raises(CommandError, match="write it as field=other"):
            evaluate(compared, f"--variant={variant}", **self.OPTIONS)

    def test_of_no_field(self, compared):
        with pytest.raises(CommandError, match="to ask in its place"):
            evaluate(compared, "--variant", "words=sound", **self.OPTIONS)

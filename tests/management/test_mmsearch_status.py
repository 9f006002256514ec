import json

import pytest
from django.core.management import CommandError, call_command

from mmsearch_django.embedders.dummy import DummyEmbedder
from mmsearch_django.indexing import sweep
from mmsearch_django.models import Space
from tests.indexing.conftest import embed_all, switch
from tests.models import Asset

HEADS = ("a", "minute", "time", "left")
pytestmark = pytest.mark.django_db


@pytest.fixture
def failed(words):
    Asset.objects.bulk_create([Asset(title=title) for title in "ab"])
    embed_all(words)
    failed = Asset.objects.get(title="a").pk
    words.vectors.filter(pk=failed).delete()
    words.states.filter(object_id=failed).update(status="failed", error_class="CorruptFile")
    return words


def test_json(failed, capsys):
    call_command("mmsearch_status", "tests.Asset", format="json")
    visual, found = json.loads(capsys.readouterr().out)
    assert found == {
        "model": "tests.Asset",
        "field": "words",
        "ready": 1,
        "stale": 0,
        "pending": 0,
        "claimed": 0,
        "failed": 1,
        "skipped": 0,
        "total": 2,
        "ages": {},
        "errors": {"CorruptFile": 1},
        "per_minute": 2.0,
        "seconds_left": 0.0,
        "signature": str(failed.field.embedder.signature),
        "serves": "words",
        "floors": {},
        "swept_at": None,
        "held": {},
    }
    assert (visual["field"], visual["pending"], visual["total"]) == ("visual", 2, 2)
    assert (visual["ages"], visual["seconds_left"]) == ({"under a minute": 2}, None)


def test_text(failed, capsys):
    sweep.sweep_slice(failed)
    call_command("mmsearch_status")
    out = capsys.readouterr().out
    head, *rows = [line.split() for line in out.splitlines()]
    assert head == [
        "field",
        "ready",
        "stale",
        "pending",
        "claimed",
        "failed",
        "skipped",
        "total",
        "a",
        "minute",
        "time",
        "left",
    ]
    assert ["tests.Asset.words", "1", "0", "0", "0", "1", "0", "2", "2"] in rows
    assert ["tests.Asset.visual", "0", "0", "2", "0", "0", "0", "2", "0", "?"] in rows
    assert "tests.Asset.visual: 2 under a minute" in out
    assert f"tests.Asset.words: {failed.field.embedder.signature}" in out
    assert "tests.Asset.visual: nothing yet" in out
    assert "tests.Asset.words: 1 CorruptFile" in out
    assert "tests.Asset.words: 0 seconds ago" in out
    assert "tests.Clip.words: never; start a Celery worker with beat" in out


def test_time_left_and_floors(failed, capsys):
    Asset.objects.bulk_create([Asset(title=str(number)) for number in range(300)])
    Space.objects.filter(pk=failed.space).update(floors={"text": {"zero": 0, "floor": 0.25, "one": 1}, "vectors": 900})
    call_command("mmsearch_status", "tests.Asset")
    out = capsys.readouterr().out
    [row] = [line for line in out.splitlines() if line.startswith("tests.Asset.words")]
    assert row.endswith("2.5 h")
    assert "tests.Asset.words: text 0.25, learnt from 900 vectors" in out


def test_prometheus(failed, capsys):
    call_command("mmsearch_status", "tests.Asset", format="prometheus")
    out = capsys.readouterr().out
    assert 'mmsearch_assets{field="words",model="tests.Asset",status="ready"} 1.0' in out
    assert 'mmsearch_failed_assets{error_class="CorruptFile",field="words",model="tests.Asset"} 1.0' in out
    assert "tests.Clip" not in out


def test_stale_rows_and_refused_fields(failed, settings, monkeypatch, capsys):
    monkeypatch.setattr(DummyEmbedder, "preprocessing", 2)
    call_command("mmsearch_status", "tests.Asset", format="json")
    assert [row["stale"] for row in json.loads(capsys.readouterr().out)] == [0, 1]
    switch(settings)
    call_command("mmsearch_status")
    out = capsys.readouterr().out
    assert out.count("mmsearch_index tests.Asset --field words --reembed") == 1
    assert "Searches are refused:" in out


def test_a_sweep_that_stopped(failed, capsys):
    sweep.sweep_slice(failed)
    Space.objects.update(swept_at="2020-01-01T00:00Z")
    call_command("mmsearch_status")
    assert "minutes ago; start a Celery worker" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("tests.Nothing", "'tests.Nothing' is no model"),
        ("Asset", "'Asset' is no model; write it as app.Model"),
        ("tests.Team", "tests.Team has no embedding fields"),
    ],
)
def test_labels_that_name_nothing(label, message):
    with pytest.raises(CommandError, match=message):
        call_command("mmsearch_status", label)


def test_a_field_without_space():
    Space.objects.all().delete()
    with pytest.raises(CommandError, match="mmsearch_triggers"):
        call_command("mmsearch_status")

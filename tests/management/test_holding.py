"""mmsearch_pause, mmsearch_resume, mmsearch_throttle and mmsearch_sweep."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from mmsearch_django import metrics
from mmsearch_django.management import doctor
from mmsearch_django.models import Lane, Mark, Space
from tests.indexing.conftest import make
from tests.models import Asset, Clip

pytestmark = pytest.mark.django_db


def run(name, *arguments, **options):
    out = StringIO()
    call_command(name, *arguments, stdout=out, stderr=StringIO(), **options)
    return out.getvalue()


def test_pause_and_resume(words):
    assert run("mmsearch_pause", "tests.Asset", field="words") == "tests.Asset.words: backfill paused.\n"
    assert run("mmsearch_throttle", "tests.Asset", rate="600", hours="22:00-06:00") == (
        "tests.Asset.visual: backfill from 22:00 to 06:00 only, 600 a minute.\n"
        "tests.Asset.words: backfill paused, from 22:00 to 06:00 only, 600 a minute.\n"
    )
    assert "paused" not in run("mmsearch_resume")
    assert run("mmsearch_throttle", "tests.Asset", rate="none", hours="none") == (
        "tests.Asset.visual: nothing is held back.\ntests.Asset.words: nothing is held back.\n"
    )
    run("mmsearch_pause", "tests.Asset", field="words", lane="all")
    assert set(Lane.objects.filter(paused=True).values_list("space", "name")) == {
        (words.space, "live"),
        (words.space, "backfill"),
    }


@pytest.mark.parametrize(
    "wrong", [{"rate": "0"}, {"rate": "-1"}, {"rate": "fast"}, {"hours": "22"}, {"hours": "6:00-6"}, {}]
)
def test_a_wrong_limit_changes_nothing(wrong):
    with pytest.raises(CommandError, match=r"--rate|--hours"):
        run("mmsearch_throttle", "tests.Asset", **wrong)
    assert not Lane.objects.exists()


def test_it_is_shown(words):
    make("a")
    run("mmsearch_pause", "tests.Asset", field="words")
    assert "Held back:\n  tests.Asset.words: backfill paused" in run("mmsearch_status")
    found = json.loads(run("mmsearch_status", "tests.Asset", format="json"))
    assert [row["held"] for row in found] == [{}, {"backfill": "paused"}]
    [finding] = [finding for finding in doctor.fields([words]) if "held back" in finding.text]
    assert "mmsearch_resume tests.Asset --field words" in finding.fix
    live, held = [finding.level for finding in doctor.fields([words])][:2]
    assert (live, held) == ("problem", "note")  # It is live, and nobody works on it.
    Mark.objects.update(live=False)
    assert next(doctor.fields([words])).text.startswith("0 of 1 are ready, 1 pending")
    assert next(doctor.fields([words])).level == "ok"
    line = 'mmsearch_lane_held{field="words",how="paused",lane="backfill",model="tests.Asset"} 1.0'
    assert line in metrics.exposition([words])


def test_mmsearch_index_says_what_holds_it_up(words):
    make("a")
    Mark.objects.update(live=False)
    run("mmsearch_pause", "tests.Asset", field="words")
    with pytest.raises(CommandError, match="1 are left pending. backfill is held back: paused."):
        run("mmsearch_index", "tests.Asset", field="words", no_index=True)
    run("mmsearch_resume")
    run("mmsearch_index", "tests.Asset", field="words", no_index=True)
    assert Asset.objects.filter(words__isnull=False).count() == 1


def test_one_round_of_the_sweep():
    make("a")
    Clip.objects.create(caption="b")
    Mark.objects.all().delete()
    assert run("mmsearch_sweep") == ""
    assert Asset.objects.get(words__isnull=False).title == "a"
    assert Clip.objects.get(words__isnull=False).caption == "b"
    assert not Space.objects.filter(swept_at=None).exists()

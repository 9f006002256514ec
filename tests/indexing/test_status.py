from datetime import timedelta

import pytest
from django.db.models import F
from django.db.models.expressions import RawSQL

from mmsearch_django.indexing import claims
from mmsearch_django.indexing.status import claimable, leased, status, unfinished, workers
from mmsearch_django.models import Mark
from tests.indexing.conftest import embed_all, make
from tests.models import Asset

pytestmark = pytest.mark.django_db


def counts(words):
    found = status(words)
    assert found.total == found.ready + found.pending + found.failed + found.skipped == Asset.objects.count()
    return found.ready, found.pending, found.claimed, found.failed, found.skipped


def test_every_row_is_counted_once(words):
    Asset.objects.bulk_create([Asset(title=title) for title in ["a", "b", "c", "d", ""]])
    assert counts(words) == (0, 5, 0, 0, 0)
    claims.drain(words)
    assert counts(words) == (0, 5, 0, 0, 0)
    claims.release(words, claims.claim(words, 2))
    claims.claim(words, 3)
    assert counts(words) == (0, 5, 3, 0, 0)
    words.states.update(lease_until=None, attempts=0)
    embed_all(words)
    assert counts(words) == (4, 0, 0, 0, 1)
    words.states.filter(status="ready", object_id=Asset.objects.get(title="a").pk).update(
        status="failed", error_class="CorruptFile"
    )
    assert counts(words) == (3, 0, 0, 1, 1)
    assert status(words).errors == {"CorruptFile": 1}


def test_marked_and_stateless_rows_are_pending(words):
    Asset.objects.bulk_create([Asset(title=title) for title in "abc"])
    embed_all(words)
    Asset.objects.filter(title="a").update(title="x")
    words.states.filter(object_id=Asset.objects.get(title="b").pk).delete()
    assert counts(words) == (1, 2, 0, 0, 0)
    Mark.objects.create(space_id=words.space, object_id=None)
    assert counts(words) == (0, 3, 0, 0, 0)


def test_how_long_rows_have_waited(words):
    make("new", "old", "older", "unseen")
    claims.drain(words)
    for title, age in (("old", "2 hours"), ("older", "3 days")):
        since = RawSQL("now() - %s::interval", [age])
        words.states.filter(object_id=Asset.objects.get(title=title).pk).update(changed_at=since)
    words.states.filter(object_id=Asset.objects.get(title="unseen").pk).delete()
    assert status(words).ages == {"under a minute": 1, "under a day": 1, "older": 1, "unseen": 1}
    Mark.objects.create(space_id=words.space, object_id=None)
    assert status(words).ages == {"under a minute": 4}


def test_pace_and_time_left(words):
    assert (status(words).per_minute, status(words).seconds_left) == (0.0, 0.0)
    make(*"abcdef")
    assert status(words).seconds_left is None
    embed_all(words)
    words.states.update(finished_at=RawSQL("now() - interval '2 minutes'", []))
    make(*"ghi")
    found = status(words)
    assert found.per_minute == pytest.approx(3, abs=0.1)
    assert found.seconds_left == pytest.approx(60, abs=3)
    words.states.filter(status="ready").update(finished_at=RawSQL("now() - interval '6 minutes'", []))
    assert status(words).per_minute == 0


def test_what_is_left_to_do(words):
    assert (claimable(words), leased(words), unfinished(words)) == (False, False, 0)
    Asset.objects.create(title="a")
    assert (claimable(words), leased(words), unfinished(words)) == (True, False, 1)
    claims.drain(words)
    assert claimable(words)
    claims.claim(words, 1)
    assert (claimable(words), leased(words), unfinished(words)) == (False, True, 1)


def test_workers_are_those_who_claimed_lately(words):
    Asset.objects.bulk_create([Asset(title=title) for title in "abc"])
    claims.drain(words)
    claims.claim(words, 2)
    assert workers(words, 60) == 1
    words.states.update(lease_until=F("lease_until") - timedelta(seconds=61))
    assert workers(words, 60) == 0

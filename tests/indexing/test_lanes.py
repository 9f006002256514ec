import threading
from datetime import UTC, datetime, time, timedelta

import pytest
from django.db import connections, transaction
from django.utils import timezone

from mmsearch_django.indexing import claims, lanes, running
from mmsearch_django.indexing.lanes import BACKFILL, BOTH, LIVE
from mmsearch_django.indexing.status import claimable, held_back, status
from mmsearch_django.models import Lane, Mark
from tests.indexing.conftest import embed_all, make
from tests.models import Asset

pytestmark = pytest.mark.django_db


def backfill(*titles):
    """As if they had been found by the sweep."""
    made = make(*titles)
    Mark.objects.update(live=False)
    return made


def titles(batch):
    return {Asset.objects.get(pk=claim.key).title for claim in batch}


class TestPausing:
    def test_a_paused_backfill_lets_live_ones_through(self, words):
        backfill("old")
        make("new")
        lanes.change(words, ["backfill"], paused=True)
        assert claimable(words)
        assert embed_all(words) == {"ready": 1}
        assert Asset.objects.get(words__isnull=False).title == "new"
        assert not claimable(words)
        lanes.change(words, ["backfill"], paused=False)
        assert embed_all(words) == {"ready": 1}

    def test_it_is_heeded_from_the_next_batch_on(self, words):
        from mmsearch_django.indexing.pipeline import work

        backfill(*"abcdefgh")
        batches = work(words, size=2)
        next(batches)
        lanes.change(words, ["backfill"], paused=True)
        # One batch had been claimed beside the one that ended.
        assert [sum(counts.values()) for counts in batches] == [2]

    def test_both_lanes(self, words):
        make("new")
        lanes.change(words, ["live", "backfill"], paused=True)
        assert embed_all(words) == {}
        assert running.tick().get("tests.Asset", 0) <= 2
        assert held_back(words) == {"live": "paused", "backfill": "paused"}

    def test_all_else_stays_right(self, words):
        kept, gone = make("kept", "gone")
        embed_all(words)
        lanes.change(words, ["live", "backfill"], paused=True)
        gone.delete()
        make("new")
        assert {asset.title for asset in Asset.objects.search("gone", fields=["words"], floor=None)} == {"kept"}
        running.tick()
        assert list(words.vectors.values_list("pk", flat=True)) == [kept.pk]
        assert sorted(words.states.values_list("status", flat=True)) == ["pending", "ready"]
        found = status(words)
        assert (found.ready, found.pending, found.total) == (1, 1, 2)

    def test_another_field_is_not_held(self, words):
        make("new")
        lanes.change(words, ["live", "backfill"], paused=True)
        other = next(one for one in running.targets(Asset) if one.space != words.space)
        assert lanes.open_lanes(lanes.held(other)) == BOTH


class TestRates:
    def at(self, monkeypatch, seconds):
        monkeypatch.setattr(timezone, "now", lambda: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds))

    def test_no_more_than_is_allowed(self, words, monkeypatch):
        backfill(*(str(number) for number in range(200)))
        claims.drain(words)
        lanes.change(words, ["backfill"], per_minute=60)

        def claimed(seconds):
            self.at(monkeypatch, seconds)
            return sum(len(batch) for batch in iter(lambda: claims.claim(words, 8), []))

        assert claimed(0) == 60  # What a minute allows is saved up.
        assert claimed(0.5) == 0
        assert claimed(1) == 1
        assert [claimed(1 + 15 * sweep) for sweep in range(1, 5)] == [15] * 4
        assert claimed(1000) == 60
        assert claimed(970) == 0  # By a machine whose clock is a little behind.
        assert claimed(0) == 19  # The clock was set back: all that was left.

    def test_one_a_minute(self, words, monkeypatch):
        backfill(*"abc")
        claims.drain(words)
        lanes.change(words, ["backfill"], per_minute=1)
        found = []
        for seconds in (0, 30, 60, 90, 120):
            self.at(monkeypatch, seconds)
            found.append(len(claims.claim(words, 8)))
        assert found == [1, 0, 1, 0, 1]

    def test_live_ones_have_a_rate_of_their_own(self, words):
        backfill(*"abc")
        make("new")
        claims.drain(words)
        lanes.change(words, ["backfill"], per_minute=2)
        assert titles(claims.claim(words, 8)) == {"new"}
        assert len(claims.claim(words, 8)) == 2
        assert claims.claim(words, 8) == []
        assert not claimable(words)
        assert claimable(words, heed_rates=False)

    @pytest.mark.django_db(transaction=True)
    def test_a_worker_that_froze_while_it_counted_holds_no_other_up(self, words, other_connection):
        backfill("old")
        claims.drain(words)
        lanes.change(words, ["backfill"], per_minute=10)
        with transaction.atomic():
            assert lanes.held(words, lock=True)
            assert other_connection(claims.claim, words, 8).result(10) == []
        assert len(claims.claim(words, 8)) == 1

    @pytest.mark.django_db(transaction=True)
    def test_workers_share_it(self, words):
        backfill(*(str(number) for number in range(100)))
        claims.drain(words)
        lanes.change(words, ["backfill"], per_minute=10)
        found = []

        def worker():
            found.extend(claim.key for _ in range(5) for claim in claims.claim(words, 3))
            connections.close_all()

        threads = [threading.Thread(target=worker) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == len(set(found)) == 10


@pytest.mark.parametrize(
    ("opens_at", "closes_at", "clock", "found"),
    [
        ((22, 0), (6, 0), (23, 30), True),
        ((22, 0), (6, 0), (5, 59), True),
        ((22, 0), (6, 0), (6, 0), False),
        ((22, 0), (6, 0), (12, 0), False),
        ((9, 0), (17, 0), (9, 0), True),
        ((9, 0), (17, 0), (17, 0), False),
    ],
)
def test_hours_are_those_of_the_site(opens_at, closes_at, clock, found):
    lane = Lane(opens_at=time(*opens_at), closes_at=time(*closes_at))
    now = datetime(2026, 7, 1, *clock, tzinfo=timezone.get_default_timezone()).astimezone(UTC)
    assert lanes.is_open(lane, now) is found


def test_out_of_its_hours_a_lane_is_as_if_paused(words, monkeypatch):
    backfill("old")
    make("new")
    lanes.change(words, ["backfill"], opens_at=time(22), closes_at=time(6))
    night = timezone.make_aware(datetime(2026, 7, 1, 23), timezone.get_default_timezone())
    monkeypatch.setattr(timezone, "now", lambda: night - timedelta(hours=8))
    assert embed_all(words) == {"ready": 1}
    assert Asset.objects.get(words__isnull=False).title == "new"
    assert not claimable(words)
    monkeypatch.setattr(timezone, "now", lambda: night)
    assert claimable(words)
    assert embed_all(words) == {"ready": 1}


def test_live_marks_are_drained_before_those_of_a_bulk_load(words):
    backfill(*(str(number) for number in range(50)))
    make("new")
    assert claims.drain(words, limit=10) == 10
    assert "new" in titles(claims.claim(words, 1))
    while claims.drain(words, limit=10):
        pass
    assert not Mark.objects.filter(space=words.space).exists()


def test_a_lane_can_be_asked_for(words):
    backfill("old")
    make("new")
    claims.drain(words)
    assert claims.claim(words, 8, frozenset()) == []
    assert titles(claims.claim(words, 8, BACKFILL)) == {"old"}
    assert not claimable(words, BACKFILL)
    assert titles(claims.claim(words, 8, LIVE)) == {"new"}

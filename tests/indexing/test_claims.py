from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now

from mmsearch_django.indexing import claims, status
from mmsearch_django.models import State
from tests.indexing.conftest import embed_all, make, state_of

pytestmark = pytest.mark.django_db


class TestWorkersThatDie:
    def test_a_suspect_is_taken_alone(self, words):
        make("a", "b", "c")
        claims.drain(words)
        died = claims.claim(words, 2)
        State.objects.filter(pk__in=[claim.state for claim in died]).update(lease_until="2020-01-01T00:00Z")
        batches = [claims.claim(words, 3) for _ in range(4)]
        assert [len(batch) for batch in batches] == [1, 1, 1, 0]
        assert [batch[0].attempts for batch in batches[:2]] == [2, 2]

    @pytest.mark.parametrize(("deaths", "together"), [(1, 4), (2, 1), (3, 1)])
    def test_many_suspects_are_taken_in_small_batches_first(self, words, deaths, together):
        make(*(str(number) for number in range(10)))
        claims.drain(words)
        innocent = words.states.latest("pk")
        words.states.exclude(pk=innocent.pk).update(attempts=deaths)
        assert [len(claims.claim(words, 128)) for _ in range(2)] == [together] * 2

    def test_those_that_saw_fewer_deaths_come_first(self, words):
        often, once = make("often", "once")
        claims.drain(words)
        for asset, deaths in (often, 2), (once, 1):
            words.states.filter(object_id=str(asset.pk)).update(attempts=deaths)
        assert [claims.claim(words, 128)[0].key for _ in range(2)] == [str(once.pk), str(often.pk)]

    def test_it_is_set_aside_in_the_end(self, words, settings):
        bad, good = make("kills", "good")
        claims.drain(words)
        State.objects.filter(object_id=str(bad.pk)).update(attempts=4, lease_until="2020-01-01T00:00Z")
        assert embed_all(words) == {"ready": 1, "failed": 1}
        state = state_of(words, bad)
        assert (state.status, state.error_class) == ("failed", "WorkerDied")
        assert "4 workers ended" in state.message

    def test_a_lease_that_runs_is_respected(self, words):
        make("a")
        claims.drain(words)
        assert len(claims.claim(words, 9)) == 1
        assert claims.claim(words, 9) == []

    def test_one_that_dies_while_it_is_excused_is_not_counted(self, words):
        [asset] = make("a")
        claims.drain(words)
        batch = claims.claim(words, 9)
        with claims.excused(words, batch):
            assert state_of(words, asset).attempts == 0
            assert claims.claim(words, 9) == []
        assert state_of(words, asset).attempts == 1


class TestClocks:
    """What was written before the clock was set back lies in the future, and must not wait until then."""

    @pytest.mark.parametrize(("seconds", "free"), [(299, False), (599, False), (601, True), (10**9, True)])
    def test_a_lease_is_never_believed_to_be_long(self, words, seconds, free):
        make("a")
        claims.drain(words)
        words.states.update(lease_until=Now() + timedelta(seconds=seconds))
        assert status.claimable(words) == free
        assert status.workers(words, 60, 300) == (seconds >= 240 and not free)
        assert len(claims.claim(words, 9)) == free

    @pytest.mark.parametrize(("seconds", "free"), [(3600, False), (7199, False), (7201, True)])
    def test_nor_is_a_pause(self, words, seconds, free):
        make("a")
        claims.drain(words)
        words.states.update(not_before=Now() + timedelta(seconds=seconds))
        assert status.claimable(words) == free
        assert len(claims.claim(words, 9)) == free

    def test_nobody_asks_for_a_longer_one(self, words):
        [asset] = make("a")
        claims.drain(words)
        claims.release(words, claims.claim(words, 9), delay=10**6)
        assert claims.claim(words, 9) == []
        assert State.objects.filter(not_before__lte=Now() + timedelta(hours=2)).count() == 1


def test_live_writes_come_before_bulk_loads(words):
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO tests_asset (title) SELECT 'bulk' FROM generate_series(1, 1001)")
    [asset] = make("live")
    claims.drain(words)
    assert claims.claim(words, 1)[0].key == str(asset.pk)

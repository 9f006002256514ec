from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F

from mmsearch_django.indexing import claims, outcomes, status
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

    def test_it_is_set_aside_in_the_end(self, words, settings):
        bad, good = make("kills", "good")
        claims.drain(words)
        State.objects.filter(object_id=str(bad.pk)).update(attempts=4, lease_until="2020-01-01T00:00Z")
        assert embed_all(words) == {"ready": 1, "failed": 1}
        state = state_of(words, bad)
        assert (state.status, state.error_class) == ("failed", "WorkerDied")
        assert "4 workers ended" in state.message

    def test_what_died_less_often_goes_first(self, words):
        make("a", "b", "c")
        claims.drain(words)
        for attempts, state in zip([3, 1, 2], words.states.order_by("changed_at", "pk"), strict=True):
            words.states.filter(pk=state.pk).update(attempts=attempts)
        assert [claim.attempts for _ in range(3) for claim in claims.claim(words, 3)] == [2, 3, 4]

    def test_a_lease_that_runs_is_respected(self, words):
        make("a")
        claims.drain(words)
        assert len(claims.claim(words, 9)) == 1
        assert claims.claim(words, 9) == []

    def test_an_attempt_can_be_taken_back_while_the_lease_runs(self, words):
        [asset] = make("a")
        claims.drain(words)
        batch = claims.claim(words, 9)
        claims.count(words, batch, -1)
        assert state_of(words, asset).attempts == 0
        assert claims.claim(words, 9) == []
        claims.count(words, claims.renew(words, batch), 1)
        assert state_of(words, asset).attempts == 1


class TestClocks:
    """As the tables look after the server's clock was set: all of their times moved by as much."""

    HOUR = timedelta(hours=1)

    def test_set_back_a_dead_workers_lease_holds_nobody_up(self, words):
        make("a", "b")
        claims.drain(words)
        claims.claim(words, 2)
        words.states.update(lease_until=F("lease_until") + self.HOUR)
        assert status.claimable(words)
        assert not status.leased(words)
        assert status.status(words).claimed == status.workers(words, 60) == 0
        assert embed_all(words) == {"ready": 2}

    @pytest.mark.django_db(transaction=True)
    def test_set_back_a_living_workers_claim_is_the_others(self, words):
        make("red")
        claims.drain(words)
        [claim] = claims.claim(words, 1)
        words.states.update(lease_until=F("lease_until") + self.HOUR)
        [other] = claims.claim(words, 1)
        assert (other.key, other.attempts) == (claim.key, 2)
        claims.release(words, [claim])
        assert status.leased(words)  # It is the other's now.
        assert claims.renew(words, [claim]) == [claim]

    def test_set_forward_it_is_taken_over_and_written_once(self, words):
        make("red")
        claims.drain(words)
        claims.claim(words, 1)
        words.states.update(lease_until=F("lease_until") - self.HOUR)
        assert embed_all(words) == {"ready": 1}

    def test_another_clock_that_is_a_little_ahead_is_believed(self, words):
        make("a")
        claims.drain(words)
        claims.claim(words, 1)
        words.states.update(lease_until=F("lease_until") + timedelta(seconds=30))
        assert claims.claim(words, 1) == []

    def test_set_back_a_pause_ends(self, words):
        make("a")
        claims.drain(words)
        claims.release(words, claims.claim(words, 1), delay=10.0**9)
        assert not status.claimable(words)
        words.states.update(not_before=F("not_before") + self.HOUR)
        assert status.claimable(words)
        assert embed_all(words) == {"ready": 1}

    def test_no_pause_is_longer_than_is_believed(self):
        assert outcomes.LONGEST_DELAY * 1.5 <= claims.LONGEST_PAUSE


def test_live_writes_come_before_bulk_loads(words):
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO tests_asset (title) SELECT 'bulk' FROM generate_series(1, 1001)")
    [asset] = make("live")
    claims.drain(words)
    assert claims.claim(words, 1)[0].key == str(asset.pk)

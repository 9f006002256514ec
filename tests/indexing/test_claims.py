import pytest
from django.db import connection

from mmsearch_django.indexing import claims
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

    def test_it_is_set_aside_in_the_end(self, words, settings):
        bad, good = make("kills", "good")
        claims.drain(words)
        State.objects.filter(object_id=str(bad.pk)).update(attempts=3, lease_until="2020-01-01T00:00Z")
        assert embed_all(words) == {"ready": 1, "failed": 1}
        state = state_of(words, bad)
        assert (state.status, state.error_class) == ("failed", "WorkerDied")
        assert "3 workers ended" in state.message

    def test_a_lease_that_runs_is_respected(self, words):
        make("a")
        claims.drain(words)
        assert len(claims.claim(words, 9)) == 1
        assert claims.claim(words, 9) == []


def test_live_writes_come_before_bulk_loads(words):
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO tests_asset (title) SELECT 'bulk' FROM generate_series(1, 1001)")
    [asset] = make("live")
    claims.drain(words)
    assert claims.claim(words, 1)[0].key == str(asset.pk)

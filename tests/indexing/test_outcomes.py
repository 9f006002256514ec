"""A soft time limit of Celery strikes anywhere. It is nobody's fault, and whatever was claimed is given back."""

import time

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.db import connection

from mmsearch_django.exceptions import CorruptFile
from mmsearch_django.indexing import running, writing
from mmsearch_django.indexing.outcomes import raise_interruption
from mmsearch_django.indexing.targets import Target
from mmsearch_django.models import State
from tests.indexing.conftest import embed_all, engine, make, meanwhile

pytestmark = pytest.mark.django_db(transaction=True)


def a_source(monkeypatch, words, strike):
    meanwhile(monkeypatch, words, lambda text: text == "b" and (strike(), time.sleep(5)))


def a_library_that_wraps_it(monkeypatch, words, strike):
    def read(text):
        try:
            strike()
            time.sleep(5)
        except Exception as error:
            raise CorruptFile("odd") from error

    meanwhile(monkeypatch, words, read)


def a_library_that_forgets_its_cause(monkeypatch, words, strike):
    def read(text):
        try:
            strike()
            time.sleep(5)
        except Exception:
            raise ValueError("odd") from None

    meanwhile(monkeypatch, words, read)


def waiting_for_the_embedder(monkeypatch, words, strike):
    strike()
    engine(monkeypatch, lambda texts: time.sleep(0.5))


def loading_rows(monkeypatch, words, strike):
    rows_of = Target.rows_of

    def slow(self, keys):
        keys = list(keys)
        if len(keys) > 1 and State.objects.filter(attempts=1).exists():
            strike()
            time.sleep(5)
        return rows_of(self, keys)

    monkeypatch.setattr(Target, "rows_of", slow)


def a_query(monkeypatch, words, strike):
    """What was interrupted then is still under way in the connection."""

    def slow(target, digests):
        strike()
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(5)")

    monkeypatch.setattr(writing, "known", slow)


@pytest.mark.parametrize(
    "during",
    [
        a_source,
        a_library_that_wraps_it,
        a_library_that_forgets_its_cause,
        waiting_for_the_embedder,
        loading_rows,
        a_query,
    ],
)
def test_it_is_not_blamed_on_an_asset(words, monkeypatch, struck, during):
    make("a", "b", "c")
    words.field.embedder.warm_up()
    with monkeypatch.context() as patch:
        during(patch, words, struck)
        start = time.monotonic()
        with pytest.raises(SoftTimeLimitExceeded):
            embed_all(words)
        assert time.monotonic() - start < 3
    found = State.objects.filter(space=words.space).values_list("status", "attempts", "retries", "lease_until")
    assert list(found) == [("pending", 0, 0, None)] * 3
    assert embed_all(words) == {"ready": 3}


def test_an_embedder_that_runs_under_one_of_its_own(words, monkeypatch):
    make("a", "b")

    def respond(texts):
        raise SoftTimeLimitExceeded

    words.field.embedder.warm_up()
    engine(monkeypatch, respond)
    with pytest.raises(SoftTimeLimitExceeded):
        embed_all(words)
    assert set(State.objects.filter(space=words.space).values_list("status", "attempts")) == {("pending", 0)}


def test_the_sweep_ends(monkeypatch):
    def slow(target):
        raise SoftTimeLimitExceeded

    monkeypatch.setattr(running.sweep, "sweep_slice", slow)
    with pytest.raises(SoftTimeLimitExceeded):
        running.tick()


def test_errors_that_caused_each_other_are_no_endless_chain():
    one, other = ValueError(), KeyError()
    one.__cause__, other.__cause__ = other, one
    raise_interruption(one)

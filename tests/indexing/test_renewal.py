"""Another embedder and another version of its preprocessing; what happens while old workers still run."""

import pytest
from django.db import DataError, connection, transaction
from pgvector.django import HalfVectorField

from mmsearch_django.embedders.dummy import DummyEmbedder, DummyEngine
from mmsearch_django.exceptions import ConfigurationError, EmbedderUnavailable, SignatureMismatch
from mmsearch_django.fields import embedding_fields
from mmsearch_django.indexing import claims, floors, hnsw, renewal
from mmsearch_django.indexing.pipeline import work
from mmsearch_django.indexing.status import status
from mmsearch_django.indexing.targets import target
from mmsearch_django.models import Mark, Space
from tests.indexing.conftest import embed_all, engine, make, meanwhile, statuses, switch
from tests.indexing.processes import python, wait_for
from tests.models import Asset


def signatures(words):
    return set(words.vectors.values_list("signature", flat=True))


@pytest.mark.django_db
class TestAnotherEmbedder:
    def test_takes_the_space_over_and_all_is_pending(self, words, settings):
        Asset.objects.bulk_create([Asset(title=title) for title in ["a", "b", ""]])
        embed_all(words)
        Space.objects.filter(pk=words.space).update(floors={"vectors": 3})
        switch(settings)
        assert renewal.reembed(words)
        space = Space.objects.get(pk=words.space)
        assert (space.signature, space.floors) == (str(words.field.embedder.signature), {})
        assert not words.vectors.exists()
        assert (status(words).pending, status(words).total) == (3, 3)
        assert embed_all(words) == {"ready": 2, "skipped": 1}
        assert signatures(words) == {words.field.embedder.signature.short}

    def test_twice_is_once(self, words, settings):
        make("a")
        embed_all(words)
        switch(settings)
        assert renewal.reembed(words)
        embed_all(words)
        assert not renewal.reembed(words)
        assert status(words).ready == 1

    def test_nothing_is_given_up_where_nothing_differs(self, words):
        make("a")
        assert not renewal.reembed(words)
        embed_all(words)
        assert not renewal.reembed(words)
        assert words.vectors.count() == 1

    def test_nothing_is_given_up_for_an_embedder_that_cannot_serve(self, words, settings, monkeypatch):
        make("a")
        embed_all(words)
        switch(settings, model="never loaded before")

        def load(self):
            raise EmbedderUnavailable("no weights")

        monkeypatch.setattr(DummyEmbedder, "load", load)
        with pytest.raises(EmbedderUnavailable):
            renewal.reembed(words)
        assert words.vectors.count() == 1

    def test_what_people_write_meanwhile_comes_first(self, words, settings):
        make(*"abc")
        embed_all(words)
        switch(settings)
        renewal.reembed(words)
        late = Asset.objects.create(title="late")
        claims.drain(words)
        assert [claim.key for claim in claims.claim(words, 1)] == [str(late.pk)]

    def test_the_old_one_does_not_take_an_empty_space_back(self, words, settings):
        make("a")
        embed_all(words)
        old = settings.MMSEARCH
        switch(settings)
        renewal.reembed(words)
        new = settings.MMSEARCH
        settings.MMSEARCH = old
        with pytest.raises(SignatureMismatch, match="--reembed"):
            embed_all(words)
        settings.MMSEARCH = new
        assert embed_all(words) == {"ready": 1}

    def test_a_batch_in_flight_is_refused(self, words, settings, monkeypatch):
        make("a")
        old = settings.MMSEARCH
        embed_all(words)
        Asset.objects.update(title="b")
        meanwhile(monkeypatch, words, lambda text: take_over(words, settings) if text == "b" else None)
        with pytest.raises(SignatureMismatch):
            list(work(words))
        assert not words.vectors.exists()
        assert set(words.states.values_list("status", "attempts", "lease_until")) == {("pending", 0, None)}
        assert old == settings.MMSEARCH

    def test_other_dimensions_need_a_migration(self, words, settings):
        make("a")
        embed_all(words)
        switch(settings, dimensions=48)
        with pytest.raises(DataError, match="expected 48 dimensions, not 32"), transaction.atomic():
            migrate_to(words, 48)
        assert renewal.reembed(words)
        with pytest.raises(ConfigurationError, match=r"takes vectors of 32 .* makes 48\. Run .*makemigrations tests"):
            embed_all(words)
        migrate_to(words, 48)
        assert embed_all(words) == {"ready": 1}


def migrate_to(words, dimensions):
    """What AlterField of a generated migration does."""
    field = HalfVectorField(dimensions=dimensions)
    field.set_attributes_from_name("vector")
    with connection.schema_editor() as editor:
        editor.alter_field(words.field.vectors, words.field.vectors._meta.get_field("vector"), field)


def take_over(words, settings):
    """As another process would, with another configuration."""
    old = settings.MMSEARCH
    switch(settings)
    renewal.reembed(words)
    settings.MMSEARCH = old


@pytest.mark.django_db
class TestStale:
    def test_stale_vectors_stay_until_they_are_renewed(self, words, monkeypatch):
        make("a", "b")
        embed_all(words)
        monkeypatch.setattr(DummyEmbedder, "preprocessing", 2)
        make("c")
        embed_all(words)
        assert (status(words).ready, status(words).stale) == (3, 2)
        renewal.renew_stale(words)
        assert (status(words).pending, words.vectors.count()) == (2, 3)
        assert embed_all(words) == {"ready": 2}
        assert status(words).stale == 0

    def test_the_same_content_is_embedded_again(self, words, monkeypatch):
        make("a")
        embed_all(words)
        monkeypatch.setattr(DummyEmbedder, "preprocessing", 2)
        seen = []
        engine(monkeypatch, seen.extend)
        renewal.renew_stale(words)
        embed_all(words)
        assert seen == ["a"]

    def test_vectors_loaded_by_sql_are_nobodys(self, words, monkeypatch):
        [asset] = make("a")
        words.field.vectors.objects.create(object=asset, vector=[1.0] * 32)
        monkeypatch.setattr(DummyEmbedder, "preprocessing", 2)
        assert status(words).stale == 0


def test_failed_ones_are_tried_again(db):
    words = target(embedding_fields(Asset)["words"])
    make("a")
    claims.drain(words)
    words.states.update(status="failed")
    renewal.retry_failed(words)
    claims.drain(words)
    assert set(statuses(words).values()) == {"pending"}


# Two processes

OLD_WORKER = """
import django, sys
django.setup()
from mmsearch_django.exceptions import SignatureMismatch
from mmsearch_django.fields import embedding_fields
from mmsearch_django.indexing import writing
from mmsearch_django.indexing.pipeline import work
from mmsearch_django.indexing.targets import target
from tests.models import Asset

check = writing.check_signature
checked = 0

def pausing(target):
    global checked
    check(target)
    checked += 1
    if checked == 2:  # In the transaction that writes.
        print("checked", flush=True)
        sys.stdin.readline()

writing.check_signature = pausing
try:
    list(work(target(embedding_fields(Asset)["words"]), size=2))
except SignatureMismatch:
    print("refused", flush=True)
"""


@pytest.fixture
def shared(transactional_db):
    Mark.objects.all().delete()
    return target(embedding_fields(Asset)["words"])


def waiting_for_the_table():
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'tests_asset_words'::regclass")
        return cursor.fetchone()[0]


def test_no_vector_of_the_old_signature_survives_a_write_in_flight(shared, settings, other_connection):
    """The old worker has checked the signature and is about to write; the takeover comes between."""
    make(*"abcd")
    with python("-W", "ignore", "-c", OLD_WORKER) as process:
        assert process.stdout.readline() == b"checked\n"
        switch(settings)
        takeover = other_connection(renewal.reembed, shared)
        wait_for(waiting_for_the_table)
        assert Asset.objects.filter(words__isnull=False).count() == 0  # Reading does not wait.
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert takeover.result(30)
        assert process.stdout.readline() == b"refused\n"
    assert not shared.vectors.exists()
    assert embed_all(shared) == {"ready": 4}
    assert signatures(shared) == {shared.field.embedder.signature.short}


def test_it_waits_neither_for_searches_nor_the_other_way_round(shared, settings, other_connection):
    make("a")
    embed_all(shared)
    switch(settings)
    with transaction.atomic():
        assert shared.vectors.count() == 1
        assert other_connection(renewal.reembed, shared).result(10)
        assert shared.vectors.count() == 0


def test_the_index_goes_first_and_comes_back_last(shared, settings, monkeypatch):
    monkeypatch.setattr(hnsw, "PAYS", 2)
    make("a", "b")
    embed_all(shared)
    assert hnsw.build(shared)
    switch(settings)
    assert renewal.reembed(shared)
    assert hnsw.state(shared) == "none"
    embed_all(shared)
    try:
        assert hnsw.build(shared)
    finally:
        hnsw.drop(shared)


def test_floors_are_learnt_anew(shared, settings, monkeypatch):
    monkeypatch.setattr(floors, "ENOUGH", 2)
    make("a", "b")
    embed_all(shared)
    assert floors.refresh(shared)
    switch(settings)
    monkeypatch.setattr(DummyEngine, "_random", staticmethod(lambda seed, shape: random_of(seed + "!", shape)))
    renewal.reembed(shared)
    assert not floors.refresh(shared)
    embed_all(shared)
    assert floors.refresh(shared)


random_of = DummyEngine._random

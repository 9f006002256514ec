import threading
import time
from hashlib import sha256
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pytest
from django.core.files.base import ContentFile
from PIL import Image

from mmsearch_django.conf import conf
from mmsearch_django.exceptions import (
    CorruptFile,
    EmbedderUnavailable,
    SelfTestFailed,
    StorageUnavailable,
)
from mmsearch_django.fields import embedding_fields
from mmsearch_django.indexing import claims, outcomes, pipeline
from mmsearch_django.indexing.pipeline import work
from mmsearch_django.indexing.targets import target
from mmsearch_django.models import Mark, Space, State
from mmsearch_django.signals import embedding_ready
from tests.indexing.conftest import (
    assert_has_vector_of,
    embed_all,
    engine,
    make,
    meanwhile,
    reading,
    state_of,
    vector_of,
)
from tests.models import Asset, Clip, Foreign, LongClip

pytestmark = pytest.mark.django_db


class TestReady:
    def test_each_gets_its_own_vector(self, words):
        assets = make("red car", "blue bird", "green tree")
        assert embed_all(words) == {"ready": 3}
        for asset in assets:
            assert_has_vector_of(asset, asset.title)
        assert not Mark.objects.filter(space=words.space).exists()

    def test_what_is_recorded(self, words):
        [asset] = make("red")
        embed_all(words)
        embedder, vector, state = words.field.embedder, asset.words, state_of(words, asset)
        assert (vector.signature, vector.preprocessing) == (embedder.signature.short, embedder.preprocessing)
        assert len(vector.digest) == 32
        assert Space.objects.get(pk=words.space).signature == str(embedder.signature)
        assert (state.status, state.attempts, state.lease_until, state.error_class) == ("ready", 0, None, "")
        assert len(state.fingerprint) == 32
        assert state.finished_at is not None

    def test_a_change_is_embedded_anew(self, words):
        [asset] = make("red")
        embed_all(words)
        Asset.objects.update(title="blue")
        assert embed_all(words) == {"ready": 1}
        assert_has_vector_of(asset, "blue")

    def test_the_same_content_is_not_embedded_again(self, words, monkeypatch):
        [asset] = make("red")
        embed_all(words)
        before = state_of(words, asset).fingerprint
        Asset.objects.update(title="", caption="red")
        engine(monkeypatch, lambda texts: pytest.fail("embedded again"))
        assert embed_all(words) == {"ready": 1}
        assert state_of(words, asset).fingerprint != before

    def test_a_content_that_another_has_is_not_embedded_again(self, words, monkeypatch):
        make("red")
        embed_all(words)
        twin, other = make("red", "blue")
        embedded = []
        engine(monkeypatch, embedded.extend)
        assert embed_all(words) == {"ready": 2}
        assert embedded == ["blue"]
        assert_has_vector_of(twin, "red")
        assert_has_vector_of(other, "blue")
        assert bytes(Asset.objects.get(pk=twin.pk).words.digest) == sha256(b"red").digest()

    def test_twins_in_one_batch_are_embedded_once(self, words, monkeypatch):
        words.field.embedder.warm_up()
        assets = make("red", "blue", "red", "red")
        embedded = []
        engine(monkeypatch, embedded.extend)
        assert embed_all(words) == {"ready": 4}
        assert sorted(embedded) == ["blue", "red"]
        for asset in assets:
            assert_has_vector_of(asset, asset.title)

    def test_twins_that_cannot_be_embedded_fail_alike(self, words, monkeypatch):
        good, *bad = make("good", "bad", "bad")

        def respond(texts):
            if "bad" in texts:
                raise RuntimeError("cannot")

        engine(monkeypatch, respond)
        assert embed_all(words) == {"ready": 1, "failed": 2}
        assert {state_of(words, asset).error_class for asset in bad} == {"RuntimeError"}

    def test_a_twin_of_another_preprocessing_is_not_taken(self, words, monkeypatch):
        make("red")
        embed_all(words)
        words.vectors.update(preprocessing=99)
        make("red")
        embedded = []
        engine(monkeypatch, embedded.extend)
        embed_all(words)
        assert embedded == ["red"]

    def test_other_kinds_of_keys(self, db):
        clip, foreign = LongClip.objects.create(caption="a clip"), Foreign.objects.create(name="it's")
        for model, name in ((Clip, "words"), (Foreign, "look")):
            embed_all(target(embedding_fields(model)[name]))
        assert np.allclose(np.asarray(clip.words.vector), vector_of("a clip"), atol=1e-3)
        assert np.allclose(np.asarray(foreign.look.vector), vector_of("it's"), atol=1e-3)

    def test_a_signal_is_sent_after_commit(self, words, django_capture_on_commit_callbacks):
        sent = []

        def receive(**kwargs):
            sent.append(kwargs)

        embedding_ready.connect(receive, sender=Asset)
        [asset] = make("red")
        with django_capture_on_commit_callbacks(execute=True):
            embed_all(words)
        embedding_ready.disconnect(receive, sender=Asset)
        [kwargs] = sent
        assert (kwargs["field"], kwargs["object_ids"], kwargs["using"]) == ("words", [asset.pk], "default")


class TestOneBadAsset:
    def test_nothing_to_embed_is_skipped_and_leaves_no_vector(self, words):
        [asset] = make("red")
        embed_all(words)
        Asset.objects.update(title="")
        assert embed_all(words) == {"skipped": 1}
        assert state_of(words, asset).message == "No text: title, caption are empty."
        assert Asset.objects.get(words__isnull=True) == asset

    @pytest.mark.parametrize("error", [CorruptFile("cut short"), ValueError("a bug"), MemoryError()])
    def test_failing_to_read_fails_alone(self, words, monkeypatch, error):
        good, bad, other = make("good", "bad", "other")
        reading(monkeypatch, words, bad=error)
        assert embed_all(words) == {"ready": 2, "failed": 1}
        assert_has_vector_of(good, "good")
        assert_has_vector_of(other, "other")
        assert (state_of(words, bad).error_class, state_of(words, bad).message) == (type(error).__name__, str(error))

    def test_failing_to_embed_fails_alone(self, words, monkeypatch):
        good, bad, other = make("good", "bad", "other")

        def respond(texts):
            if "bad" in texts:
                raise RuntimeError("cannot")

        engine(monkeypatch, respond)
        assert embed_all(words) == {"ready": 2, "failed": 1}
        assert_has_vector_of(good, "good")
        assert_has_vector_of(other, "other")
        assert state_of(words, bad).error_class == "RuntimeError"

    def test_a_row_that_cannot_be_loaded_fails_alone(self, words, monkeypatch):
        good, bad = make("good", "bad")
        from_db = Asset.from_db.__func__

        def patched(cls, db, names, values, **later):
            if "bad" in values:
                raise ValueError("cannot be decrypted")
            return from_db(cls, db, names, values, **later)

        monkeypatch.setattr(Asset, "from_db", classmethod(patched))
        assert embed_all(words) == {"ready": 1, "failed": 1}
        assert state_of(words, bad).message == "cannot be decrypted"

    def test_a_failure_removes_the_vector_of_what_was_there_before(self, words, monkeypatch):
        [asset] = make("red")
        embed_all(words)
        Asset.objects.update(title="bad")
        reading(monkeypatch, words, bad=CorruptFile("cut short"))
        assert embed_all(words) == {"failed": 1}
        assert Asset.objects.get(words__isnull=True) == asset

    def test_messages_that_the_database_cannot_hold(self, words, monkeypatch):
        [asset] = make("bad")
        reading(monkeypatch, words, bad=CorruptFile("a\0b\udc80" + "x" * 5000))
        embed_all(words)
        assert state_of(words, asset).message.startswith("ab?xxx")

    def test_a_corrupt_file_between_good_ones(self, words, library_files):
        visual = target(embedding_fields(Asset)["visual"])
        red, corrupt, blue = library_files
        assert embed_all(visual) == {"ready": 2, "failed": 1}
        assert state_of(visual, corrupt).error_class in {"CorruptFile", "UnsupportedFile"}
        embedder = visual.field.embedder
        for asset in (red, blue):
            own = embedder.embed_images([visual.field.source.read(asset).value])[0]
            assert np.allclose(np.asarray(asset.visual.vector), own, atol=1e-3)


@pytest.fixture
def library_files(db, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    assets = []
    for name, colour in (("red", (255, 0, 0)), ("corrupt", None), ("blue", (0, 0, 255))):
        data = BytesIO(b"\xff\xd8\xff\xe0 no picture at all")
        if colour:
            data = BytesIO()
            Image.new("RGB", (32, 32), colour).save(data, "PNG")
        asset = Asset(title=name)
        asset.file.save(f"{name}.png", ContentFile(data.getvalue()))
        assets.append(asset)
    return assets


class TestWorthAnotherTry:
    def test_it_waits_longer_each_time_and_then_fails(self, words, monkeypatch):
        [asset] = make("slow")
        reading(monkeypatch, words, slow=StorageUnavailable("timeout"))
        delays = []
        for _ in range(outcomes.MAX_RETRIES):
            assert embed_all(words) == {"pending": 1}
            state = state_of(words, asset)
            assert (state.status, state.attempts, state.error_class) == ("pending", 0, "StorageUnavailable")
            assert state.message == "timeout It will be tried again."
            delays.append((state.not_before - state.finished_at).total_seconds())
            assert embed_all(words) == {}
            State.objects.update(not_before=None)
        assert embed_all(words) == {"failed": 1}
        assert state_of(words, asset).message.startswith(f"timeout It was tried {outcomes.MAX_RETRIES + 1} times")
        assert 5 < delays[0] < 30 < delays[-1]

    def test_a_batch_that_reads_slowly_ends_before_its_lease(self, words, monkeypatch):
        make("slow", "other", "another")
        read, now = words.field.source.read, [0]

        def slow(instance):
            now[0] += conf.LEASE_SECONDS / 3
            return read(instance)

        claims.drain(words)
        batch = claims.claim(words, 3)
        with monkeypatch.context() as patched:
            patched.setattr(words.field.source, "read", slow)
            patched.setattr("mmsearch_django.indexing.reading.time", SimpleNamespace(monotonic=lambda: now[0]))
            with pipeline.UnderWay(words) as under_way:
                under_way.start(batch)
                assert list(under_way.finish()) == [{"ready": 2}]
        left = State.objects.get(space=words.space, status="pending")
        assert (left.attempts, left.lease_until, left.error_class) == (0, None, "")
        assert embed_all(words) == {"ready": 1}

    def test_a_change_starts_anew(self, words, monkeypatch):
        [asset] = make("slow")
        reading(monkeypatch, words, slow=StorageUnavailable("timeout"))
        embed_all(words)
        Asset.objects.update(title="quick")
        assert embed_all(words) == {"ready": 1}
        assert state_of(words, asset).retries == 0

    @pytest.mark.parametrize("error", [EmbedderUnavailable("no weights"), SelfTestFailed("all the same")])
    def test_an_embedder_that_is_away_fails_nobody(self, words, monkeypatch, error):
        make("a", "b")

        def respond(texts):
            raise error

        engine(monkeypatch, respond)
        with pytest.raises(type(error), match=str(error)):
            embed_all(words)
        assert set(State.objects.values_list("status", "attempts", "lease_until")) == {("pending", 0, None)}


def test_work_stops_at_its_time(words):
    make(*"abc")
    assert embed_all(words, size=1, over=lambda: True) == {}


class TestOverlap:
    def test_the_next_batch_is_read_while_one_is_embedded(self, words, monkeypatch):
        make("first", "second")
        read = threading.Event()
        meanwhile(monkeypatch, words, lambda text: text == "second" and read.set())
        waited = []
        engine(monkeypatch, lambda texts: waited.append(read.wait(10)))
        assert list(work(words, size=1)) == [{"ready": 1}] * 2
        assert waited == [True, True]

    def test_an_embedder_that_goes_away_leaves_no_claim(self, words, monkeypatch):
        make(*"abcdef")
        calls = []

        def respond(texts):
            calls.append(texts)
            if len(calls) > 1:
                raise EmbedderUnavailable("gone")

        engine(monkeypatch, respond)
        with pytest.raises(EmbedderUnavailable, match="gone"):
            embed_all(words, size=2)
        found = State.objects.values_list("status", "attempts", "lease_until")
        assert sorted(found, key=str) == [("pending", 0, None)] * 4 + [("ready", 0, None)] * 2

    def test_whoever_stops_listening_leaves_no_claim(self, words):
        make(*"abcdef")
        batches = work(words, size=2)
        assert next(batches) == {"ready": 2}
        batches.close()
        assert State.objects.filter(lease_until=None).count() == 6

    def test_whoever_waits_for_a_slow_neighbour_keeps_its_claim(self, words, monkeypatch):
        make(*"abcd")
        claims.drain(words)
        now, leases = [0.0], []
        monkeypatch.setattr(pipeline.time, "monotonic", lambda: now[0])
        with pipeline.UnderWay(words) as under_way:
            for _ in range(2):
                under_way.start(claims.claim(words, 2))
                leases.append(words.states.order_by("pk").values_list("lease_until", flat=True)[0])
                now[0] += conf.LEASE_SECONDS / 2
            assert leases[0] < leases[1]
            assert list(under_way.finish()) == [{"ready": 2}] * 2

    @pytest.mark.parametrize(("longest", "renewals"), [(600, {2}), (0, set())])
    def test_a_slow_model_keeps_its_claims_but_not_one_that_hangs(
        self, words, monkeypatch, settings, longest, renewals
    ):
        settings.MMSEARCH = {**settings.MMSEARCH, "LEASE_SECONDS": 0.4}
        monkeypatch.setattr(pipeline, "LONGEST_SECONDS", longest)
        renewed, renew = [], claims.renew
        monkeypatch.setattr(claims, "renew", lambda target, held: renewed.append(len(held)) or renew(target, held))
        engine(monkeypatch, lambda texts: time.sleep(0.5))
        make(*"ab")
        assert embed_all(words) == {"ready": 2}
        assert set(renewed) == renewals

    def test_one_whose_worker_died_is_alone(self, words, monkeypatch):
        """What was under way is finished before it is read, for that may be what kills."""
        make("good", "deadly")
        claims.drain(words)
        deadly = Asset.objects.get(title="deadly").pk
        words.states.filter(object_id=deadly).update(attempts=1, changed_at="2999-01-01T00:00Z")
        finished = []
        meanwhile(monkeypatch, words, lambda text: finished.append((text, words.states.filter(status="ready").count())))
        embed_all(words, size=1)
        assert finished == [("good", 0), ("deadly", 1)]

    def test_nothing_is_claimed_while_it_is_embedded(self, words, monkeypatch):
        deadly, *_ = make("deadly", "good")
        claims.drain(words)
        words.states.filter(object_id=deadly.pk).update(attempts=1, changed_at="2020-01-01T00:00Z")
        events, claim = [], claims.claim
        monkeypatch.setattr(claims, "claim", lambda *args: events.append("claim") or claim(*args))
        engine(monkeypatch, lambda texts: time.sleep(0.05) or events.append(texts))
        embed_all(words, size=1)
        assert events[:2] == ["claim", ["deadly"]]


class TestPace:
    @pytest.fixture
    def clock(self, monkeypatch):
        """Moves by hand."""
        now = [0.0]
        monkeypatch.setattr(pipeline.time, "monotonic", lambda: now[0])
        return now

    def sizes(self, pace, clock, *seconds):
        for passed in seconds:
            clock[0] += passed
            pace.finished()
            yield pace.size

    def test_quick_batches_grow_and_slow_ones_shrink(self, words, clock):
        pace = pipeline.Pace(words, None)
        assert list(self.sizes(pace, clock, *[0.1] * 7)) == [64, 128, 256, 512, 1024, 1024, 1024]
        assert list(self.sizes(pace, clock, 1.0, 3.0, 3.0)) == [1024, 512, 256]
        assert list(self.sizes(pace, clock, *[3.0] * 4)) == [128, 64, 32, 32]

    def test_pictures_and_a_size_that_was_asked_for_stay(self, words, clock):
        visual = target(embedding_fields(Asset)["visual"])
        assert list(self.sizes(pipeline.Pace(visual, None), clock, 0.1, 0.1)) == [32, 32]
        assert list(self.sizes(pipeline.Pace(words, 5), clock, 0.1, 0.1)) == [5, 5]

    def test_the_embedder_gets_no_more_than_it_asked_for(self, words, monkeypatch, settings):
        settings.MMSEARCH = {**settings.MMSEARCH, "BATCH_SIZE": 2}
        make(*map(str, range(30)))
        words.field.embedder.warm_up()
        sizes = []
        engine(monkeypatch, lambda texts: sizes.append(len(texts)))
        assert embed_all(words) == {"ready": 30}
        assert max(sizes) == 2

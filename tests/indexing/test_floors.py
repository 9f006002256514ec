import numpy as np
import pytest

from mmsearch_django.embedders.calibration import Calibration
from mmsearch_django.embedders.registry import embedders
from mmsearch_django.fields import embedding_fields
from mmsearch_django.indexing import floors, renewal, running
from mmsearch_django.indexing.background import nonsense, sensible
from mmsearch_django.indexing.targets import target
from mmsearch_django.models import Space
from tests.indexing.conftest import embed_all, make
from tests.models import Asset


@pytest.fixture
def enough(monkeypatch):
    monkeypatch.setattr(floors, "ENOUGH", 4)


def learnt(words):
    return Space.objects.get(pk=words.space).floors


def unit(rows):
    rows = np.asarray(rows, dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class TestBackground:
    def test_is_the_same_each_time_and_different_in_itself(self):
        assert nonsense() == nonsense()
        for queries in (nonsense(), sensible()):
            assert len(set(queries)) == len(queries) >= 200
            assert all(query == query.strip() != "" for query in queries)


class TestFormulas:
    rng = np.random.default_rng(1)
    vectors = unit(rng.standard_normal((100, 8)))

    def test_texts_the_larger_of_noise_and_strangers(self):
        noise, strangers = unit(self.rng.standard_normal((50, 8))), unit(self.rng.standard_normal((60, 8)))
        found = floors.for_texts(noise, strangers, self.vectors, "text")
        best = np.sort((noise @ self.vectors.T).max(axis=1))
        pairs = (strangers @ self.vectors.T).ravel()
        assert found.floor == pytest.approx(max(np.quantile(best, 0.99), np.quantile(pairs, 0.99)))
        assert found.zero == pytest.approx(np.median(pairs))
        assert found.one > found.floor

    def test_pictures_are_kept_from_noise_alone(self):
        noise, strangers = unit(self.rng.standard_normal((50, 8))), self.vectors[:20]
        found = floors.for_texts(noise, strangers, self.vectors, "image")
        assert found.floor == pytest.approx(np.quantile((noise @ self.vectors.T).max(axis=1), 0.95))

    def test_by_picture_a_tenth_of_the_pairs_pass_at_most(self):
        found = floors.for_pictures(self.vectors)
        pairs = (self.vectors @ self.vectors.T)[np.triu_indices(100, k=1)]
        assert np.mean(pairs >= found.floor) <= 0.101
        assert found.one == 1.0

    def test_in_a_library_of_one_kind_the_same_picture_still_passes(self):
        for alike in (unit(self.vectors * 0.1 + 1), np.repeat(self.vectors[:1], 10, axis=0)):
            found = floors.for_pictures(alike)
            assert found.zero < found.floor <= 0.99

    def test_the_three_always_rise(self):
        same = np.repeat(self.vectors[:1], 10, axis=0)
        found = floors.for_texts(same, same, same, "text")
        assert found.zero < found.floor < found.one


@pytest.mark.django_db
class TestRefresh:
    def test_a_small_library_learns_nothing(self, words):
        make("a", "b")
        embed_all(words)
        assert floors.refresh(words) is False
        assert learnt(words) == {}

    def test_it_learns_once_it_is_large_enough_and_again_when_it_doubled(self, words, enough):
        make("a", "b", "c", "d")
        embed_all(words)
        assert floors.refresh(words)
        first = learnt(words)
        assert set(first) == {"text", "vectors"}
        assert set(first["text"]) == {"zero", "floor", "one"}
        assert first["vectors"] == 4
        make("e", "f", "g")
        embed_all(words)
        assert floors.refresh(words) is False
        make("h")
        embed_all(words)
        assert floors.refresh(words)
        assert learnt(words)["vectors"] == 8

    def test_and_when_it_shrank(self, words, enough):
        make(*"abcdefgh")
        embed_all(words)
        floors.refresh(words)
        Asset.objects.filter(title__in="abcd").delete()
        embed_all(words)
        assert floors.refresh(words)
        assert learnt(words)["vectors"] == 4

    def test_picture_fields_learn_for_pictures_too(self, words, enough):
        visual = target(embedding_fields(Asset)["visual"])
        assets = make(*"abcd")
        vectors = embedders["default"].embed_texts(list("abcd"))
        model = visual.field.vectors
        model.objects.bulk_create(model(object=a, vector=v.tolist()) for a, v in zip(assets, vectors, strict=True))
        assert set(floors.learn(visual)) == {"text", "image"}

    def test_workers_learn_when_all_is_done(self, words, enough, monkeypatch):
        make(*"abcd")
        assert running.work_on(Asset, 60) is False
        assert learnt(words)["vectors"] == 4

    def test_another_embedder_starts_without_floors(self, words, enough):
        make(*"abcd")
        embed_all(words)
        floors.refresh(words)
        Space.objects.filter(pk=words.space).update(signature="another")
        assert renewal.reembed(words)
        assert learnt(words) == {}

    def test_the_sample_is_bounded(self, words, monkeypatch):
        monkeypatch.setattr(floors, "SAMPLE", 5)
        make(*"abcdefghijklmnopqrst")
        embed_all(words)
        vectors = floors.sample(words)
        assert 0 < len(vectors) <= 5
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)


def test_a_calibration_as_a_space_keeps_it():
    assert Calibration(0.1, 0.2, 0.3).as_dict() == {"zero": 0.1, "floor": 0.2, "one": 0.3}

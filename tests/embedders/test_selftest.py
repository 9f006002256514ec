import numpy as np
import pytest

from mmsearch_django.embedders.dummy import DummyEmbedder
from mmsearch_django.embedders.selftest import CAPTIONS, captioned_pictures, selftest
from mmsearch_django.exceptions import SelfTestFailed

DIMENSIONS = 16
TEXTS = list(CAPTIONS.values())


class Paired(DummyEmbedder):
    pairs_modalities = True

    def __init__(self):
        super().__init__("photos", options={"dimensions": DIMENSIONS})


class Sound:
    """An engine as it should be: the captions and their pictures on the same axes."""

    def texts(self, texts, *, query):
        return np.stack([self.axis(TEXTS.index(text)) for text in texts])

    def images(self, images):
        known = [picture.tobytes() for picture in captioned_pictures()]
        return np.stack([self.axis(known.index(image.tobytes())) for image in images])

    def axis(self, number):
        vector = np.full(DIMENSIONS, 0.1, dtype=np.float32)
        vector[number] = 1
        return vector


class Broken(Sound):
    """Its vectors of one kind pass through ``spoil``."""

    def __init__(self, spoil, kind):
        self.spoil, self.kind = spoil, kind

    def texts(self, texts, *, query):
        vectors = super().texts(texts, query=query)
        return self.spoil(vectors) if self.kind == ("query" if query else "text") else vectors

    def images(self, images):
        vectors = super().images(images)
        return self.spoil(vectors) if self.kind == "picture" else vectors


def spoilt_row(value):
    def spoil(vectors):
        vectors[-1] = value
        return vectors

    return spoil


FAULTS = {
    "the same vector": lambda vectors: np.ones_like(vectors),
    "the order kept": lambda vectors: np.roll(vectors, 1, axis=0),
    "not finite": spoilt_row(np.nan),
    "length zero": spoilt_row(0),
    "dimensions": lambda vectors: vectors[:, :-1],
    "returned shape": lambda vectors: vectors[:-1],
}


def test_a_sound_engine_passes():
    selftest(Paired(), Sound())


@pytest.mark.parametrize("kind", ["text", "query", "picture"])
@pytest.mark.parametrize("message", FAULTS)
def test_a_broken_engine_is_named_with_its_fault(kind, message):
    with pytest.raises(SelfTestFailed, match=f"'photos' .*must not serve: .*{message}"):
        selftest(Paired(), Broken(FAULTS[message], kind))


@pytest.mark.parametrize("swap", [[1, 0, 2], [0, 2, 1], [2, 1, 0], [1, 2, 0]])
def test_any_exchange_of_rows_is_found(swap):
    with pytest.raises(SelfTestFailed, match="the order kept"):
        selftest(Paired(), Broken(lambda vectors: vectors[swap] if len(vectors) == 3 else vectors, "picture"))


class TestPairs:
    def test_captions_must_be_nearest_to_their_pictures(self):
        with pytest.raises(SelfTestFailed, match="'a spotted fish in blue water' is nearer to the picture of a"):
            selftest(Paired(), Broken(lambda vectors: np.roll(vectors, 1, axis=1), "picture"))

    def test_unless_the_embedder_claims_no_such_thing(self):
        embedder = Paired()
        embedder.pairs_modalities = False
        selftest(embedder, Broken(lambda vectors: np.roll(vectors, 1, axis=1), "picture"))


class TestOneModality:
    def test_text_alone(self):
        embedder = Paired()
        embedder.modalities = frozenset({"text"})
        selftest(embedder, Broken(FAULTS["not finite"], "picture"))

    def test_pictures_alone(self):
        embedder = Paired()
        embedder.modalities = frozenset({"image"})
        selftest(embedder, Broken(FAULTS["not finite"], "query"))


def test_the_dummy_passes():
    embedder = DummyEmbedder("x", options={"dimensions": 8})
    selftest(embedder, embedder.load())

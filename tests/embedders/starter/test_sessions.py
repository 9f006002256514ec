import numpy as np
import pytest
from PIL import Image

from mmsearch_django.embedders.selftest import captioned_pictures
from mmsearch_django.embedders.starter.sessions import Classifier, Language


@pytest.fixture(scope="module")
def language():
    return Language(threads=1)


@pytest.fixture(scope="module")
def classifier():
    return Classifier(threads=1)


class TestLanguage:
    def test_the_similarities_that_are_published_for_this_model(self, language):
        food, bread, pasta, horse = language(
            [
                "A man is eating food.",
                "A man is eating a piece of bread.",
                "A man is eating pasta.",
                "A man is riding a horse.",
            ]
        )
        assert food @ bread == pytest.approx(0.7553, abs=1e-4)
        assert pasta @ food == pytest.approx(0.7035, abs=1e-4)
        assert pasta @ bread == pytest.approx(0.5272, abs=1e-4)
        assert pasta @ horse == pytest.approx(0.1889, abs=1e-4)

    def test_tokens(self, language):
        ids, mask = language.tokens(["A red car!", "cat"])
        assert ids.tolist() == [[101, 1037, 2417, 2482, 999, 102], [101, 4937, 102, 0, 0, 0]]
        assert mask.tolist() == [[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0]]

    def test_long_texts_are_cut(self, language):
        ids, mask = language.tokens(["word " * 1000])
        assert ids.shape == (1, 128)
        assert ids[0, -1] == 102
        assert mask.all()

    def test_white_space_and_case_mean_nothing(self, language):
        one, other = language(["A red  car\n", " a RED car"])
        assert np.array_equal(one, other)

    def test_padding_changes_nothing(self, language):
        alone = language(["cat"])[0]
        padded = language(["cat", "word " * 200])[0]
        assert np.abs(alone - padded).max() < 1e-5


class TestClassifier:
    def test_it_knows_what_it_sees(self, classifier):
        _features, logits = classifier(captioned_pictures())
        pufferfish, castle, espresso = 397, 483, 967
        assert logits.argmax(axis=1).tolist() == [pufferfish, castle, espresso]

    def test_features_and_logits(self, classifier):
        features, logits = classifier([Image.new("RGB", (10, 10), "red")] * 9)
        assert features.shape == (9, 1280)
        assert logits.shape == (9, 1000)
        assert features.min() >= 0
        assert features.max() <= 6

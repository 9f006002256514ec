import numpy as np
import pytest
from PIL import Image

from mmsearch_django.embedders.base import Embedder, Signature, unit_rows
from mmsearch_django.embedders.dummy import DummyEmbedder
from mmsearch_django.exceptions import ConfigurationError, EmbedderError


class TextOnly(DummyEmbedder):
    modalities = frozenset({"text"})


class TestSignature:
    def test_reads_well_and_is_short(self):
        signature = Signature("starter", "model", "1", "fp16", 384)
        assert str(signature) == "starter:model@1#fp16/384"
        assert len(signature.short) == 16
        assert int(signature.short, 16)

    def test_every_part_counts(self):
        parts = [("a", "b", "c", "d", 1), ("x", "b", "c", "d", 1), ("a", "b", "c", "x", 1), ("a", "b", "c", "d", 2)]
        shorts = {Signature(*each).short for each in parts}
        assert len(shorts) == 4

    def test_is_known_without_loading(self):
        class Broken(DummyEmbedder):
            def load(self):
                raise AssertionError

        assert Broken("x", model="m", revision="r").signature == Signature("dummy", "m", "r", "", 64)


class TestEmbedTexts:
    def test_unit_rows_in_order(self):
        embedder = DummyEmbedder("x")
        vectors = embedder.embed_texts(["red car", "blue sky"])
        assert vectors.shape == (2, 64)
        assert vectors.dtype == np.float32
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
        assert np.allclose(vectors[1], embedder.embed_texts(["blue sky"])[0], atol=1e-6)

    def test_nothing_gives_nothing(self):
        assert DummyEmbedder("x").embed_texts([]).shape == (0, 64)
        assert DummyEmbedder("x").embed_images([]).shape == (0, 64)

    def test_one_text_is_no_list(self):
        with pytest.raises(TypeError, match="'x' takes a list of texts"):
            DummyEmbedder("x").embed_texts("red car")

    @pytest.mark.parametrize("value", [None, b"bytes", 1, ["nested"]])
    def test_only_text_is_text(self, value):
        with pytest.raises(TypeError, match=f"'x' was given {type(value).__name__} as text"):
            DummyEmbedder("x").embed_texts(["a", value])

    def test_only_pictures_are_pictures(self):
        with pytest.raises(TypeError, match="'x' was given str as a picture"):
            DummyEmbedder("x").embed_images(["/a/path.png"])
        with pytest.raises(TypeError, match="'x' takes a list of pictures, not one"):
            DummyEmbedder("x").embed_images(Image.new("RGB", (2, 2)))

    def test_a_modality_that_it_lacks(self):
        with pytest.raises(ConfigurationError, match=r"'x' \(dummy\) cannot embed image; it embeds text"):
            TextOnly("x").embed_images([])


class TestUnitRows:
    def test_scales_rows(self):
        assert unit_rows(np.array([[3, 4]], dtype=np.float16), 1, 2, "x").tolist() == [
            pytest.approx([0.6, 0.8], abs=1e-6)
        ]

    @pytest.mark.parametrize("vectors", [np.ones((1, 2)), np.ones((2, 3)), np.ones(2)])
    def test_another_shape(self, vectors):
        with pytest.raises(EmbedderError, match=r"'x' returned shape .* for 2 inputs of 2 dimensions"):
            unit_rows(vectors, 2, 2, "x")

    @pytest.mark.parametrize("row", [[0, 0], [np.nan, 1], [np.inf, 1]])
    def test_no_direction(self, row):
        with pytest.raises(EmbedderError, match="not finite or has length zero"):
            unit_rows(np.array([[1, 1], row], dtype=np.float32), 2, 2, "x")


class TestOptions:
    def test_unknown_ones_are_refused(self):
        with pytest.raises(ConfigurationError, match="'x': OPTIONS has no bits, threads; it has dimensions"):
            DummyEmbedder("x", options={"threads": 2, "bits": 8, "dimensions": 8})

    def test_unless_the_class_sees_to_it_itself(self):
        class Any(DummyEmbedder):
            known_options = None

        assert Any("x", options={"threads": 2}).options == {"threads": 2}


def test_an_embedder_says_its_dimensions_and_loads():
    with pytest.raises(TypeError, match="abstract"):
        Embedder("x")

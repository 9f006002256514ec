import pytest
from PIL import Image

from mmsearch_django.embedders.dummy import DummyEmbedder


def solid(*colour):
    return Image.new("RGB", (20, 10), colour)


def test_any_dimensions():
    assert DummyEmbedder("x", options={"dimensions": 7}).embed_texts(["a"]).shape == (1, 7)
    assert DummyEmbedder("x").dimensions == 64


def test_the_same_in_every_process():
    [vector] = DummyEmbedder("x", options={"dimensions": 4}).embed_texts(["red"])
    assert vector.tolist() == pytest.approx([-0.2040, 0.4131, 0.4767, 0.7486], abs=1e-3)


def test_texts_that_share_words_are_near():
    car, cars, sky = DummyEmbedder("x").embed_texts(["a red car", "one red car", "blue sky"])
    assert car @ cars > 0.5 > car @ sky


def test_pictures_that_look_alike_are_near():
    red, dark_red, blue = DummyEmbedder("x").embed_images([solid(250, 0, 0), solid(230, 0, 0), solid(0, 0, 250)])
    assert red @ dark_red > 0.9 > red @ blue

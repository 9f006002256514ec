from datetime import timedelta
from io import BytesIO

import pytest
from django.utils import timezone
from PIL import Image

from mmsearch_django.exceptions import ExampleGone, QueryError, UnreadableImage
from mmsearch_django.models import Example
from mmsearch_django.search import examples
from tests.models import Asset, Clip

pytestmark = pytest.mark.django_db
RED = Image.new("RGB", (64, 48), "red")


def ranking(queryset):
    return [(asset.pk, asset.score) for asset in queryset]


def test_an_example_searches_as_its_picture_does(library):
    example = examples.find(examples.key_of(examples.keep(Asset, RED)))
    assert ranking(Asset.objects.search(image=example)) == ranking(Asset.objects.search(image=RED))
    assert ranking(Asset.objects.search("red", image=example)) == ranking(Asset.objects.search("red", image=RED))


def test_the_same_picture_is_kept_once_and_longer():
    first = examples.keep(Asset, RED)
    Example.objects.update(expires_at=timezone.now())
    assert examples.keep(Asset, RED).pk == first.pk
    assert Example.objects.get().expires_at > timezone.now() + timedelta(days=6)


def test_the_picture_is_kept_small():
    example = examples.keep(Asset, Image.new("RGB", (1000, 500), "red"))
    assert Image.open(BytesIO(example.picture)).size == (768, 384)


def test_a_part_of_a_picture_asks_as_if_it_were_all(library):
    both = Image.new("RGB", (200, 100), "red")
    both.paste("blue", (100, 0, 200, 100))
    right = examples.keep(Asset, both, crop=(0.5, 0, 1, 1))
    assert ranking(Asset.objects.search(image=right)) == ranking(
        Asset.objects.search(image=Image.new("RGB", (100, 100), "blue"))
    )
    assert right.pk != examples.keep(Asset, both).pk


def test_a_part_of_a_kept_picture(library):
    both = Image.new("RGB", (2000, 1000), "red")
    both.paste("blue", (1000, 0, 2000, 1000))
    kept = examples.keep(Asset, both)
    part = examples.keep(Asset, kept, crop=(0, 0, 0.25, 0.5))
    assert Image.open(BytesIO(part.picture)).size == (192, 192)


@pytest.mark.parametrize(
    "box",
    [(0.5, 0, 0.5, 1), (0.6, 0, 0.5, 1), (-0.1, 0, 1, 1), (0, 0, 1, 1.1), (0, float("nan"), 1, 1), (0, 0, 0.01, 1)],
)
def test_a_part_that_is_none(box):
    with pytest.raises(QueryError, match="crop") as caught:
        examples.keep(Asset, RED, crop=box)
    assert caught.value.argument == "crop"


@pytest.mark.parametrize("key", ["", "1", "1:forged", "x" * 5000, "\0"])
def test_keys_cannot_be_guessed(key):
    examples.keep(Asset, RED)
    with pytest.raises(ExampleGone, match="no key"):
        examples.find(key)


def test_expired_examples_are_gone():
    example = examples.keep(Asset, RED)
    Example.objects.update(expires_at=timezone.now())
    with pytest.raises(ExampleGone, match="kept no longer"):
        examples.find(examples.key_of(example))


def test_an_example_of_another_embedder_says_so(library):
    example = examples.keep(Asset, RED)
    example.vectors = {"0" * 16: [1.0]}
    with pytest.raises(ExampleGone, match="another embedder"):
        Asset.objects.search(image=example)


def test_bad_pictures():
    with pytest.raises(UnreadableImage):
        examples.keep(Asset, b"text")


def test_a_model_that_no_picture_finds(monkeypatch):
    from mmsearch_django.embedders.dummy import DummyEmbedder

    monkeypatch.setattr(DummyEmbedder, "modalities", frozenset({"text"}))
    with pytest.raises(QueryError, match=r"No field of tests.Clip can be searched by a picture"):
        examples.keep(Clip, RED)

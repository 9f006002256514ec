from datetime import timedelta

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


def test_a_thumbnail_is_kept_and_not_the_picture():
    example = examples.keep(Asset, Image.new("RGB", (1000, 500), "red"))
    assert bytes(example.thumbnail)[8:12] == b"WEBP"


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

"""What a search may be asked, and what is said about the rest."""

from io import BytesIO

import numpy as np
import pytest
from django.core.cache import caches
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image

from mmsearch_django.embedders.dummy import DummyEmbedder, DummyEngine
from mmsearch_django.embedders.registry import embedders
from mmsearch_django.exceptions import (
    EmbedderUnavailable,
    EmptyQuery,
    InvalidVector,
    NotIndexed,
    QueryError,
    UnknownField,
    UnreadableImage,
)
from mmsearch_django.fields import embedding_fields
from mmsearch_django.indexing.targets import target
from mmsearch_django.search import query as queries
from tests.indexing.conftest import embed_all, make
from tests.models import Asset, Clip, Team

BAD = [
    ({"text": ""}, EmptyQuery, "blank"),
    ({"text": " \n\t"}, EmptyQuery, "blank"),
    ({}, EmptyQuery, "nothing to search by"),
    ({"text": 7}, EmptyQuery, "int"),
    ({"text": "a", "fields": ["nope"]}, UnknownField, "visual, words"),
    ({"text": "a", "fields": "visual"}, UnknownField, r"fields=\['visual'\]"),
    ({"text": "a", "fields": []}, UnknownField, "names no field"),
    ({"text": "a", "weights": {"nope": 1}}, UnknownField, "nope"),
    ({"text": "a", "weights": {"visual": -1}}, QueryError, "0 or more"),
    ({"text": "a", "weights": {"visual": float("nan")}}, QueryError, "0 or more"),
    ({"text": "a", "weights": {"visual": 0, "words": 0}}, QueryError, "above 0"),
    ({"text": "a", "depth": 0}, QueryError, "1 to 1000"),
    ({"text": "a", "depth": 1001}, QueryError, "1 to 1000"),
    ({"text": "a", "avoid": " "}, EmptyQuery, "blank"),
    ({"vector": [1.0] * 32}, QueryError, "fields="),
    ({"vector": [1.0] * 31, "fields": ["visual"]}, InvalidVector, "32 dimensions"),
    ({"vector": [[1.0] * 32], "fields": ["visual"]}, InvalidVector, "shape"),
    ({"vector": [0.0] * 32, "fields": ["visual"]}, InvalidVector, "length zero"),
    ({"vector": [float("nan")] * 32, "fields": ["visual"]}, InvalidVector, "finite"),
    ({"vector": [float("inf")] * 32, "fields": ["visual"]}, InvalidVector, "finite"),
    ({"vector": ["a"] * 32, "fields": ["visual"]}, InvalidVector, "numbers"),
    ({"vector": [1.0] * 32, "fields": ["visual"], "text": "a"}, QueryError, "alone"),
    ({"image": b""}, UnreadableImage, "cannot be read"),
    ({"image": b"no picture"}, UnreadableImage, "cannot be read"),
    ({"image": "/etc/passwd"}, UnreadableImage, "str"),
    ({"image": 7}, UnreadableImage, "int"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), BAD)
def test_bad_arguments_raise_when_asked(db, arguments, error, message):
    with pytest.raises(error, match=message):
        Asset.objects.search(arguments.pop("text", None), **arguments)


def picture(colour="red", size=(40, 30)):
    return Image.new("RGB", size, colour)


def encoded(image, format="PNG"):
    buffer = BytesIO()
    image.save(buffer, format)
    return buffer.getvalue()


@pytest.fixture
def embedded(monkeypatch):
    """Counts what the embedder is asked for."""
    asked = []
    for name in ("texts", "images"):
        original = getattr(DummyEngine, name)

        def counting(self, values, *, _original=original, **options):
            asked.extend(values)
            return _original(self, values, **options)

        monkeypatch.setattr(DummyEngine, name, counting)
    caches["default"].clear()
    embedders["default"].embed_texts(["load"])
    asked.clear()
    return asked


def test_a_picture_comes_as_bytes_file_upload_or_image(db):
    data = encoded(picture())
    forms = [data, BytesIO(data), SimpleUploadedFile("red.png", data), picture(), picture().convert("CMYK")]
    literals = {queries.build(Asset, image=form).legs[0].literal for form in forms}
    assert len(literals) == 1


def test_an_upload_that_was_read_already_is_read_from_its_start(db):
    upload = SimpleUploadedFile("red.png", encoded(picture()))
    upload.read()
    assert queries.build(Asset, image=upload).legs


def test_a_picture_asks_pictures_and_a_text_asks_all(db):
    assert [leg.name for leg in queries.build(Asset, image=picture()).legs] == ["visual"]
    assert [leg.name for leg in queries.build(Asset, image=picture(), fields=["words"]).legs] == ["words"]
    assert {leg.name for leg in queries.build(Asset, "red").legs} == {"visual", "words"}
    assert [leg.name for leg in queries.build(Clip, image=picture()).legs] == ["words"]


def test_query_embeddings_are_cached(db, embedded):
    for _ in range(3):
        queries.build(Asset, "a red  car")
        queries.build(Asset, " a red car ")
    assert embedded == ["a red car"]
    for _ in range(2):
        queries.build(Asset, image=encoded(picture()))
    assert len(embedded) == 2


def test_no_cache_when_the_setting_says_so(db, embedded, settings):
    settings.MMSEARCH = {**settings.MMSEARCH, "QUERY_CACHE": None}
    queries.build(Asset, "red", fields=["words"])
    queries.build(Asset, "red", fields=["words"])
    assert embedded == ["red", "red"]


def test_another_model_never_gets_the_cached_vector_of_this_one(db, embedded, settings):
    first = queries.build(Asset, "red", fields=["words"])
    options = {"BACKEND": "mmsearch_django.embedders.dummy.DummyEmbedder", "OPTIONS": {"dimensions": 16}}
    settings.MMSEARCH = {"EMBEDDERS": {"default": options}}
    assert queries.build(Asset, "red", fields=["words"]).legs[0].dimensions == 16
    assert first.legs[0].dimensions == 32


def vector_of(query):
    return np.array([float(value) for value in query.legs[0].literal.strip("[]").split(",")])


def test_avoid_turns_the_query_away_by_half(db):
    plus = embedders["default"].embed_texts(["cat"])[0]
    minus = embedders["default"].embed_texts(["dog"])[0]
    expected = plus - 0.5 * minus
    found = vector_of(queries.build(Asset, "cat", avoid="dog", fields=["words"]))
    assert found == pytest.approx(expected / np.linalg.norm(expected), abs=1e-3)


def test_text_and_picture_together_are_their_mean_direction(db):
    text = embedders["default"].embed_texts(["cat"])[0]
    image = vector_of(queries.build(Asset, image=picture()))
    expected = (text + image) / np.linalg.norm(text + image)
    assert vector_of(queries.build(Asset, "cat", image=picture())) == pytest.approx(expected, abs=1e-3)


def unit(vector):
    return np.asarray(vector) / np.linalg.norm(vector)


def words_of(*assets):
    return [np.asarray(Asset.objects.get(pk=asset.pk).words.vector) for asset in assets]


@pytest.fixture
def animals(db):
    made = make("cat", "dog", "cow", "unindexed")
    field = embedding_fields(Asset)["words"]
    embed_all(target(field))
    field.vectors.objects.filter(pk=made[3].pk).delete()
    return made


def test_several_pictures_are_their_mean_direction(db):
    each = [vector_of(queries.build(Asset, image=picture(colour))) for colour in ("red", "blue")]
    found = vector_of(queries.build(Asset, image=[picture("red"), picture("blue")]))
    assert found == pytest.approx(unit(np.sum(each, axis=0)), abs=1e-3)


def test_like_these_and_not_like_this(animals):
    cat, dog, cow, _ = animals
    v_cat, v_dog, v_cow = words_of(cat, dog, cow)
    found = queries.build(Asset, like=[cat, dog], avoid=cow, fields=["words"])
    expected = unit(unit(unit(v_cat) + unit(v_dog)) - 0.5 * unit(v_cow))
    assert vector_of(found) == pytest.approx(expected, abs=2e-3)
    assert set(found.items) == {cat.pk, dog.pk, cow.pk}


def test_texts_pictures_and_objects_are_avoided_in_turn(animals):
    cat, *_ = animals
    red = vector_of(queries.build(Asset, image=picture("red"), fields=["words"]))
    dog = embedders["default"].embed_texts(["dog"])[0]
    expected = embedders["default"].embed_texts(["cow"])[0]
    for minus in (dog, red, unit(words_of(cat)[0])):
        expected = unit(expected - 0.5 * minus)
    found = queries.build(Asset, "cow", avoid=["dog", picture("red"), cat], fields=["words"])
    assert vector_of(found) == pytest.approx(expected, abs=3e-3)


def test_objects_that_ask_are_not_found(animals):
    cat, dog, cow, unindexed = animals
    assert list(Asset.objects.search(like=[cat, dog])) == [cow]
    assert list(Asset.objects.search("cow", avoid=dog, fields=["words"])) == [cow, cat]


def test_objects_without_a_vector_are_left_out_while_others_ask(animals):
    cat, _, _, unindexed = animals
    both = queries.build(Asset, like=[cat, unindexed], fields=["words"])
    assert vector_of(both) == pytest.approx(vector_of(queries.build(Asset, like=cat, fields=["words"])))
    with pytest.raises(NotIndexed, match=f"{unindexed.pk} has no vector"):
        queries.build(Asset, like=unindexed)


def test_objects_are_read_by_one_statement(animals, django_assert_num_queries):
    with django_assert_num_queries(2):  # What made the vectors, and the vectors.
        queries.build(Asset, like=animals[:3])


@pytest.mark.parametrize(("argument", "value"), [("like", "cat"), ("like", 7), ("image", [b"x"]), ("avoid", 7)])
def test_what_is_no_example_is_named(db, argument, value):
    with pytest.raises(QueryError):
        queries.build(Asset, "a", **{argument: value})


def test_too_many_examples(animals):
    with pytest.raises(QueryError, match="at most 20"):
        queries.build(Asset, like=[animals[0]] * 21)


class Away(DummyEmbedder):
    known_options = DummyEmbedder.known_options | {"away"}

    def load(self):
        raise EmbedderUnavailable("The weights are missing.")


def test_a_search_without_any_embedder_raises(db, settings, monkeypatch):
    settings.MMSEARCH = {
        "EMBEDDERS": {"default": {"BACKEND": f"{__name__}.Away", "OPTIONS": {"dimensions": 32, "away": True}}},
        "QUERY_CACHE": None,
    }
    with pytest.raises(EmbedderUnavailable, match="weights are missing"):
        Asset.objects.search("red")


def test_a_leg_whose_embedder_is_away_is_left_out_and_said(db, settings, monkeypatch):
    settings.MMSEARCH = {
        "EMBEDDERS": {
            "default": {"BACKEND": f"{__name__}.Away", "OPTIONS": {"dimensions": 32, "away": True}},
            "here": {"BACKEND": "mmsearch_django.embedders.dummy.DummyEmbedder", "OPTIONS": {"dimensions": 32}},
        },
        "QUERY_CACHE": None,
    }
    monkeypatch.setattr(Asset._meta.get_field("words").related_model.embedding_field, "alias", "here")
    queryset = Asset.objects.search("red")
    assert queryset.report.degraded == ("visual",)
    assert list(queryset.report.legs) == ["words"]


class TestSimilar:
    def test_leaves_the_object_out_and_ranks_by_its_vector(self, library):
        asset = library.assets[1]
        own = library.vectors["visual"][asset.pk]
        nearest = sorted(
            (key for key in library.vectors["visual"] if key != asset.pk),
            key=lambda key: -(own @ library.vectors["visual"][key]) / np.linalg.norm(library.vectors["visual"][key]),
        )
        found = list(Asset.objects.similar_to(asset, fields=["visual"]).values_list("pk", flat=True))
        assert found[:20] == nearest[:20]

    def test_an_object_without_vectors_is_not_indexed(self, library):
        with pytest.raises(NotIndexed, match="mmsearch_index"):
            Asset.objects.similar_to(library.assets[0])
        with pytest.raises(NotIndexed):
            Asset.objects.similar_to(Asset(title="unsaved"))

    def test_legs_without_a_vector_are_left_out(self, library):
        asset = library.assets[1]
        Asset._meta.get_field("words").related_model.objects.filter(pk=asset.pk).delete()
        assert list(Asset.objects.similar_to(asset).report.legs) == ["visual"]

    def test_an_object_of_another_model_is_refused(self, library):
        with pytest.raises(QueryError, match="Team"):
            Asset.objects.similar_to(Team.objects.first())

import re
from io import BytesIO

import pytest
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone
from PIL import Image

from example_project.library.models import Asset, Collection, Tag
from mmsearch_django.embedders.calibration import Calibration
from mmsearch_django.embedders.registry import embedders
from mmsearch_django.exceptions import EmbedderUnavailable
from mmsearch_django.fields import embedding_fields
from mmsearch_django.indexing.targets import target
from mmsearch_django.models import Example, Space
from mmsearch_django.search import examples
from tests.indexing.conftest import embed_all

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _media(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": tmp_path}}


def encoded(colour, form="PNG"):
    data = BytesIO()
    Image.new("RGB", (64, 48), colour).save(data, form)
    return data.getvalue()


@pytest.fixture
def assets():
    colours = ("red", "green", "blue")
    made = [Asset(title=colour, kind="image", category="colours") for colour in colours]
    for asset in made:
        asset.file.save(f"{asset.title}.png", ContentFile(encoded(asset.title)))
    for field in embedding_fields(Asset).values():
        embed_all(target(field))
    return {asset.title: asset for asset in made}


def get(client, status=200, **parameters):
    response = client.get("/", parameters)
    assert response.status_code == status
    return response


def titles(response):
    return [asset.title for asset in response.context["page"]]


def test_without_a_question_the_newest_come_first(client, assets):
    response = get(client)
    assert titles(response) == ["blue", "green", "red"]
    assert "Newest first" in response.text


def test_a_text_finds(client, assets):
    response = get(client, q="green")
    assert len(titles(response)) == 3
    assert "words <b>#1</b>" in response.text
    assert "3 of 3 assets" in response.text


def test_nothing_close_enough_is_said_with_a_way_on(client, assets):
    distant = {"text": Calibration(0.0, 0.99, 1.0).as_dict()}
    Space.objects.update(floors=distant)
    response = get(client, q="something else", category="colours")
    assert titles(response) == []
    assert "Nothing is close enough" in response.text
    assert 'href="?q=something+else&amp;category=colours&amp;nearest=1"' in response.text
    assert len(titles(get(client, q="something else", category="colours", nearest=1))) == 3


def test_filters(client, assets):
    red = assets["red"]
    red.collections.add(collection := Collection.objects.create(name="warm"))
    red.tags.add(tag := Tag.objects.create(name="stop"))
    Asset.objects.filter(pk=red.pk).update(licence="CC0")
    for parameters in ({"licence": "CC0"}, {"collection": collection.pk}, {"tag": tag.pk}):
        assert titles(get(client, q="green", **parameters)) == ["red"]
        assert titles(get(client, **parameters)) == ["red"]
    assert titles(get(client, q="green", kind="video")) == []
    assert "No asset passes these filters" in get(client, kind="video").text


def test_more_like_this(client, assets):
    assert sorted(titles(get(client, like=assets["red"].pk))) == ["blue", "green"]


def test_pages(client, assets):
    Asset.objects.bulk_create([Asset(title=f"asset {number}") for number in range(30)])
    response = get(client, page=2)
    assert len(titles(response)) == 9
    assert "Page 2 of 2" in response.text
    assert "page=1" in response.text


def upload(client, data, query=""):
    return client.post(f"/{query}", {"upload": SimpleUploadedFile("mine.png", data)})


def test_a_picture_becomes_part_of_the_address(client, assets):
    response = upload(client, encoded("red"), "?category=colours&q=green&page=3")
    assert response.status_code == 302
    assert response.url.startswith("/?category=colours&picture=")
    found = client.get(response.url)
    assert titles(found)[0] == "red"
    assert "Nearest to your picture" in found.text
    assert 'name="picture"' in found.text


def test_a_file_that_is_no_picture_is_said_so(client, assets):
    for data, message in ((b"text", "is no picture that can be read"), (b"", "submitted file is empty")):
        response = upload(client, data)
        assert response.status_code == 400
        assert message in response.text
        assert titles(response)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"kind": "bogus"}, "bogus is not one of the available choices"),
        ({"like": "999"}, "not one of the available choices"),
        ({"picture": "0" * 64}, "no key of a picture"),
        ({"picture": "../x"}, "no key of a picture"),
        ({"q": "a" * 1001}, "at most 1000 characters"),
        ({"q": "a\0"}, "Null characters"),
    ],
)
def test_bad_addresses_are_said_in_words(client, parameters, message):
    assert message in get(client, 400, **parameters).text


def test_an_item_without_vectors_is_said_in_words(client, assets):
    new = Asset.objects.create(title="new")
    assert "has no vector yet" in get(client, 400, like=new.pk).text


def test_an_embedder_that_is_away_is_said_in_words(client, assets, monkeypatch):
    def refuse(*args, **kwargs):
        raise EmbedderUnavailable("Embedder 'default' has no weights.")

    monkeypatch.setattr(type(embedders["default"]), "embed_texts", refuse)
    assert "has no weights" in get(client, 503, q="a thing never asked before").text


def test_vectors_of_another_embedder_are_said_in_words(client, assets):
    Space.objects.update(signature="starter:former@1#/32")
    assert "were made by starter:former@1#/32" in get(client, 503, q="a castle").text


def test_what_users_write_is_escaped(client, assets):
    Asset.objects.update(title="<script>alert(1)</script>", caption='"><script>')
    assert "<script>" not in get(client, q="<script>alert(2)</script>").text


class TestThumbnails:
    def test_are_small_and_kept(self, client, assets):
        red = assets["red"]
        response = client.get(f"/thumbnails/{red.pk}/{red.thumbnail_version}")
        assert response.headers["Content-Type"] == "image/webp"
        assert "immutable" in response.headers["Cache-Control"]
        assert Image.open(BytesIO(response.content)).size == (64, 48)
        red.file.storage.delete(red.file.name)
        assert client.get(f"/thumbnails/{red.pk}/{red.thumbnail_version}").content == response.content

    def test_another_version_is_not_found(self, client, assets):
        assert client.get(f"/thumbnails/{assets['red'].pk}/other").status_code == 404

    def test_a_broken_file_has_a_placeholder(self, client):
        asset = Asset(title="broken")
        asset.file.save("broken.png", ContentFile(b"\x89PNG\r\n\x1a\n broken"))
        response = client.get(f"/thumbnails/{asset.pk}/{asset.thumbnail_version}")
        assert response.url.endswith("no-picture.svg")
        assert response.headers["Cache-Control"] == "max-age=300"


class TestExamples:
    def test_who_has_the_key_sees_what_is_searched_by(self, client, assets):
        found = client.get(upload(client, encoded("red")).url)
        address = re.search(r'<img class="asked" src="([^"]+)"', found.text)[1]
        response = client.get(address)
        assert response.headers["Content-Type"] == "image/webp"
        assert "private" in response.headers["Cache-Control"]
        assert Image.open(BytesIO(response.content)).size == (64, 48)

    def test_nobody_else_does(self, client, assets):
        kept = examples.keep(Asset, encoded("red"))
        for key in (str(kept.pk), f"{kept.pk}:forged", examples.key_of(kept)[1:]):
            assert client.get(f"/examples/{key}").status_code == 404
        Example.objects.update(expires_at=timezone.now())
        assert client.get(f"/examples/{examples.key_of(kept)}").status_code == 404


class TestOriginals:
    def test_pictures_are_shown(self, client, assets):
        response = client.get(assets["red"].file.url)
        assert b"".join(response.streaming_content) == encoded("red")
        assert not response.headers["Content-Disposition"].startswith("attachment")

    def test_what_a_browser_could_run_is_saved(self, client):
        asset = Asset(title="page")
        for name in ("a.html", "a.svg"):
            asset.file.save(name, ContentFile(b"<script>"))
            response = client.get(asset.file.url)
            assert response.headers["Content-Disposition"].startswith("attachment")
            assert b"".join(response.streaming_content) == b"<script>"

    def test_only_files_of_assets(self, client, assets, tmp_path):
        (tmp_path / "secret.png").write_bytes(encoded("red"))
        assert client.get("/media/secret.png").status_code == 404
        assert client.get("/media/../settings.py").status_code == 404
        assets["red"].file.storage.delete(assets["red"].file.name)
        assert client.get(assets["red"].file.url).status_code == 404

import json
from io import BytesIO
from urllib.parse import urlsplit

import pytest
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image
from rest_framework.test import APIClient

from example_project.library.models import Asset
from mmsearch_django.embedders.registry import embedders
from mmsearch_django.exceptions import EmbedderUnavailable
from mmsearch_django.fields import embedding_fields
from mmsearch_django.indexing.targets import target
from mmsearch_django.models import Example, Space
from tests.indexing.conftest import embed_all

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.rest_framework.urls")]


@pytest.fixture(autouse=True)
def _site(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path


def encoded(colour):
    data = BytesIO()
    Image.new("RGB", (64, 48), colour).save(data, "PNG")
    return data.getvalue()


@pytest.fixture
def assets():
    made = [
        Asset(title=f"{colour} thing", kind="image", category=colour) for colour in ("red", "green", "blue", "grey")
    ]
    for asset in made:
        asset.file.save(f"{asset.category}.png", ContentFile(encoded(asset.category)))
    for field in embedding_fields(Asset).values():
        embed_all(target(field))
    return {asset.category: asset for asset in made}


@pytest.fixture
def client():
    return APIClient()


def get(client, status=200, path="/assets/", **parameters):
    response = client.get(path, parameters)
    assert response.status_code == status, response.content
    return response.json()


def rows(answer):
    return answer["results"]


def titles(answer):
    return [row["title"] for row in rows(answer)]


def picture(colour, name="mine.png"):
    return SimpleUploadedFile(name, encoded(colour), "image/png")


class TestGet:
    def test_ranks_and_says_why(self, client, assets):
        answer = rows(get(client, search="green thing", fields="words"))
        assert answer[0]["title"] == "green thing"
        assert answer[0]["score"] == 1.0
        assert answer[0]["match"]["words"]["rank"] == 1
        assert answer[0]["closeness"] == pytest.approx(1, abs=1e-3)

    def test_without_a_search_nothing_changes(self, client, assets):
        answer = rows(get(client, search=" "))
        assert answer[0]["title"] == "red thing"
        assert (answer[0]["score"], answer[0]["match"]) == (None, None)

    def test_pages_are_those_of_one_window(self, client, assets, admin_user):
        client.force_authenticate(admin_user)
        first = get(client, search="green thing", fields="words")
        second = client.get(first["next"]).json()
        assert first["count"] == 4
        assert len(set(titles(first)) | set(titles(second))) == 4

    def test_options(self, client, assets):
        Space.objects.update(floors={"text": {"zero": 0, "floor": 0.99, "one": 1.01}})
        assert titles(get(client, search="green thing", min_closeness=0.5)) == ["green thing"]
        assert len(titles(get(client, search="nothing", nearest="true", fields="words", depth=1))) == 1
        assert titles(get(client, search="nothing")) == []
        assert titles(get(client, search="green thing", weights="words:1,visual:0"))[0] == "green thing"

    @pytest.mark.parametrize(
        ("parameters", "field"),
        [
            ({"search": "a" * 1001}, "search"),
            ({"search": "a\0b"}, "search"),
            ({"search": "a", "fields": "sight"}, "fields"),
            ({"search": "a", "weights": "words:heavy"}, "weights"),
            ({"search": "a", "weights": "words"}, "weights"),
            ({"search": "a", "min_closeness": "2"}, "min_closeness"),
            ({"search": "a", "min_closeness": "nan"}, "min_closeness"),
            ({"search": "a", "depth": "0"}, "depth"),
            ({"search": "a", "nearest": "perhaps"}, "nearest"),
            ({"example": "forged"}, "example"),
            ({"avoid": "people"}, "search"),
        ],
    )
    def test_bad_parameters_are_named(self, client, assets, parameters, field):
        assert field in get(client, 400, **parameters)

    def test_no_embedder_is_503_and_says_when_to_come_back(self, client, assets, monkeypatch):
        def refuse(*args, **kwargs):
            raise EmbedderUnavailable("Embedder 'default' has no weights.")

        monkeypatch.setattr(type(embedders["default"]), "embed_texts", refuse)
        response = client.get("/assets/", {"search": "never asked before"})
        assert response.status_code == 503
        assert response.headers["Retry-After"] == "30"


class TestPost:
    def test_a_picture_leads_to_a_plain_address(self, client, assets):
        response = client.post("/assets/search/", {"image": picture("green")})
        assert response.status_code == 303
        address = urlsplit(response.headers["Location"])
        assert response.json() == {"example": response.json()["example"], "results": response.headers["Location"]}
        answer = client.get(f"{address.path}?{address.query}").json()
        assert titles(answer)[0] == "green thing"

    def test_json_and_a_text(self, client, assets):
        body = {"search": "green thing", "fields": ["words"], "weights": {"words": 0.5}, "min_closeness": 0.1}
        response = client.post("/assets/search/", json.dumps(body), content_type="application/json")
        assert response.status_code == 303
        address = urlsplit(response.headers["Location"])
        answer = client.get(f"{address.path}?{address.query}").json()
        assert titles(answer)[0] == "green thing"
        assert list(rows(answer)[0]["match"]) == ["words"]

    @pytest.mark.parametrize(
        ("data", "status"),
        [(b"text", 415), (b"", 400), (b"\x89PNG\r\n\x1a\n broken", 400)],
    )
    def test_bad_pictures(self, client, assets, data, status):
        response = client.post("/assets/search/", {"image": SimpleUploadedFile("x.png", data)})
        assert response.status_code == status, response.content

    def test_too_large_a_picture(self, client, assets, settings):
        settings.MMSEARCH = {**settings.MMSEARCH, "MAX_PIXELS": 100}
        assert client.post("/assets/search/", {"image": picture("red")}).status_code == 413

    def test_bad_bodies(self, client, assets):
        for body in ("[]", '{"fields": 3}', '{"weights": []}', '{"search": {}}', "nothing"):
            response = client.post("/assets/search/", body, content_type="application/json")
            assert response.status_code == 400, body
        assert client.post("/assets/search/", "x", content_type="text/plain").status_code == 415


class TestSimilar:
    def test_without_the_object(self, client, assets):
        found = titles(get(client, path=f"/assets/{assets['red'].pk}/similar/"))
        assert found
        assert "red thing" not in found

    def test_an_object_without_vectors(self, client, assets):
        new = Asset.objects.create(title="new")
        assert "no vector yet" in get(client, 409, path=f"/assets/{new.pk}/similar/")["detail"]

    def test_an_object_that_is_not_there(self, client, assets):
        get(client, 404, path="/assets/999/similar/")


class TestHiddenRows:
    def test_are_never_found_counted_or_similar(self, client, assets):
        key = client.post("/assets/search/", {"image": picture("blue")}).json()["example"]
        answers = [
            get(client, search="blue thing", nearest="true", depth=100),
            get(client, example=key, nearest="true"),
            get(client, path=f"/assets/{assets['red'].pk}/similar/"),
        ]
        for answer in answers:
            assert "blue thing" not in titles(answer)
        get(client, 404, path=f"/assets/{assets['blue'].pk}/similar/")

    def test_staff_find_them(self, client, assets, admin_user):
        client.force_authenticate(admin_user)
        assert titles(get(client, search="blue thing", fields="words"))[0] == "blue thing"

    def test_expired_keys(self, client, assets):
        key = client.post("/assets/search/", {"image": picture("red")}).json()["example"]
        Example.objects.update(expires_at="2020-01-01T00:00Z")
        assert "kept no longer" in get(client, 400, example=key)["example"][0]

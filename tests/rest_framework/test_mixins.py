from io import BytesIO
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import override_settings
from PIL import Image
from rest_framework.throttling import ScopedRateThrottle

from example_project.library.models import Asset
from mmsearch_django.models import Example
from tests.colours import picture
from tests.rest_framework.conftest import get, titles
from tests.rest_framework.urls import AssetViewSet

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.rest_framework.urls")]


def post(client, body, status=200, path="/assets/search/"):
    """A dict with a file goes as a form, one without as JSON."""
    values = [each for value in body.values() for each in (value if isinstance(value, list) else [value])]
    as_form = any(hasattr(value, "read") for value in values)
    response = client.post(path, body, format="multipart" if as_form else "json")
    assert response.status_code == status, response.content
    return response.json()


class TestSearch:
    def test_a_picture_is_answered_with_a_plain_address_and_pages(self, client, assets):
        answer = post(client, {"image": picture("green")})
        assert titles(answer)[0] == "green thing"
        assert answer["report"]["legs"] == {"visual": "exact"}
        assert get(client, path=answer["address"])["results"] == answer["results"]
        assert get(client, example=answer["example"])["results"] == answer["results"]
        second = get(client, path=answer["next"])
        assert (second["next"], len(titles(second))) == (None, 1)

    def test_the_address_is_where_the_answer_is(self, client, assets):
        response = client.post("/assets/search/", {"text": "green thing"}, format="json")
        assert response.headers["Content-Location"] == response.json()["address"]
        assert urlsplit(response.json()["address"]).query == "search=green+thing"
        assert response.json()["example"] is None

    def test_json_and_all_options(self, client, assets):
        body = {
            "text": "green thing",
            "avoid": "blue",
            "fields": ["words"],
            "weights": {"words": 0.5},
            "min_closeness": 0.1,
            "depth": 2,
            "nearest": True,
        }
        answer = post(client, body)
        assert titles(answer)[0] == "green thing"
        assert list(answer["results"][0]["match"]) == ["words"]
        assert answer["count"] == 2
        assert get(client, path=answer["address"])["results"] == answer["results"]

    @pytest.mark.parametrize("weights", ['{"words": 1, "visual": 0}', "words:1,visual:0"])
    def test_forms_name_fields_and_weights(self, client, assets, weights):
        body = {"text": "green thing", "fields": ["words", "visual"], "weights": weights}
        response = client.post("/assets/search/", body, format="multipart")
        assert list(response.json()["results"][0]["match"]) == ["words"]

    def test_a_kept_picture_with_a_text(self, client, assets):
        key = post(client, {"image": picture("green")})["example"]
        answer = post(client, {"example": key, "text": "red thing", "fields": ["visual"]})
        assert answer["example"] == key
        assert answer["count"] == 3

    def test_several_pictures_with_plus_and_minus(self, client, assets):
        body = {"image": [picture("green"), picture("red")], "avoid_image": [picture("blue")]}
        answer = post(client, body)
        assert len(answer["examples"]) == 2
        assert answer["example"] == answer["examples"][0]
        assert get(client, path=answer["address"])["results"] == answer["results"]
        query = parse_qs(urlsplit(answer["address"]).query)
        assert (len(query["example"]), len(query["avoid_example"])) == (2, 1)
        more = post(client, {"example": answer["example"], "avoid_example": answer["examples"][1]})
        assert titles(more)[0] == "green thing"

    def test_a_part_of_a_picture(self, client, assets):
        both = Image.new("RGB", (200, 100), "red")
        both.paste("green", (100, 0, 200, 100))
        data = BytesIO()
        both.save(data, "PNG")
        whole = post(client, {"image": SimpleUploadedFile("both.png", data.getvalue())})
        part = post(client, {"example": whole["example"], "crop": [0.5, 0, 1, 1]})
        assert part["example"] != whole["example"]
        assert titles(part)[0] == "green thing"
        form = {"image": SimpleUploadedFile("both.png", data.getvalue()), "crop": "0,0,0.5,1"}
        assert titles(post(client, form))[0] == "red thing"

    @pytest.mark.parametrize("crop", [[0, 0, 1], [0.5, 0, 0.5, 1], [0, 0, 2, 1], "a", [0, 0, 1, {}]])
    def test_parts_that_are_none(self, client, assets, crop):
        key = post(client, {"image": picture("red")})["example"]
        assert list(post(client, {"example": key, "crop": crop}, 400)) == ["crop"]

    def test_a_part_of_several_is_none(self, client, assets):
        assert list(post(client, {"text": "red", "crop": [0, 0, 1, 1]}, 400)) == ["crop"]

    @pytest.mark.parametrize(
        ("data", "status"),
        [(b"text", 415), (b"", 400), (b"\x89PNG\r\n\x1a\n broken", 400)],
    )
    def test_bad_pictures(self, client, assets, data, status):
        post(client, {"image": SimpleUploadedFile("x.png", data)}, status)

    def test_too_large_a_picture(self, client, assets, settings):
        settings.MMSEARCH = {**settings.MMSEARCH, "MAX_PIXELS": 100}
        post(client, {"image": picture("red")}, 413)
        settings.MMSEARCH = {**settings.MMSEARCH, "MAX_BYTES": 10}
        post(client, {"image": picture("red")}, 413)

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "text"),
            ({"text": " "}, "text"),
            ({"search": "green"}, "text"),
            ({"text": {}}, "text"),
            ({"text": "a", "fields": 3}, "fields"),
            ({"text": "a", "fields": ["sight"]}, "fields"),
            ({"text": "a", "weights": []}, "weights"),
            ({"text": "a", "weights": {"words": -1}}, "weights"),
            ({"text": "a", "weights": {"words": "heavy"}}, "weights"),
            ({"text": "a", "min_closeness": 2}, "min_closeness"),
            ({"text": "a", "depth": 10**6}, "depth"),
            ({"example": "forged"}, "example"),
        ],
    )
    def test_what_is_wrong_is_named(self, client, assets, body, field):
        [(named, messages)] = post(client, body, 400).items()
        assert named == field
        assert all(isinstance(message, str) for message in messages)

    def test_bad_bodies(self, client, assets):
        for body in ("[]", "nothing", '{"text": "a\\u0000"}'):
            response = client.post("/assets/search/", body, content_type="application/json")
            assert response.status_code == 400, body
        assert client.post("/assets/search/", "x", content_type="text/plain").status_code == 415

    def test_filters_of_the_address_hold(self, client, assets):
        answer = post(client, {"text": "thing", "nearest": True}, path="/categories/red/assets/search")
        assert titles(answer) == ["red thing"]
        assert urlsplit(answer["address"]).path == "/categories/red/assets"
        assert titles(get(client, path=answer["address"])) == ["red thing"]

    def test_without_pages(self, client, assets):
        answer = post(client, {"image": picture("green")}, path="/unpaged/search/")
        assert titles(answer)[0] == "green thing"
        assert set(answer) == {"results", "example", "examples", "address"}

    @pytest.mark.parametrize(
        ("path", "listed", "version"),
        [("/v2/assets/search/", "/v2/assets/", ""), ("/in-query/search/?version=v2", "/in-query/", "version=v2")],
    )
    def test_versions(self, client, assets, path, listed, version):
        address = urlsplit(post(client, {"text": "red thing"}, path=path)["address"])
        assert address.path == listed
        assert "search=red+thing" in address.query
        assert version in address.query

    def test_the_scope_of_its_own(self, client, assets, monkeypatch):
        monkeypatch.setattr(ScopedRateThrottle, "THROTTLE_RATES", {"mmsearch": "1/hour"})
        monkeypatch.setattr(AssetViewSet, "throttle_classes", [ScopedRateThrottle])
        post(client, {"image": picture("red")})
        response = client.post("/assets/search/", {"image": picture("red")})
        assert response.status_code == 429
        assert int(response.headers["Retry-After"]) > 3000
        get(client, search="red thing")


class TestSimilar:
    def test_without_the_object(self, client, assets):
        found = titles(get(client, path=f"/assets/{assets['red'].pk}/similar/"))
        assert found
        assert "red thing" not in found

    def test_options(self, client, assets):
        path = f"/assets/{assets['red'].pk}/similar/"
        answer = get(client, path=path, fields="words", nearest="true", depth=1)
        assert answer["count"] == 1
        assert list(answer["results"][0]["match"]) == ["words"]
        assert answer["report"]["legs"] == {"words": "exact"}

    def test_it_is_the_object_alone_that_ranks(self, client, assets):
        path = f"/assets/{assets['red'].pk}/similar/"
        assert list(get(client, 400, path=path, search="green", example="x")) == ["search", "example"]

    def test_an_object_without_vectors(self, client, assets):
        new = Asset.objects.create(title="new")
        assert "no vector yet" in get(client, 409, path=f"/assets/{new.pk}/similar/")["detail"]

    def test_an_object_that_is_not_there(self, client, assets):
        get(client, 404, path="/assets/999/similar/")


class TestLike:
    """Rows of the library as examples."""

    def test_like_these_and_not_like_this(self, client, assets):
        keys = {colour: str(asset.pk) for colour, asset in assets.items()}
        answer = get(client, like=f"{keys['red']},{keys['grey']}", nearest="true")
        assert titles(answer) == ["green thing"]
        answer = get(client, like=keys["red"], unlike=keys["grey"], nearest="true")
        assert titles(answer) == ["green thing"]

    def test_in_a_body(self, client, assets):
        answer = post(client, {"like": [assets["red"].pk], "nearest": True})
        assert answer["count"] == 2
        assert urlsplit(answer["address"]).query == f"like={assets['red'].pk}&nearest=true"

    def test_filters_are_meant_for_what_is_found(self, client, assets):
        path = f"/api/assets/?category=green&like={assets['red'].pk}"
        with override_settings(ROOT_URLCONF="example_project.urls"):
            assert titles(get(client, path=path)) == ["green thing"]

    @pytest.mark.parametrize("key", ["999", "x", "1" * 30, "-1", "1.5"])
    @pytest.mark.parametrize("parameter", ["like", "unlike"])
    def test_rows_that_are_not_there(self, client, assets, parameter, key):
        assert parameter in get(client, 400, search="red", **{parameter: key})

    def test_hidden_rows_cannot_ask(self, client, assets):
        for parameter in ("like", "unlike"):
            answer = get(client, 400, search="red", **{parameter: assets["blue"].pk})
            assert "not for you to see" in answer[parameter][0]

    def test_rows_without_vectors(self, client, assets):
        new = Asset.objects.create(title="new")
        assert "no vector yet" in get(client, 409, like=new.pk)["detail"]


class TestHiddenRows:
    def test_are_never_found_counted_or_similar(self, client, assets):
        key = post(client, {"image": picture("blue")})["example"]
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
        key = post(client, {"image": picture("red")})["example"]
        Example.objects.update(expires_at="2020-01-01T00:00Z")
        assert "kept no longer" in get(client, 400, example=key)["example"][0]

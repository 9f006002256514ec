import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework.test import APIClient

from example_project.library.models import Asset, Tag
from tests.colours import encoded, index

pytestmark = pytest.mark.django_db
URL = "/api/assets/"
FIELDS = ("visual", "words")
WAITING = {"status": "pending", "message": ""}


@pytest.fixture
def client(settings, tmp_path, admin_user):
    settings.MEDIA_ROOT = tmp_path
    client = APIClient()
    client.force_authenticate(admin_user)
    return client


def upload(client, name, data):
    return client.post(URL, {"title": name, "category": "colours", "file": SimpleUploadedFile(name, data)})


def test_an_uploaded_asset_is_waiting_then_indexed_then_found(client):
    made = upload(client, "red.png", encoded("red"))
    assert made.status_code == 201, made.content
    assert (made.json()["kind"], made.json()["indexing"]) == ("image", dict.fromkeys(FIELDS, WAITING))
    index()
    address = f"{URL}{made.json()['id']}/"
    assert client.get(address).json()["indexing"] == dict.fromkeys(FIELDS, {**WAITING, "status": "ready"})
    assert client.get(URL, {"search": "red.png", "category": "colours"}).json()["results"][0]["title"] == "red.png"
    assert client.get(URL, {"search": "red.png", "category": "other"}).json()["count"] == 0


def test_why_an_asset_failed_is_said(client):
    made = upload(client, "broken.png", b"\x89PNG\r\n\x1a\n broken").json()
    index()
    visual = client.get(f"{URL}{made['id']}/").json()["indexing"]["visual"]
    assert visual["status"] == "failed"
    assert "is damaged or cut short" in visual["message"]


def test_visitors_may_search_and_not_upload(client):
    client.force_authenticate(None)
    assert client.get(URL, {"search": "red"}).status_code == 200
    assert client.post(f"{URL}search/", {"image": SimpleUploadedFile("red.png", encoded("red"))}).status_code == 200
    assert upload(client, "red.png", encoded("red")).status_code == 403


@pytest.mark.parametrize("filters", [{"kind": "bogus"}, {"category": "a\0"}, {"licence": "\0"}])
def test_a_filter_that_cannot_be_is_named(client, filters):
    response = client.get(URL, filters)
    assert response.status_code == 400
    assert list(response.json()) == list(filters)


def test_filters_hold_for_what_is_similar(client):
    made = upload(client, "red.png", encoded("red")).json()
    Asset.objects.bulk_create([Asset(title="blue", category="colours"), Asset(title="grey", category="other")])
    index()
    found = client.get(f"{URL}{made['id']}/similar/", {"category": "colours"}).json()
    assert [row["title"] for row in found["results"]] == ["blue"]


def test_a_title_is_needed(client):
    assert client.post(URL, {}).json() == {"title": ["This field is required."]}


def test_filters_by_many_tags_neither_lose_nor_duplicate(client):
    assets = Asset.objects.bulk_create([Asset(title=title) for title in ("red", "green", "blue")])
    index()
    tags = Tag.objects.bulk_create([Tag(name="warm"), Tag(name="loud")])
    for asset in assets[:2]:
        asset.tags.set(tags)
    answer = client.get(URL, {"search": "red", "nearest": "true", "tags": [tag.pk for tag in tags]}).json()
    assert answer["count"] == 2
    assert [row["title"] for row in answer["results"]] == ["red", "green"]

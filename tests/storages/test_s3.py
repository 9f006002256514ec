"""docs/storages.md, with its sample, django-storages and boto3 against a server."""

import re
import runpy
from collections import Counter
from pathlib import Path

import pytest
from botocore.config import Config
from django.core.files.base import ContentFile

from example_project.library.models import Asset
from mmsearch_django.fields import embedding_fields
from mmsearch_django.indexing.files import check_files
from mmsearch_django.indexing.targets import target
from mmsearch_django.models import State
from tests import colours
from tests.indexing.conftest import embed_all, state_of
from tests.storages.bucket import serving

SAMPLE = Path(__file__).parents[2] / "docs/samples/storages.py"
pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def server():
    with serving("media-of-mine") as bucket:
        yield bucket


@pytest.fixture
def bucket(server, settings, tmp_path):
    settings.STORAGES = runpy.run_path(SAMPLE)["STORAGES"]
    settings.AWS_S3_ACCESS_KEY_ID, settings.AWS_S3_SECRET_ACCESS_KEY = "me", "secret"
    settings.AWS_S3_ENDPOINT_URL = server.address
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": tmp_path}}
    yield server
    server.faults.clear()


@pytest.fixture
def visual(bucket):
    return target(embedding_fields(Asset)["visual"])


@pytest.fixture
def assets(visual):
    return colours.make("red", "green", "blue")


def nearest(colour):
    return Asset.objects.search(image=colours.encoded(colour), fields=["visual"])[0].title


def test_a_library_without_paths(assets, bucket):
    with pytest.raises(NotImplementedError):
        assets["red"].file.path  # noqa: B018
    assert [nearest(colour) for colour in assets] == [asset.title for asset in assets.values()]
    assert ("GET", f"/media-of-mine/{assets['red'].file.name}") in bucket.requests


def test_thumbnails_in_the_admin(assets, admin_client):
    page = admin_client.get("/admin/library/asset/").text
    addresses = re.findall(r'mmsearch-picture" src="([^"]*)"', page)
    assert len(addresses) == 3
    for address in addresses:
        assert admin_client.get(address).headers["Content-Type"] == "image/webp"


def test_a_thumbnail_of_a_file_that_does_not_come(assets, bucket, admin_client):
    bucket.faults["/red"] = 503
    red = assets["red"]
    answer = admin_client.get(f"/admin/library/asset/mmsearch-thumbnail/{red.pk}/{red.thumbnail_version}/")
    assert answer.url.endswith("no-picture.svg")


def test_a_replaced_file(assets, visual):
    red = assets["red"]
    before = red.file.name
    red.file.save("red.png", ContentFile(colours.encoded("yellow")))
    assert red.file.name != before
    assert embed_all(visual) == {"ready": 1}
    assert nearest("yellow") == red.title


def test_a_file_overwritten_under_its_name_is_noticed_when_files_are_checked(assets, visual):
    red = assets["red"]
    red.file.storage.delete(red.file.name)
    assert red.file.storage.save(red.file.name, ContentFile(colours.encoded("yellow"))) == red.file.name
    red.save()
    assert embed_all(visual) == {}
    assert sum(check_files(visual), start=Counter()) == {"same": 2, "changed": 1}
    assert embed_all(visual) == {"ready": 1}
    assert nearest("yellow") == red.title


def add(name):
    """An asset with a file that will be asked for, between two sound ones."""
    before, asset, after = (Asset(title=title) for title in ("before", "asked for", "after"))
    before.file.save("before.png", ContentFile(colours.encoded("red")))
    asset.file.save(name, ContentFile(colours.encoded("green")))
    after.file.save("after.png", ContentFile(colours.encoded("blue")))
    return asset


def test_a_missing_object(visual):
    asset = add("missing.png")
    asset.file.storage.delete(asset.file.name)
    assert embed_all(visual) == {"ready": 2, "failed": 1}
    state = state_of(visual, asset)
    assert state.error_class == "MissingFile"
    assert state.message == f"The storage has no file '{asset.file.name}'. Upload it again, or clear the field."


def test_an_object_that_may_not_be_read(visual, bucket):
    asset = add("secret.png")
    bucket.faults["/secret"] = 403
    assert embed_all(visual) == {"ready": 2, "failed": 1}
    assert state_of(visual, asset).error_class == "AccessDenied"
    assert "Forbidden" in state_of(visual, asset).message


@pytest.mark.parametrize(
    ("fault", "said"),
    [(503, "503"), (429, "429"), ("half", "RetriesExceededError"), ("stall", "ReadTimeoutError")],
)
def test_what_may_pass_is_tried_again(visual, bucket, settings, fault, said):
    options = settings.STORAGES["default"]["OPTIONS"]
    hurried = Config(read_timeout=3, retries={"total_max_attempts": 1})
    options["client_config"] = options["client_config"].merge(hurried)
    asset = add("late.png")
    bucket.faults["/late"] = fault
    assert embed_all(visual) == {"ready": 2, "pending": 1}
    state = state_of(visual, asset)
    assert state.error_class == "StorageUnavailable"
    assert said in state.message
    assert state.message.endswith("It will be tried again.")
    bucket.faults.clear()
    State.objects.update(not_before=None)
    assert embed_all(visual) == {"ready": 1}


def test_a_film_is_not_fetched_to_be_skipped(visual, bucket, settings):
    settings.MMSEARCH = {**settings.MMSEARCH, "MAX_BYTES": 1000}
    film = Asset(title="film")
    film.file.save("film.mp4", ContentFile(bytes(5000)))
    bucket.requests.clear()
    assert embed_all(visual) == {"skipped": 1}
    assert {method for method, _ in bucket.requests} == {"HEAD"}

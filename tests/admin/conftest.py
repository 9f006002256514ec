import pytest

from mmsearch_django.models import Space
from tests import colours

URL = "/admin/library/asset/"


@pytest.fixture(autouse=True)
def _media(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": tmp_path}}


@pytest.fixture
def assets(db):
    return colours.make("red", "green", "blue")


def get(client, status=200, **parameters):
    response = client.get(URL, parameters)
    assert response.status_code == status
    return response


def titles(response):
    return [asset.title for asset in response.context["cl"].result_list]


def distant():
    """Nothing but the very same is close enough."""
    Space.objects.update(floors={"text": {"zero": 0, "floor": 0.99, "one": 1}})

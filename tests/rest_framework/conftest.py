import pytest
from rest_framework.test import APIClient

from tests import colours


@pytest.fixture(autouse=True)
def _site(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path


@pytest.fixture
def assets(db):
    return colours.make("red", "green", "blue", "grey")


@pytest.fixture
def client():
    return APIClient()


def get(client, status=200, path="/assets/", **parameters):
    response = client.get(path, parameters)
    assert response.status_code == status, response.content
    return response.json()


def titles(answer):
    return [row["title"] for row in answer["results"]]

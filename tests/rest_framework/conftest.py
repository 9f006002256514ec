from io import BytesIO

import pytest
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image
from rest_framework.test import APIClient

from example_project.library.models import Asset
from mmsearch_django.fields import embedding_fields
from mmsearch_django.indexing.targets import target
from tests.indexing.conftest import embed_all


@pytest.fixture(autouse=True)
def _site(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path


def encoded(colour):
    data = BytesIO()
    Image.new("RGB", (64, 48), colour).save(data, "PNG")
    return data.getvalue()


def picture(colour, name="mine.png"):
    return SimpleUploadedFile(name, encoded(colour), "image/png")


def index():
    for field in embedding_fields(Asset).values():
        embed_all(target(field))


@pytest.fixture
def assets(db):
    made = [
        Asset(title=f"{colour} thing", kind="image", category=colour) for colour in ("red", "green", "blue", "grey")
    ]
    for asset in made:
        asset.file.save(f"{asset.category}.png", ContentFile(encoded(asset.category)))
    index()
    return {asset.category: asset for asset in made}


@pytest.fixture
def client():
    return APIClient()


def get(client, status=200, path="/assets/", **parameters):
    response = client.get(path, parameters)
    assert response.status_code == status, response.content
    return response.json()


def titles(answer):
    return [row["title"] for row in answer["results"]]

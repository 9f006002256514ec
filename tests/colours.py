"""A library of plainly coloured pictures, which the dummy embedder tells apart."""

from io import BytesIO

from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image

from example_project.library.models import Asset
from mmsearch_django.fields import embedding_fields
from mmsearch_django.indexing.targets import target
from tests.indexing.conftest import embed_all


def encoded(colour):
    data = BytesIO()
    Image.new("RGB", (64, 48), colour).save(data, "PNG")
    return data.getvalue()


def picture(colour, name="mine.png"):
    """As a browser uploads it."""
    return SimpleUploadedFile(name, encoded(colour), "image/png")


def make(*colours):
    """An indexed asset for each, by colour."""
    made = {colour: Asset(title=f"{colour} thing", kind="image", category=colour) for colour in colours}
    for colour, asset in made.items():
        asset.file.save(f"{colour}.png", ContentFile(encoded(colour)))
    index()
    return made


def index():
    for field in embedding_fields(Asset).values():
        embed_all(target(field))

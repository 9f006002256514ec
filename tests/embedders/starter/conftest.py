import csv
from pathlib import Path

import pytest

from mmsearch_django.embedders.starter import StarterEmbedder
from mmsearch_django.media.images import decode

DEMO_MEDIA = Path(__file__).parents[3] / "example_project" / "demo_media"


@pytest.fixture(scope="package")
def starter():
    return StarterEmbedder("starter")


@pytest.fixture(scope="package")
def rows():
    """The demo library."""
    with (DEMO_MEDIA / "metadata.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="package")
def vectors(starter, rows):
    """Of the demo library's pictures, in the order of its rows."""
    return starter.embed_images([decode((DEMO_MEDIA / row["file"]).read_bytes()) for row in rows])

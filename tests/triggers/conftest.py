import pytest

from mmsearch_django.models import Mark
from tests.models import Asset


@pytest.fixture
def unmarked(db):
    Mark.objects.all().delete()


@pytest.fixture
def assets(db):
    """Three assets, nothing marked."""
    found = Asset.objects.bulk_create([Asset(title=title) for title in "abc"])
    Mark.objects.all().delete()
    return found

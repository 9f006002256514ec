import pytest

from mmsearch_django.exceptions import (
    ConfigurationError,
)
from mmsearch_django.indexing.targets import target
from mmsearch_django.models import Space

pytestmark = pytest.mark.django_db


def test_a_field_without_space_says_what_to_run(words):
    Space.objects.all().delete()
    with pytest.raises(ConfigurationError, match="mmsearch_triggers --database default"):
        target(words.field)

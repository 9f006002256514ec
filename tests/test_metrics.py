import sys

import pytest
from prometheus_client import CollectorRegistry

from mmsearch_django import metrics
from mmsearch_django.exceptions import ConfigurationError
from mmsearch_django.fields import embedding_fields
from mmsearch_django.indexing import sweep
from mmsearch_django.indexing.targets import target
from tests.indexing.conftest import embed_all, make
from tests.models import Asset

pytestmark = pytest.mark.django_db


@pytest.fixture
def words(db):
    return target(embedding_fields(Asset)["words"])


def test_a_registry_asks_anew_at_each_scrape(words, django_assert_num_queries):
    registry = CollectorRegistry()
    with django_assert_num_queries(0):
        metrics.register(registry)

    def value(name, **labels):
        return registry.get_sample_value(name, {"model": "tests.Asset", "field": "words", **labels})

    make("a", "b")
    assert value("mmsearch_assets", status="pending") == 2
    assert value("mmsearch_seconds_left") is None
    assert value("mmsearch_swept_timestamp_seconds") is None
    embed_all(words)
    sweep.sweep_slice(words)
    assert (value("mmsearch_assets", status="pending"), value("mmsearch_assets", status="ready")) == (0, 2)
    assert value("mmsearch_assets_per_minute") == 2
    assert value("mmsearch_swept_timestamp_seconds") > 1.7e9


def test_without_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ConfigurationError, match=r"mmsearch-django\[prometheus\]"):
        metrics.exposition()

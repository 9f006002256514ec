"""What the mixin adds to a queryset, besides the search itself."""

import pytest
from django.db import models

from mmsearch_django.queryset import SearchableModel, SearchManager, SearchQuerySet, SearchQuerySetMixin, report
from mmsearch_django.signals import marked
from tests.models import Asset, Tag


@pytest.fixture
def heard():
    models_heard = []

    def listen(*, sender, using, **kwargs):
        models_heard.append((sender, using))

    marked.connect(listen)
    yield models_heard
    marked.disconnect(listen)


def test_bulk_writes_say_that_they_may_have_marked(db, heard):
    assets = Asset.objects.bulk_create([Asset(title="a"), Asset(title="b")])
    assert heard == [(Asset, "default")]
    assert Asset.objects.update(caption="c") == 2
    assert len(heard) == 2
    Asset.objects.bulk_update(assets, ["title"])
    assert len(heard) > 2


def test_the_manager_is_that_of_the_queryset():
    assert isinstance(Asset.objects.all(), SearchQuerySet)
    assert isinstance(SearchableModel._meta.managers[0], SearchManager)


def test_a_queryset_of_ones_own():
    class OwnQuerySet(SearchQuerySetMixin, models.QuerySet):
        def short(self):
            return self.filter(title__length__lt=5)

    manager = models.Manager.from_queryset(OwnQuerySet)()
    assert callable(manager.search)
    assert callable(manager.similar_to)
    assert callable(manager.short)


def test_a_result_is_of_the_same_class_and_any_queryset_has_a_report(db):
    queryset = Asset.objects.search("red")
    assert type(queryset) is type(Asset.objects.all())
    assert report(queryset).candidates == 0
    assert report(Tag.objects.all()) is None


def test_templates_cannot_call_what_writes():
    assert Asset.objects.all().update.alters_data
    assert Asset.objects.all().bulk_create.alters_data

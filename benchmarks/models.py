from django.db import models

from benchmarks.photographs import Photographs
from mmsearch_django.fields import EmbeddingField
from mmsearch_django.queryset import SearchManager
from mmsearch_django.sources import ImageSource, TextSource


class Item(models.Model):
    """A row to be found by a vector, and what filters ask."""

    title = models.CharField(max_length=100)
    shuffled = models.IntegerField(db_index=True)
    """A random permutation: below a bound are rows that have nothing to do with the query."""
    cluster = models.IntegerField(db_index=True)

    look = EmbeddingField(TextSource("title"))

    objects = SearchManager()

    class Meta:
        app_label = "benchmarks"

    def __str__(self) -> str:
        return self.title


class Media(models.Model):
    """About what a picture's row holds in a media library."""

    file = models.FileField(storage=Photographs())
    title = models.CharField(max_length=200)
    caption = models.TextField(blank=True)
    creator = models.CharField(max_length=100, blank=True)
    licence = models.CharField(max_length=50, blank=True, db_index=True)
    source = models.URLField(blank=True)
    country = models.CharField(max_length=2, blank=True)
    place = models.CharField(max_length=100, blank=True)
    camera = models.CharField(max_length=100, blank=True)
    width = models.IntegerField(default=4000)
    height = models.IntegerField(default=3000)
    size = models.BigIntegerField(default=3_000_000)
    rating = models.IntegerField(default=0, db_index=True)
    latitude = models.FloatField(null=True)
    longitude = models.FloatField(null=True)
    published = models.BooleanField(default=True)
    details = models.JSONField(default=dict)
    taken_at = models.DateTimeField(null=True, db_index=True)
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.title


class Photo(Media):
    """Searched by its file."""

    look = EmbeddingField(ImageSource("file"), embedder="starter")

    class Meta:
        app_label = "benchmarks"


class PlainPhoto(Media):
    """The same table without search."""

    class Meta:
        app_label = "benchmarks"

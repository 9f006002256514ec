from django.db import models

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


class Picture(models.Model):
    file = models.FileField()

    look = EmbeddingField(ImageSource("file"), embedder="pictures")

    objects = SearchManager()

    class Meta:
        app_label = "benchmarks"

    def __str__(self) -> str:
        return str(self.file)

from django.db import models
from mmsearch_django.fields import EmbeddingField
from mmsearch_django.queryset import SearchManager
from mmsearch_django.sources import ImageSource, TextSource


class Asset(models.Model):
    file = models.FileField(upload_to="assets/")
    title = models.CharField(max_length=200)
    caption = models.TextField(blank=True)

    visual = EmbeddingField(ImageSource("file"))
    words = EmbeddingField(TextSource("title", "caption"))

    objects = SearchManager()

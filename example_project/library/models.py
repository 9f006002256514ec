from django.db import models
from django.db.models.functions import Now
from django.utils import timezone

from mmsearch_django.fields import EmbeddingField
from mmsearch_django.media import thumbnails
from mmsearch_django.queryset import SearchManager
from mmsearch_django.sources import ImageSource, TextSource


class Collection(models.Model):
    name = models.CharField(max_length=100, unique=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Tag(models.Model):
    name = models.CharField(max_length=100, unique=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Asset(models.Model):
    """A file with what is known of it. All but the title may be left out, by raw SQL too."""

    class Kind(models.TextChoices):
        IMAGE = "image"
        VIDEO = "video"
        AUDIO = "audio"
        DOCUMENT = "document"
        OTHER = "other"

    file = models.FileField(upload_to="assets/%Y/%m", max_length=500, blank=True, default="", db_default="")
    title = models.CharField(max_length=200)
    caption = models.TextField(blank=True, default="", db_default="")
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.OTHER, db_default=Kind.OTHER)
    category = models.CharField(max_length=100, blank=True, default="", db_default="", db_index=True)
    licence = models.CharField(max_length=200, blank=True, default="", db_default="")
    creator = models.CharField(max_length=200, blank=True, default="", db_default="")
    taken_on = models.DateField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, db_default=Now(), editable=False, db_index=True)
    collections = models.ManyToManyField(Collection, blank=True, related_name="assets")
    tags = models.ManyToManyField(Tag, blank=True, related_name="assets")

    visual = EmbeddingField(ImageSource("file"))
    words = EmbeddingField(TextSource("title", "caption"))

    objects = SearchManager()

    def __str__(self) -> str:
        return self.title

    @property
    def thumbnail_version(self) -> str:
        """Changes with the file, so that browsers may keep a thumbnail for ever."""
        return thumbnails.version(self.file)

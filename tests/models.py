"""Models of a small site, one for each way of declaring."""

import uuid

from django.db import models

from mmsearch_django.fields import EmbeddingField, searchable
from mmsearch_django.queryset import SearchManager
from mmsearch_django.sources import ImageSource, TextSource


class Team(models.Model):
    name = models.CharField(max_length=100)


class Tag(models.Model):
    name = models.CharField(max_length=100)


class Asset(models.Model):
    file = models.FileField(upload_to="assets/", blank=True, default="", db_default="")
    title = models.CharField(max_length=200, default="", db_default="")
    caption = models.TextField(blank=True, default="", db_default="")
    kind = models.CharField(max_length=20, default="image", db_default="image")
    number = models.IntegerField(default=0, db_default=0)
    team = models.ForeignKey(Team, models.CASCADE, null=True)
    tags = models.ManyToManyField(Tag)

    visual = EmbeddingField(ImageSource("file"))
    words = EmbeddingField(TextSource("title", "caption"))

    objects = SearchManager()

    def __str__(self):
        return self.title


class Captioned(models.Model):
    """An abstract base that declares a field."""

    caption = models.TextField()
    words = EmbeddingField(TextSource("caption"))

    class Meta:
        abstract = True


class Clip(Captioned):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)


class Quiet(Captioned):
    """Inherits the base and wants no search."""

    words = None


class LongClip(Clip):
    """A multi-table child, searched by its parent's vectors."""

    minutes = models.IntegerField(default=0)


class AssetProxy(Asset):
    class Meta:
        proxy = True


class Photo(models.Model):
    file = models.FileField(blank=True)
    licence = models.CharField(max_length=20, blank=True)


class Story(models.Model):
    """Its fields read what it is related to, one way and another."""

    title = models.CharField(max_length=200)
    team = models.ForeignKey(Team, models.SET_NULL, null=True)
    parent = models.ForeignKey("self", models.SET_NULL, null=True)
    tags = models.ManyToManyField(Tag)
    cover = models.ForeignKey(Photo, models.SET_NULL, null=True)

    words = EmbeddingField(TextSource("title", "team__name", "parent__title", "tags__name", "notes__text"))
    look = EmbeddingField(ImageSource("cover__file"))


class Note(models.Model):
    story = models.ForeignKey(Story, models.CASCADE, related_name="notes")
    text = models.TextField()
    read = models.BooleanField(default=False)


class Product(models.Model):
    """Its second field is to replace the first, by an embedder of other dimensions."""

    name = models.CharField(max_length=100)

    words = EmbeddingField(TextSource("name"))
    words2 = EmbeddingField(TextSource("name"), embedder="next", replaces="words")

    objects = SearchManager()


class Foreign(models.Model):
    """Stands for a model of another app, which cannot be changed."""

    name = models.CharField(max_length=100, primary_key=True)


searchable(Foreign, app="tests", look=EmbeddingField(TextSource("name")))

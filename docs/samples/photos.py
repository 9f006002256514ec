import uuid

from django.db import models

from mmsearch_django.fields import EmbeddingField
from mmsearch_django.queryset import SearchQuerySetMixin
from mmsearch_django.sources import ImageSource, TextSource


class PhotoQuerySet(SearchQuerySetMixin, models.QuerySet):
    def of(self, photographer):
        return self.filter(photographer=photographer)


class AliveManager(models.Manager.from_queryset(PhotoQuerySet)):
    def get_queryset(self):
        return super().get_queryset().filter(deleted_at=None)


class Photo(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    file = models.FileField(upload_to="photos/", blank=True)
    title = models.CharField(max_length=200)
    photographer = models.CharField(max_length=200)
    deleted_at = models.DateTimeField(null=True)

    visual = EmbeddingField(ImageSource("file"))
    words = EmbeddingField(TextSource("title"))

    alive = AliveManager()
    objects = PhotoQuerySet.as_manager()

    class Meta:
        base_manager_name = "alive"

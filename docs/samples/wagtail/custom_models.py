from django.db import models
from mmsearch_django.fields import EmbeddingField
from mmsearch_django.sources import ImageSource, TextSource
from wagtail.images.models import AbstractImage, AbstractRendition, Image


class Picture(AbstractImage):
    credit = models.CharField(max_length=200, blank=True)
    admin_form_fields = (*Image.admin_form_fields, "credit")

    look = EmbeddingField(ImageSource("file"))
    words = EmbeddingField(TextSource("title", "description", "credit"))


class PictureRendition(AbstractRendition):
    image = models.ForeignKey(Picture, models.CASCADE, related_name="renditions")

    class Meta:
        unique_together = [("image", "filter_spec", "focal_point_key")]

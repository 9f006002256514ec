from mmsearch_django.fields import EmbeddingField, searchable
from mmsearch_django.sources import ImageSource, TextSource
from wagtail.images.models import Image

searchable(
    Image,
    app="library",
    look=EmbeddingField(ImageSource("file")),
    words=EmbeddingField(TextSource("title", "description")),
)

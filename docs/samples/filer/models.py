from filer.models import Image
from mmsearch_django.fields import EmbeddingField, searchable
from mmsearch_django.sources import ImageSource, TextSource

searchable(
    Image,
    app="library",
    look=EmbeddingField(ImageSource("file")),
    words=EmbeddingField(TextSource("name", "default_caption")),
)

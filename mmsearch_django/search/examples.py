"""Pictures that someone searches by, kept for a while so that an address can carry them.

The picture itself is not kept: its vectors are, and a thumbnail to show what was asked for. Keys are signed, so that
nobody finds other people's by counting.
"""

from datetime import timedelta
from typing import Any

from django.core.signing import BadSignature, Signer
from django.db import models, router
from django.utils import timezone

from mmsearch_django.conf import conf
from mmsearch_django.exceptions import ExampleGone, QueryError
from mmsearch_django.fields import embedding_fields
from mmsearch_django.media import thumbnails
from mmsearch_django.models import Example
from mmsearch_django.search import terms

SALT = "mmsearch.example"


def keep(model: type[models.Model], image: Any) -> Example:
    """Keep a picture (bytes, an open or uploaded file, a PIL image) to search the model by.

    Raises UnreadableImage, or QueryError if no field of the model can be searched by a picture.
    """
    [term] = terms.read(text=None, image=image)
    embedders = {field.alias: field.embedder for field in embedding_fields(model).values()}
    able = [embedder for embedder in embedders.values() if "image" in embedder.modalities]
    if not able:
        raise QueryError(f"No field of {model._meta.label} can be searched by a picture.", "image")
    vectors = {embedder.signature.short: term.embed(embedder).tolist() for embedder in able}
    rows = Example.objects.using(router.db_for_write(Example))
    example = rows.filter(digest=term.digest).first() or Example(digest=term.digest)
    example.vectors = {**example.vectors, **vectors}
    example.thumbnail = thumbnails.encoded(term.picture)
    example.expires_at = timezone.now() + timedelta(seconds=conf.EXAMPLE_SECONDS)
    example.save()
    return example


def key_of(example: Example) -> str:
    """What an address carries."""
    return Signer(salt=SALT).sign(str(example.pk))


def find(key: str) -> Example:
    """The example of a key. Raises ExampleGone if there is none, or none any more."""
    try:
        pk = int(Signer(salt=SALT).unsign(key))
    except (BadSignature, ValueError):
        raise ExampleGone("This is no key of a picture to search by. Choose the picture again.") from None
    example = Example.objects.filter(pk=pk, expires_at__gt=timezone.now()).first()
    if example is None:
        raise ExampleGone("The picture to search by is kept no longer. Choose it again.")
    return example

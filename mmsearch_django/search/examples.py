"""Pictures that someone searches by, kept for a while so that an address can carry them.

What is kept are its vectors and the picture made small, to show what was asked for and to search by a part of it. Keys
are signed, so that nobody finds other people's by counting.
"""

from datetime import timedelta
from typing import Any

from django.core.signing import BadSignature, Signer
from django.db import models, router
from django.utils import timezone
from PIL.Image import Image

from mmsearch_django.conf import conf
from mmsearch_django.exceptions import EmbedderError, ExampleGone, QueryError
from mmsearch_django.fields import embedding_fields
from mmsearch_django.media import thumbnails
from mmsearch_django.models import Example
from mmsearch_django.search import terms

SALT = "mmsearch.example"
SIDE = 768
"""Pixels that the longer side of a kept picture has at most: more than embedders look at."""
SMALLEST = 8
Box = tuple[float, float, float, float]


def keep(model: type[models.Model], image: Any, crop: Box | None = None) -> Example:
    """Keep a picture (bytes, an open or uploaded file, a PIL image), or a part of one, to search the model by.

    ``crop`` is left, top, right and bottom as shares (0 to 1) of width and height; of an Example, too. Raises
    UnreadableImage, or QueryError if no field of the model can be searched by a picture, or nothing is left of it.
    """
    if not any("image" in field.embedder.modalities for field in embedding_fields(model).values()):
        raise QueryError(f"No field of {model._meta.label} can be searched by a picture.", "image")
    if isinstance(image, Example):
        if not crop:
            return image
        image = bytes(image.picture)
    term = terms.image(image)
    if crop:
        term = terms.image(cropped(term.picture, crop))
    vectors = _vectors(model, term)
    rows = Example.objects.using(router.db_for_write(Example))
    example = rows.filter(digest=term.digest).first() or Example(digest=term.digest)
    example.vectors = {**example.vectors, **vectors}
    example.picture = thumbnails.encoded(term.picture, SIDE)
    example.expires_at = timezone.now() + timedelta(seconds=conf.EXAMPLE_SECONDS)
    example.save()
    return example


def _vectors(model: type[models.Model], term: terms.Term) -> dict[str, list[float]]:
    """By signature; replacements too, since one may serve before the example expires."""
    vectors: dict[str, list[float]] = {}
    for field in embedding_fields(model).values():
        if "image" not in field.embedder.modalities or field.embedder.signature.short in vectors:
            continue
        try:
            vectors[field.embedder.signature.short] = term.embed(field.embedder).tolist()
        except EmbedderError:
            if not field.replaces:  # A model on trial must not keep the one that serves from doing so.
                raise
    return vectors


def cropped(picture: Image, box: Box) -> Image:
    """The part of a picture within a box of shares. Raises QueryError for a box that is none or too small."""
    left, top, right, bottom = box
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise QueryError(
            f"crop takes left < right and top < bottom, from 0 to 1; not {', '.join(map(str, box))}.", "crop"
        )
    width, height = picture.size
    part = (round(left * width), round(top * height), round(right * width), round(bottom * height))
    if part[2] - part[0] < SMALLEST or part[3] - part[1] < SMALLEST:
        raise QueryError(f"crop leaves less than {SMALLEST} pixels of the picture. Choose a larger part.", "crop")
    return picture.crop(part)


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

"""What someone searches by: a text or a picture, embedded once and cached, or an object with vectors of its own."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from typing import Any, cast

import numpy as np
from django.core.cache import caches
from django.db import models
from PIL.Image import Image

from mmsearch_django.conf import conf
from mmsearch_django.embedders.base import Embedder, Modality, Vectors
from mmsearch_django.exceptions import AssetError, EmptyQuery, ExampleGone, QueryError, UnreadableImage
from mmsearch_django.fields import EmbeddingField
from mmsearch_django.media import images
from mmsearch_django.models import Example

MAX_TERMS = 20
"""Of a kind, in one search."""


@dataclass(frozen=True)
class Term:
    """One text or picture of a query."""

    modality: Modality
    value: str | Image | None
    """None for an example, of which only the vectors are left."""
    digest: str
    vectors: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Of an example, by signature."""

    @property
    def picture(self) -> Image:
        assert isinstance(self.value, Image)
        return self.value

    def vector(self, field: EmbeddingField) -> Vectors:
        """What asks in a field. Raises QueryError if its embedder cannot embed such a term."""
        if self.modality not in field.embedder.modalities:
            raise QueryError(f"{field.label} cannot be searched by {self.modality}: {field.alias!r} does not embed it.")
        return self.embed(field.embedder)

    def embed(self, embedder: Embedder) -> Vectors:
        """Its unit vector, shape (dimensions,), from the cache where the same was asked before."""
        if self.value is None:
            if embedder.signature.short not in self.vectors:
                raise ExampleGone("The picture to search by was kept for another embedder. Choose it again.")
            return np.asarray(self.vectors[embedder.signature.short], dtype=np.float32)
        if conf.QUERY_CACHE is None:
            return self._embed(embedder)
        key = f"mmsearch:{embedder.signature.short}:{embedder.preprocessing}:{self.modality}:{self.digest}"
        cache = caches[conf.QUERY_CACHE]
        kept = cache.get(key)
        if kept is None:
            vector = self._embed(embedder)
            cache.set(key, vector.tobytes(), conf.QUERY_CACHE_SECONDS)
            return vector
        return np.frombuffer(kept, dtype=np.float32)

    def _embed(self, embedder: Embedder) -> Vectors:
        if isinstance(self.value, str):
            [vector] = embedder.embed_texts([self.value], query=True)
        else:
            [vector] = embedder.embed_images([self.picture])
        return cast(Vectors, vector)


@dataclass(frozen=True)
class Item:
    """An object of the searched model, of which its own vectors ask."""

    pk: Any
    vectors: Mapping[str, Vectors]
    """By embedding field; without those that it has none of yet."""
    modality: None = None

    def vector(self, field: EmbeddingField) -> Vectors | None:
        return self.vectors.get(field.name)


def several(value: Any) -> list[Any]:
    """The values of an argument that takes one, a sequence, or None. Raises QueryError if they are too many."""
    values = list(value) if isinstance(value, list | tuple | set | models.QuerySet) else [value]
    if len(values) > MAX_TERMS:
        raise QueryError(f"A search takes at most {MAX_TERMS} of a kind, not {len(values)}.")
    return [each for each in values if each is not None]


def mixed(value: Any, fields: Iterable[str], model: type[models.Model], using: str | None = None) -> list[Term | Item]:
    """The terms of texts, pictures and objects of the model. Raises what ``text``, ``image`` and ``items`` do."""
    values = several(value)
    read = iter(items([each for each in values if _is_item(each)], fields, model, using))
    return [next(read) if _is_item(each) else text(each) if isinstance(each, str) else image(each) for each in values]


def _is_item(value: Any) -> bool:
    return isinstance(value, models.Model) and not isinstance(value, Example)


def items(
    objects: Sequence[models.Model], fields: Iterable[str], model: type[models.Model], using: str | None = None
) -> list[Item]:
    """The terms of objects, their vectors in these fields read by one statement. Raises QueryError for what is none."""
    for obj in objects:
        if not isinstance(obj, model._meta.concrete_model or model):
            named = type(obj)._meta.label if isinstance(obj, models.Model) else type(obj).__name__
            raise QueryError(f"{model._meta.label} cannot be searched by a {named}.", "like")
    if not objects:
        return []
    names = sorted(fields)
    rows: models.QuerySet[Any] = models.QuerySet(model).using(using).filter(pk__in=[obj.pk for obj in objects])
    found = {key: vectors for key, *vectors in rows.values_list("pk", *(f"{name}__vector" for name in names))}
    return [Item(obj.pk, _vectors(names, found.get(obj.pk, []))) for obj in objects]


def _vectors(names: Sequence[str], values: Sequence[Any]) -> dict[str, Vectors]:
    return {name: _array(value) for name, value in zip(names, values, strict=False) if value is not None}


def _array(value: Any) -> Vectors:
    # pgvector gives a list or an object of its own, depending on its version.
    return np.asarray(value.to_list() if hasattr(value, "to_list") else value, dtype=np.float64)


def text(value: str) -> Term:
    """The term of a text. Raises EmptyQuery if it is blank."""
    if not isinstance(value, str):
        raise EmptyQuery(f"A text to search by must be a string, not {type(value).__name__}.")
    words = " ".join(value.split())
    if not words:
        raise EmptyQuery("The text to search by is blank.")
    return Term("text", words, sha256(words.encode(errors="surrogatepass")).hexdigest())


def image(value: Any) -> Term:
    """The term of a picture. Raises UnreadableImage."""
    if isinstance(value, Example):
        return Term("image", None, value.digest, value.vectors)
    data, name = _bytes(value)
    try:
        decoded = images.decode(data, name=name)
    except AssetError as error:
        raise UnreadableImage(f"The picture to search by cannot be read: {error}") from error
    return Term("image", decoded, sha256(data).hexdigest())


PNG_MODES = ("1", "L", "LA", "I", "I;16", "P", "RGB", "RGBA")


def _png(image: Image) -> bytes:
    buffer = BytesIO()
    (image if image.mode in PNG_MODES else image.convert("RGB")).save(buffer, "PNG")
    return buffer.getvalue()


def _bytes(image: Any) -> tuple[bytes, str]:
    """The picture's bytes and a name for messages, from bytes, an open or Django file, or a PIL image."""
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image), "the picture"
    if isinstance(image, Image):
        return _png(image), "the picture"
    if hasattr(image, "read"):
        if hasattr(image, "seek"):
            image.seek(0)
        return image.read(conf.MAX_BYTES + 1), str(getattr(image, "name", "the picture"))
    raise UnreadableImage(
        f"image= takes bytes, an open file, an uploaded file or a PIL image, not {type(image).__name__}."
    )

"""What someone searches by: a text or a picture, embedded once and cached."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from typing import Any, cast

import numpy as np
from django.core.cache import caches
from PIL.Image import Image

from mmsearch_django.conf import conf
from mmsearch_django.embedders.base import Embedder, Modality, Vectors
from mmsearch_django.exceptions import AssetError, EmptyQuery, ExampleGone, UnreadableImage
from mmsearch_django.media import images
from mmsearch_django.models import Example


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


def read(*, text: str | None, image: Any) -> list[Term]:
    """The terms of a query. Raises EmptyQuery for a blank text, UnreadableImage for a picture that is none."""
    found = []
    if text is not None:
        found.append(_text(text))
    if image is not None:
        found.append(_image(image))
    return found


def _text(text: str) -> Term:
    if not isinstance(text, str):
        raise EmptyQuery(f"A text to search by must be a string, not {type(text).__name__}.")
    text = " ".join(text.split())
    if not text:
        raise EmptyQuery("The text to search by is blank.")
    return Term("text", text, sha256(text.encode(errors="surrogatepass")).hexdigest())


def _image(image: Any) -> Term:
    if isinstance(image, Example):
        return Term("image", None, image.digest, image.vectors)
    data, name = _bytes(image)
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

"""Small pictures of files, made once and kept in the cache."""

from hashlib import sha256
from io import BytesIO
from typing import Any

from django.core.cache import caches
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.templatetags.static import static
from django.utils.cache import patch_cache_control
from PIL.Image import Image, Resampling

from mmsearch_django.conf import conf
from mmsearch_django.exceptions import AssetError
from mmsearch_django.media import images

SIDE = 320
KEPT_SECONDS = 365 * 24 * 3600
"""For ever: the address changes with the file."""
MISSING_SECONDS = 300
"""The storage may only be away."""


def version(file: Any) -> str:
    """Changes when the field names another file, so that browsers may keep a thumbnail for ever."""
    return sha256(str(file).encode()).hexdigest()[:12]


def thumbnail(file: Any) -> bytes | None:
    """A WebP of at most 320 pixels a side of a FieldFile; None if it holds no picture that can be read."""
    cache = caches[conf.QUERY_CACHE] if conf.QUERY_CACHE else None
    key = f"mmsearch:thumbnail:{sha256(str(file).encode()).hexdigest()}"
    kept: bytes | None = cache.get(key) if cache else None
    if kept is not None or not file:
        return kept
    try:
        picture = images.read(file)
    except AssetError:
        return None
    if picture is None:
        return None
    data = encoded(picture.image)
    if cache:
        cache.set(key, data, timeout=None)
    return data


def response(file: Any, asked: str, *, private: bool) -> HttpResponse:
    """The thumbnail of a file, or a sign that there is none. Raises Http404 if the version asked for is another's."""
    if not file or version(file) != asked:
        raise Http404
    data = thumbnail(file)
    cached: dict[str, Any] = {"private": True} if private else {}
    if data is None:
        missing = HttpResponseRedirect(static("mmsearch/no-picture.svg"))
        patch_cache_control(missing, **cached, max_age=MISSING_SECONDS)
        return missing
    found = HttpResponse(data, content_type="image/webp")
    patch_cache_control(found, **cached, max_age=KEPT_SECONDS, immutable=True)
    return found


def encoded(image: Image, side: int = SIDE) -> bytes:
    """The picture as WebP, at most ``side`` pixels wide and high."""
    small = image.copy()
    small.thumbnail((side, side), Resampling.LANCZOS)
    data = BytesIO()
    small.save(data, "WEBP", quality=85)
    return data.getvalue()

"""Pictures on the page: thumbnails of assets, and what visitors search by."""

import re
from hashlib import sha256
from io import BytesIO
from typing import Any

from django.core.cache import cache
from django.core.files.uploadedfile import UploadedFile
from PIL.Image import Image, Resampling

from example_project.library.models import Asset
from mmsearch_django.exceptions import AssetError
from mmsearch_django.media import images

THUMBNAIL_SIDE = 320
KEPT_SECONDS = 24 * 3600
KEY = re.compile(r"[0-9a-f]{64}")


def thumbnail(asset: Asset) -> bytes | None:
    """A WebP of at most 320 pixels a side; None if the file is no picture that can be read."""
    key = f"thumbnail-{asset.pk}-{asset.thumbnail_version}"
    data: bytes | None = cache.get(key)
    if data is None and asset.file:
        try:
            picture = images.read(asset.file)
        except AssetError:
            return None
        if picture is not None:
            data = _encoded(picture.image, THUMBNAIL_SIDE)
            cache.set(key, data, timeout=None)
    return data


def keep(upload: "UploadedFile[Any]") -> str:
    """Keep a picture to search by for a day. Returns its key. Raises AssetError."""
    image = images.decode(upload.read(), name=upload.name or "")
    data = _encoded(image, images.LONGEST_SIDE)
    key = sha256(data).hexdigest()
    cache.set(f"picture-{key}", data, timeout=KEPT_SECONDS)
    return key


def kept(key: str) -> bytes | None:
    """The picture, a WebP; None if it is kept no longer."""
    data: bytes | None = cache.get(f"picture-{key}") if KEY.fullmatch(key) else None
    return data


def _encoded(image: Image, side: int) -> bytes:
    image.thumbnail((side, side), Resampling.LANCZOS)
    data = BytesIO()
    image.save(data, "WEBP", quality=85)
    return data.getvalue()

"""Pictures from bytes: opened within limits, and the same for every embedder."""

import mimetypes
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from PIL import Image as Pillow
from PIL import UnidentifiedImageError
from PIL.Image import Image, Resampling, Transpose

from mmsearch_django.conf import conf
from mmsearch_django.exceptions import (
    AssetError,
    CorruptFile,
    EmptyFile,
    FileTooLarge,
    StorageUnavailable,
    TooManyPixels,
    TooMuchMemory,
    UnsupportedFile,
)
from mmsearch_django.media import sandbox, storages

LONGEST_SIDE = 1024
HEADER_BYTES = 64

# Raster formats whose readers start no program and open no other file. HEIF is there when a site registers a reader.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "HEIF", "TIFF", "BMP", "JPEG2000", "PPM", "QOI")

# What Python's table of types learnt late, or not at all.
PICTURE_SUFFIXES = frozenset({".avif", ".heic", ".heif", ".jp2", ".jpx", ".jxl", ".qoi", ".webp"})

ORIENTATION_TAG = 0x0112
ORIENTATIONS = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Picture:
    """A normalised picture, and the SHA-256 of the file that it came from."""

    image: Image
    digest: bytes


def read(file: Any) -> Picture | None:
    """The picture in a FieldFile, read through its storage; None if the file is of another medium.

    Raises AssetError for a file that should be a picture and is none that can be read.
    """
    name = str(file.name)
    downloaded = _download(file.storage, name)
    if downloaded is None:
        return None
    data, size = downloaded
    try:
        return Picture(decode(data, name=name), sha256(data).digest())
    except (EmptyFile, CorruptFile, UnsupportedFile) as error:
        # The first bytes may look like a picture's by chance: some signatures are two letters long.
        if data and _names_other_medium(name):
            return None
        # Only now: storages that compress or encrypt tell the size of what they keep.
        if len(data) < size:
            raise StorageUnavailable(f"The storage gave {len(data)} of the {size} bytes of {name!r}.") from error
        raise


def digest(file: Any) -> bytes | None:
    """The SHA-256 of the file, without decoding it; None and AssetError as ``read``."""
    downloaded = _download(file.storage, str(file.name))
    return None if downloaded is None else sha256(downloaded[0]).digest()


def decode(data: bytes, *, name: str = "") -> Image:
    """An RGB picture of at most 1024 pixels a side: upright, on white, the first frame. Raises AssetError."""
    if not data:
        raise EmptyFile(f"{_quoted(name)} has no bytes. Upload it again.")
    if len(data) > conf.MAX_BYTES:
        raise _too_large(name)
    if conf.SANDBOX and sandbox.AVAILABLE:
        return sandbox.decoders.decode(data, name)
    return decode_here(data, name)


def decode_here(data: bytes, name: str) -> Image:
    """As ``decode``, in this process: under the limit of pixels, with none of time or memory."""
    try:
        with _open(data, name) as opened:
            return _normalised(opened)
    except AssetError:
        raise
    except MemoryError as error:
        raise too_much_memory(name) from error
    except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning) as error:
        raise _too_many_pixels(name, str(error)) from error
    except Exception as error:
        if "out of memory" in str(error).lower():
            raise too_much_memory(name) from error
        # Readers of hostile bytes raise anything: ValueError, SyntaxError, struct.error, zlib.error ...
        raise _damaged(name, f"{type(error).__name__}: {error}") from error


def middle(image: Image, *, times: int = 16) -> Image:
    """A picture at most so many times as long as wide, its ends cut off.

    For models that scale the shorter side and keep the middle: enlarging far ends would only cost memory.
    """
    longest = times * min(image.size)
    width, height = min(image.width, longest), min(image.height, longest)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height)) if (width, height) != image.size else image


# From the storage


def _download(storage: Any, name: str) -> tuple[bytes, int] | None:
    """All bytes of what looks like a picture, and how many the storage says there are (0 if it does not know).

    None for another medium: of that only the header is read, and of a file too large nothing, since some storages
    fetch a whole object for its first byte.
    """
    with storages.opened(storage, name) as stream:
        size = storages.size(stream)
        if size > conf.MAX_BYTES:
            _require_other_medium(name, _too_large(name))
            return None
        until = storages.deadline()
        header = storages.read(stream, HEADER_BYTES, until)
        if header and not _recognised(header) and len(header) >= min(size, HEADER_BYTES):
            _require_other_medium(name, _unsupported(name))
            return None
        return header + storages.read(stream, conf.MAX_BYTES + 1 - len(header), until), size


def _require_other_medium(name: str, error: AssetError) -> None:
    if not _names_other_medium(name):
        raise error


# Telling pictures from other files


def _formats() -> list[str]:
    Pillow.init()
    return [name for name in FORMATS if name in Pillow.OPEN]


def _recognised(header: bytes) -> bool:
    accepts = (Pillow.OPEN[name][1] for name in _formats())
    return any(accept is None or accept(header) is True for accept in accepts)


def _names_other_medium(name: str) -> bool:
    suffix = PurePosixPath(name).suffix.lower()
    kind, encoding = mimetypes.guess_type(f"file{suffix}", strict=False)
    if suffix in PICTURE_SUFFIXES or (kind or "").startswith("image/"):
        return False
    return kind is not None or encoding is not None


def _open(data: bytes, name: str) -> Image:
    try:
        opened = Pillow.open(BytesIO(data), formats=_formats())
    except UnidentifiedImageError as error:
        # Pillow's own message names a Python object.
        found = _damaged(name, "its header cannot be read") if _recognised(data[:HEADER_BYTES]) else _unsupported(name)
        raise found from error
    width, height = opened.size
    if width * height > conf.MAX_PIXELS:
        raise _too_many_pixels(name, f"{width} x {height}")
    return opened


# One form for all


def _normalised(opened: Image) -> Image:
    # JPEGs are decoded at a fraction of their size; twice the target leaves the resampling something to do.
    factor = 2 * LONGEST_SIDE / max(opened.size)
    opened.draft(None, (max(1, int(opened.width * factor)), max(1, int(opened.height * factor))))
    opened.load()
    image = _eight_bit(opened)
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Resampling.BICUBIC)
    return _on_white(_upright(image, _orientation(opened)))


def _eight_bit(image: Image) -> Image:
    """A mode that resampling understands, with transparency as a channel."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _scaled(image)
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB")


def _scaled(image: Image) -> Image:
    """Many-valued greys as eight bits: white is the format's own, or the brightest value where it has none."""
    step = max(1, max(image.size) // (2 * LONGEST_SIDE))
    values = np.nan_to_num(np.asarray(image)[::step, ::step].astype(np.float64), posinf=0, neginf=0)
    low, high = min(float(values.min()), 0.0), float(values.max())
    whites = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
    high = next((white for white in whites if high <= white), high)
    return Pillow.fromarray(((values - low) * (255 / (high - low))).astype(np.uint8))


def _orientation(opened: Image) -> int:
    try:
        return int(opened.getexif().get(ORIENTATION_TAG, 1))
    except Exception:
        # Broken notes beside a sound picture are no reason to refuse it.
        return 1


def _upright(image: Image, orientation: int) -> Image:
    turn = ORIENTATIONS.get(orientation)
    return image if turn is None else image.transpose(turn)


def _on_white(image: Image) -> Image:
    if image.mode != "RGBA":
        # A copy of its own, so that nothing refers to the file any more.
        return image.convert("RGB") if image.mode != "RGB" else image.copy()
    white = Pillow.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return white


# What is said about a file


def _quoted(name: str) -> str:
    return repr(name) if name else "The picture"


def _damaged(name: str, found: str) -> CorruptFile:
    return CorruptFile(f"{_quoted(name)} is damaged or cut short ({found}). Upload an intact copy.")


def _unsupported(name: str) -> UnsupportedFile:
    return UnsupportedFile(f"{_quoted(name)} is no picture that can be read. Convert it to JPEG, PNG or WebP.")


def too_much_memory(name: str) -> TooMuchMemory:
    return TooMuchMemory(
        f"{_quoted(name)} needs more memory than there is for one file (MMSEARCH['DECODE_MEMORY'] is "
        f"{conf.DECODE_MEMORY} bytes). {TooMuchMemory.advice}"
    )


def _too_large(name: str) -> FileTooLarge:
    return FileTooLarge(
        f"{_quoted(name)} has more than {conf.MAX_BYTES} bytes. Upload a smaller copy, or raise MMSEARCH['MAX_BYTES']."
    )


def _too_many_pixels(name: str, found: str) -> TooManyPixels:
    return TooManyPixels(
        f"{_quoted(name)} has too many pixels ({found}; MMSEARCH['MAX_PIXELS'] is {conf.MAX_PIXELS}). "
        "Upload a smaller copy."
    )

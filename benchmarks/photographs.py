"""JPEGs that cost what photographs cost: the demo pictures enlarged, with grain."""

from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from django.core.files.base import ContentFile, File
from django.core.files.storage import Storage
from PIL import Image, ImageOps

DEMO = Path(__file__).parents[1] / "example_project" / "demo_media"
SIZES = ((1632, 1224), (4000, 3000))
DIFFERENT = 6
"""Of each size; what repeats has other bytes at its end, and so is another content."""


@cache
def jpeg(number: int) -> bytes:
    """Of 2 megapixels if the number is even, of 12 if it is odd."""
    picture = Image.open(sorted(DEMO.glob("*.webp"))[number]).convert("RGB")
    pixels = np.asarray(ImageOps.fit(picture, SIZES[number % 2], Image.Resampling.BICUBIC)).astype(np.int16)
    grain = np.random.default_rng(number).integers(-6, 7, pixels.shape)
    data = BytesIO()
    Image.fromarray((pixels + grain).clip(0, 255).astype(np.uint8)).save(data, "JPEG", quality=85)
    return data.getvalue()


class Photographs(Storage):
    """A storage that makes what it is asked for: ``12.jpg``."""

    def _open(self, name: str, mode: str = "rb") -> "File[Any]":
        number = int(Path(name).stem)
        return ContentFile(jpeg(number % (2 * DIFFERENT)) + str(number).encode(), name)

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return "benchmarks.photographs.Photographs", [], {}

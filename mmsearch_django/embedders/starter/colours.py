"""What colours a picture has and where, which the classifier was trained to overlook."""

from collections.abc import Sequence

import numpy as np
from PIL.Image import Image, Resampling

from mmsearch_django.embedders.base import Vectors

NAMES = {
    "black": (20, 20, 20),
    "grey": (128, 128, 128),
    "white": (250, 250, 250),
    "red": (200, 30, 30),
    "orange": (240, 140, 30),
    "yellow": (245, 220, 50),
    "green": (60, 150, 60),
    "light blue": (130, 190, 230),
    "blue": (40, 80, 190),
    "purple": (120, 50, 150),
    "pink": (240, 150, 180),
    "brown": (120, 75, 40),
}
"""A typical shade of each, in sRGB."""
SIDE = 32
REGIONS = (
    (slice(0, 32), slice(0, 32)),  # the whole
    (slice(8, 24), slice(8, 24)),  # the middle
    (slice(12, 20), slice(12, 20)),
    (slice(0, 11), slice(0, 32)),  # the top
    (slice(21, 32), slice(0, 32)),  # the bottom
)
"""Rows and columns."""
SHARPNESS = 60.0
"""Of the choice between names: at a squared distance of 1 / 60 more a name counts 1 / e as much."""
LENGTH = len(REGIONS) * len(NAMES) + 12

# Oklab (Björn Ottosson, 2020): near colours look alike. Linear sRGB to cones, and their cube roots to L, a, b.
TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
).T
TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
).T


def describe(images: Sequence[Image]) -> Vectors:
    """Shape (n, LENGTH): for each region the share of each name; mean and spread of L, a, b of the first two."""
    return np.stack([_describe(image) for image in images]).astype(np.float32)


def _describe(image: Image) -> Vectors:
    small = image.convert("RGB").resize((SIDE, SIDE), Resampling.BOX)
    colours = oklab(np.asarray(small))
    distances = ((colours[:, :, None] - TYPICAL) ** 2).sum(axis=3)
    shares = np.exp(-SHARPNESS * (distances - distances.min(axis=2, keepdims=True)))
    shares /= shares.sum(axis=2, keepdims=True)
    named = [shares[region].mean(axis=(0, 1)) for region in REGIONS]
    spread = [part(colours[region], axis=(0, 1)) for region in REGIONS[:2] for part in (np.mean, np.std)]
    vector: Vectors = np.concatenate([*named, *spread])
    return vector


def oklab(srgb: Vectors) -> Vectors:
    """Of sRGB from 0 to 255, shape (..., 3): L from 0 to 1, a and b from about -0.3 to 0.3."""
    share = srgb / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    lab: Vectors = np.cbrt(linear @ TO_CONES) @ TO_LAB
    return lab


TYPICAL = oklab(np.array(list(NAMES.values()), dtype=np.float32))

"""What an owner wants to know of a model on this machine: is it sound, does it understand, how fast, how large."""

import csv
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL.Image import Image

from mmsearch_django.embedders.base import Vectors
from mmsearch_django.embedders.selftest import CAPTIONS, captioned_pictures
from mmsearch_django.exceptions import JudgementError, SelfTestFailed
from mmsearch_django.media.images import decode

SENSIBLE = 0.8
"""The least share of comparisons that a caption's own picture must win; chance is 0.5."""


@dataclass(frozen=True)
class Pair:
    """A picture and its caption."""

    image: Image
    caption: str


@dataclass(frozen=True)
class Understanding:
    """How captions, as queries, and their pictures agree: cosines of unit vectors."""

    own: float
    """Mean similarity to the own picture."""
    others: float
    """Mean similarity to the other pictures."""
    first: float
    """Share of captions whose own picture is the nearest."""
    won: float
    """Share of all comparisons, own picture against another, that the own one wins."""


def shipped() -> list[Pair]:
    """The pictures of the self-test."""
    return [Pair(image, caption) for image, caption in zip(captioned_pictures(), CAPTIONS.values(), strict=True)]


def read(folder: Path) -> list[Pair]:
    """Pictures of a folder and their captions, from the columns ``file`` and ``caption`` of its metadata.csv.

    Raises JudgementError for what cannot be read, AssetError for a picture that cannot.
    """
    try:
        with (folder / "metadata.csv").open(encoding="utf-8", newline="") as file:
            rows = [(row["file"], row["caption"]) for row in csv.DictReader(file)]
        return [Pair(decode((folder / name).read_bytes(), name=name), caption) for name, caption in rows if caption]
    except (OSError, KeyError, UnicodeError, csv.Error) as error:
        raise JudgementError(
            f"{folder} must have a metadata.csv with the columns file and caption, and its files: "
            f"{type(error).__name__}: {error}"
        ) from error


def understanding(queries: Vectors, pictures: Vectors) -> Understanding:
    """Of two arrays, row by row a caption and its picture; at least two rows."""
    alike = queries @ pictures.T
    own = np.diag(alike)
    others = alike[~np.eye(len(alike), dtype=bool)].reshape(len(alike), -1)
    return Understanding(
        own=float(own.mean()),
        others=float(others.mean()),
        first=float((own > others.max(axis=1)).mean()),
        won=float((own[:, None] > others).mean()),
    )


def require_understanding(found: Understanding) -> None:
    """Raise SelfTestFailed if captions hardly know their pictures."""
    if found.won < SENSIBLE:
        raise SelfTestFailed(
            f"A caption is nearer to its own picture than to another in {found.won:.0%} of all cases; at least "
            f"{SENSIBLE:.0%} are expected, 50% is chance. Are the captions in a language that the model knows?"
        )


def speed(embed: Callable[[Sequence[Any]], Vectors], inputs: Sequence[Any], seconds: float) -> float:
    """Inputs embedded in a second, measured for at least so long."""
    started, done = time.perf_counter(), 0
    while (passed := time.perf_counter() - started) < seconds or not done:
        embed(inputs)
        done += len(inputs)
    return done / passed

"""Which drawings of openclipart are never trained on: they are kept for measuring, here and by others.

These are the files that ``held_out_openclipart.txt`` lists, the drawings of the demo library, and whatever looks the
same as one of them: the same drawing under another name, or in another colour.
"""

import csv
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from scripts.starter_head.drawings import is_small, on_white

LIST = Path(__file__).with_name("held_out_openclipart.txt")
DEMO = Path(__file__).parents[2] / "example_project" / "demo_media" / "metadata.csv"
SIDE = 16
SAME = 0.9
"""Correlation of two shapes, from which on they count as the same drawing."""


def paths() -> set[str]:
    """Below ``png``, as ``animals/birds/rooster_01.png``."""
    with DEMO.open() as file:
        sources = [row["source"] for row in csv.DictReader(file)]
    found = [re.search(r"openclipart-png [^ ]+: (.+\.png)", source) for source in sources]
    return {*LIST.read_text().split(), *(match[1] for match in found if match)}


def alike(png: Path, candidates: Iterable[str]) -> set[str]:
    """Those of the candidates that are held out, or look the same as what is."""
    kept = paths()
    shapes = np.stack([shape(png / path) for path in sorted(kept) if is_small(png / path)])
    return {path for path in candidates if path in kept or (shapes @ shape(png / path)).max() > SAME}


def shape(path: Path) -> np.ndarray:
    """The grey drawing in 16 x 16, centred and of unit length: a product of two is their correlation."""
    grey = np.asarray(on_white(Image.open(path)).convert("L").resize((SIDE, SIDE)), dtype=np.float32).ravel()
    centred = grey - grey.mean()
    return centred / max(float(np.linalg.norm(centred)), 1.0)

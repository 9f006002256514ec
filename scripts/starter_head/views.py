"""What the classifier and the colour descriptor see in the drawings, computed once and kept in a file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm

from mmsearch_django.embedders.starter import colours
from mmsearch_django.embedders.starter.sessions import Classifier
from scripts.starter_head.drawings import Drawing

MAX_SIDE = 512
BATCH = 64


@dataclass(frozen=True)
class Views:
    """One row a picture: features (n, 1280), logits (n, 1000), colours (n, colours.LENGTH)."""

    features: np.ndarray
    logits: np.ndarray
    colours: np.ndarray

    def __add__(self, other: "Views") -> "Views":
        return Views(*(np.concatenate([vars(self)[name], vars(other)[name]]) for name in vars(self)))

    def __getitem__(self, rows: np.ndarray | slice) -> "Views":
        return Views(*(values[rows] for values in vars(self).values()))


View = Callable[[Image.Image, np.random.Generator], Image.Image]


def plain(picture: Image.Image, random: np.random.Generator) -> Image.Image:
    """The drawing on white."""
    return pasted(picture, Image.new("RGB", picture.size, "white"))


def placed(picture: Image.Image, random: np.random.Generator) -> Image.Image:
    """A crop of the drawing, mirrored or not, on a background of soft random colours."""
    width, height = picture.size
    share = random.uniform(0.75, 1.0, 2)
    left, top = random.uniform(0, 1, 2) * (1 - share) * (width, height)
    picture = picture.crop((round(left), round(top), *np.ceil((left, top) + share * (width, height)).astype(int)))
    picture = ImageOps.mirror(picture) if random.random() < 0.5 else picture
    patches = random.integers(0, 256, (*random.integers(1, 5, 2), 3), dtype=np.uint8)
    canvas = Image.fromarray(patches).resize([round(side * random.uniform(1.0, 1.4)) for side in picture.size])
    return pasted(picture, canvas)


def pasted(picture: Image.Image, canvas: Image.Image) -> Image.Image:
    picture = picture.convert("RGBA")
    corner = [(have - want) // 2 for have, want in zip(canvas.size, picture.size, strict=True)]
    canvas.paste(picture, tuple(corner), picture)
    return canvas


def see(drawings: Sequence[Drawing], view: View, kept: Path) -> Views:
    """The views of all drawings, from the file ``kept`` if it is there."""
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.savez(kept, **vars(_see(drawings, view, kept.stem)))
    found = Views(**np.load(kept))
    if len(found.features) != len(drawings):
        raise SystemExit(f"{kept} has {len(found.features)} views, there are {len(drawings)} drawings: remove it.")
    return found


def _see(drawings: Sequence[Drawing], view: View, label: str) -> Views:
    classifier, parts = Classifier(threads=2), []
    for start in tqdm(range(0, len(drawings), BATCH), desc=label):
        pictures = []
        for number, drawing in enumerate(drawings[start : start + BATCH], start):
            picture = Image.open(drawing.file).convert("RGBA")
            picture.thumbnail((MAX_SIDE, MAX_SIDE))
            pictures.append(view(picture, np.random.default_rng([number, *label.encode()])))
        parts.append((*classifier(pictures), colours.describe(pictures)))
    return Views(*(np.concatenate(part) for part in zip(*parts, strict=True)))

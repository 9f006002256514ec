"""How well the starter embedder finds what somebody draws: the drawings of ``drawings`` against the demo library.

    python -m benchmarks.sketches

Every drawing is made by several hands: each trembles in its own way, and draws larger or smaller and elsewhere on the
canvas. Figures are means over drawings and hands. No database is needed; vectors are compared as a search does.
"""

import argparse
import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from PIL import Image, ImageDraw, ImageOps
from tqdm import tqdm

from benchmarks.drawings import SIDE, THINGS, Thing
from benchmarks.pen import Stroke, trembling
from mmsearch_django.embedders.starter import StarterEmbedder
from mmsearch_django.evaluation.metrics import measure
from mmsearch_django.media.images import decode

DEMO = Path(__file__).parents[1] / "example_project" / "demo_media"
DRAWN = range(100, 144)
"""The numbers of the demo pictures that are drawings themselves; the others are photographs and paintings."""

CANVAS = 1200
PEN = 6
MARGIN = 0.1
"""As in the page's script: pixels, the pen's width at first, and what is left around a drawing on each side."""

STYLES = ("black lines", "coloured lines", "coloured and filled")
NAMES = ("recall@10", "MRR", "nDCG@10")
SHUFFLES = 200

Qrels = dict[str, dict[str, int]]


# Drawing


def drawn(thing: Thing, style: str, hand: int) -> Image.Image:
    """The canvas when the hand has drawn the thing on it."""
    random = np.random.default_rng([hand, *thing.__name__.encode()])
    size = random.uniform(1.2, 2.6)
    corner = random.uniform(40, CANVAS - 40 - size * SIDE, 2)
    canvas = Image.new("RGB", (CANVAS, CANVAS), "white")
    pen = ImageDraw.Draw(canvas)
    for stroke in thing():
        points = [tuple(point) for point in corner + size * trembling(stroke.points, random)]
        ink, fill = colours(stroke, style)
        if fill:
            pen.polygon(points, fill=fill)
        pen.line(points, fill=ink, width=PEN, joint="curve")
    return canvas.reduce(2)  # Pillow's lines have steps, the browser's have none.


def colours(stroke: Stroke, style: str) -> tuple[str, str | None]:
    """Of the line, and of what is within it."""
    if style == "coloured and filled":
        return stroke.colour, stroke.fill
    own = stroke.fill if stroke.fill not in (None, "white") else stroke.colour
    # Nobody draws the lines behind what is in front, so what is in front is opaque.
    return ("black" if style == "black lines" else str(own)), (stroke.fill and "white")


def cropped(canvas: Image.Image) -> Image.Image:
    """What the page's script sends: the drawing in the middle of a square."""
    left, top, right, bottom = ImageOps.invert(canvas.convert("L")).getbbox() or (0, 0, *canvas.size)
    side = round(max(right - left, bottom - top) * (1 + 2 * MARGIN))
    square = Image.new("RGB", (side, side), "white")
    square.paste(canvas.crop((left, top, right, bottom)), ((side - (right - left)) // 2, (side - (bottom - top)) // 2))
    return square


# Measuring


def names() -> list[str]:
    """The demo pictures' files in the order of their numbers, which begin with 1."""
    with (DEMO / "metadata.csv").open() as file:
        return [row["file"] for row in csv.DictReader(file)]


def library() -> list[Image.Image]:
    """The demo pictures in that order."""
    return [decode((DEMO / name).read_bytes()) for name in names()]


def qrels() -> Qrels:
    return {thing.__name__: {str(number): 1 for number in numbers} for thing, numbers in THINGS.items()}


def rankings(embedder: Any, pictures: Any, sketches: Mapping[str, Image.Image]) -> dict[str, list[str]]:
    """What each sketch finds; ``pictures`` are the library's vectors, shape (n, dimensions)."""
    floor = embedder.calibrations["image", "image"].floor
    similarities = embedder.embed_images(list(sketches.values())) @ pictures.T
    return {
        name: [str(place + 1) for place in np.argsort(-row) if row[place] >= floor]
        for name, row in zip(sketches, similarities, strict=True)
    }


def chance(size: int) -> Iterator[dict[str, list[str]]]:
    random = np.random.default_rng(0)
    for _ in range(SHUFFLES):
        yield {thing.__name__: [str(place + 1) for place in random.permutation(size)] for thing in THINGS}


def row(label: str, judged: Qrels, runs: Sequence[Mapping[str, Sequence[str]]]) -> str:
    figures = [measure(judged, run) for run in runs]
    return f"| {label} | " + " | ".join(f"{np.mean([each[name] for each in figures]):.2f}" for name in NAMES) + " |"


def table(embedder: Any, hands: int) -> Iterator[str]:
    pictures = embedder.embed_images(library())
    judged = qrels()
    drawings = {name: found for name, found in judged.items() if any(int(number) in DRAWN for number in found)}
    photographs = {name: found for name, found in judged.items() if name not in drawings}
    yield f"| | {' | '.join(NAMES)} |"
    yield "|---" * (len(NAMES) + 1) + "|"
    yield row("chance", judged, list(chance(len(pictures))))
    for style in STYLES:
        sheets = [{thing.__name__: drawn(thing, style, hand) for thing in THINGS} for hand in range(hands)]
        whole = [rankings(embedder, pictures, sheet) for sheet in tqdm(sheets, desc=style, unit="hand", leave=False)]
        square = [
            rankings(embedder, pictures, {name: cropped(canvas) for name, canvas in sheet.items()}) for sheet in sheets
        ]
        yield row(f"{style}, the whole canvas", judged, whole)
        yield row(f"{style}, cropped", judged, square)
        yield row(f"- of {len(drawings)} things that the library has a drawing of", drawings, square)
        yield row(f"- of {len(photographs)} things that it has photographs of alone", photographs, square)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hands", type=int, default=5)
    arguments = parser.parse_args()

    settings.configure()
    print("\n".join(table(StarterEmbedder("starter"), arguments.hands)))


if __name__ == "__main__":
    main()

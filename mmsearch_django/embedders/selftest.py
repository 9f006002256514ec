"""What an embedder must show before it serves.

Models have been published that gave every picture the same vector; nothing but trying finds that out.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from PIL import Image as Pillow
from PIL.Image import Image

from mmsearch_django.exceptions import EmbedderError, EmbedderUnavailable, SelfTestFailed

if TYPE_CHECKING:
    from mmsearch_django.embedders.base import Embedder, Engine, Vectors

Input = TypeVar("Input", str, Image)

PICTURES = Path(__file__).with_name("selftest_pictures")
CAPTIONS = {
    "pufferfish": "a spotted fish in blue water",
    "castle": "a castle with towers above a forest",
    "coffee": "a cup of coffee on a table",
}

# Half precision and other kernels for other batch sizes move a vector, yet never by this much.
SAME = 0.9999
NEARLY = 0.99


def selftest(embedder: "Embedder", engine: "Engine") -> None:
    """Raise SelfTestFailed unless the engine tells different inputs apart, and gives each its own vector."""
    with _named(embedder):
        queries = pictures = None
        if "text" in embedder.modalities:
            texts = list(CAPTIONS.values())
            _vectors(embedder, lambda part: engine.texts(part, query=False), texts, "text")
            queries = _vectors(embedder, lambda part: engine.texts(part, query=True), texts, "query")
        if "image" in embedder.modalities:
            pictures = _vectors(embedder, engine.images, captioned_pictures(), "picture")
        if embedder.pairs_modalities and queries is not None and pictures is not None:
            _require_pairs(queries, pictures)


@contextmanager
def _named(embedder: "Embedder") -> Iterator[None]:
    try:
        yield
    except EmbedderUnavailable:  # A server that is away proves nothing.
        raise
    except EmbedderError as error:
        raise SelfTestFailed(
            f"Embedder '{embedder.alias}' ({embedder.signature}) must not serve: {error} "
            "Check its MODEL, REVISION and OPTIONS, or choose another embedder."
        ) from error


def captioned_pictures() -> list[Image]:
    """The pictures that CAPTIONS are about, in their order."""
    pictures = []
    for name in CAPTIONS:
        with Pillow.open(PICTURES / f"{name}.jpg") as picture:
            pictures.append(picture.convert("RGB"))
    return pictures


def _vectors(
    embedder: "Embedder", embed: Callable[[Sequence[Input]], "Vectors"], inputs: Sequence[Input], kind: str
) -> "Vectors":
    """Unit vectors of the inputs, once they are known to differ and to come in the order of the inputs."""
    from mmsearch_django.embedders.base import unit_rows

    vectors = unit_rows(embed(inputs), len(inputs), embedder.dimensions, embedder.alias)
    alike = vectors @ vectors.T - np.eye(len(inputs), dtype=np.float32)
    if alike.max() > SAME:
        raise SelfTestFailed(f"different inputs of kind {kind} gave the same vector.")
    # All but the last: where these are in their places, so is the last.
    for number, one in enumerate(inputs[:-1]):
        [alone] = unit_rows(embed([one]), 1, embedder.dimensions, embedder.alias)
        if alone @ vectors[number] < NEARLY:
            raise SelfTestFailed(f"a {kind} gave one vector alone and another among others: is the order kept?")
    return vectors


def _require_pairs(queries: "Vectors", pictures: "Vectors") -> None:
    nearest = (queries @ pictures.T).argmax(axis=1)
    for number, caption in enumerate(CAPTIONS.values()):
        if nearest[number] != number:
            other = list(CAPTIONS)[nearest[number]]
            raise SelfTestFailed(f"the text {caption!r} is nearer to the picture of a {other} than to its own.")

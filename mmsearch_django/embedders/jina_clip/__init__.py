"""Jina CLIP v2: texts in 89 languages and pictures in one space, through its ONNX export, without torch.

The weights are CC-BY-NC-4.0: not for commercial use without an agreement with Jina AI. ``mmsearch_download`` fetches
them once they are accepted; nothing else here reaches the network.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from django.core.checks import CheckMessage, Info
from numpy.typing import NDArray
from PIL.Image import Image

from mmsearch_django.embedders import hub
from mmsearch_django.embedders.base import Embedder, Engine, Vectors
from mmsearch_django.embedders.cards import Card, Verified
from mmsearch_django.embedders.hub import Checkpoint
from mmsearch_django.embedders.jina_clip.preparation import NO_PIXELS, NO_TOKENS, Tokens, pixels
from mmsearch_django.embedders.onnx_runtime import CPU, Session
from mmsearch_django.exceptions import ConfigurationError, EmbedderUnavailable

Input = TypeVar("Input")

MODEL = "jinaai/jina-clip-v2"
REVISION = "344d954da76eb8ad47a7aaff42d012e30c15b8fe"
LICENCE = "cc-by-nc-4.0"

TOKENIZER = "tokenizer.json"
WEIGHTS = {
    "fp32": ("onnx/model.onnx", "onnx/model.onnx_data"),
    "fp16": ("onnx/model_fp16.onnx",),
    "int8": ("onnx/model_quantized.onnx",),
}
"""By name: the graph first, what holds most of its weights last."""
DIMENSIONS = (64, 128, 256, 512, 768, 1024)
"""Lengths that its vectors can be cut to (Matryoshka)."""

SIZES = {"fp32": 3460, "fp16": 1730, "int8": 870}
"""Megabytes of its 865 million parameters, by weights."""

PROMPT = "Represent the query for retrieving evidence documents: "
"""Stands before queries; documents and pictures have none."""
TOGETHER = 8, 4
"""How many texts and pictures run at once: enough for a CPU's cores, little enough for its memory."""
ALONE = 1, 1
"""For int8: its numbers are scaled by the largest of a batch, so that neighbours would change a vector."""


class JinaClipEmbedder(Embedder):
    """``OPTIONS``: ``weights`` ("fp32", "fp16", "int8"), ``dimensions`` (1024), ``threads`` (1), ``folder``, ``sha256``
    (of the weights file, tested whenever it is loaded), ``providers`` (of onnxruntime)."""

    backend = "jina_clip"
    modalities = frozenset({"text", "image"})
    libraries = ("huggingface_hub", "onnxruntime", "tokenizers")
    extra = "mmsearch-django[jina]"
    cards = tuple(
        Card(
            name=f"Jina CLIP v2, {weights}",
            licence=LICENCE,
            good_at="89 languages, long captions, pictures at 512 pixels",
            verified=Verified.TOY,
            settings={"OPTIONS": {"weights": weights}},
            other_dimensions=", ".join(map(str, DIMENSIONS[:-1])),
            megabytes=megabytes,
        )
        for weights, megabytes in SIZES.items()
    )

    def __init__(self, alias: str, *, model: str = "", revision: str = "", **configuration: Any) -> None:
        super().__init__(alias, model=model or MODEL, revision=revision or REVISION, **configuration)
        self._configure(**self.options)
        if self.folder is None and not hub.is_commit(self.revision):
            raise self._wrong(f"REVISION is {self.revision!r}; give a full commit (branches and tags move).")

    def _configure(
        self,
        *,
        weights: str = "fp32",
        dimensions: int = DIMENSIONS[-1],
        threads: int = 1,
        folder: str | Path | None = None,
        sha256: str = "",
        providers: Sequence[str] = CPU,
        **unknown: Any,
    ) -> None:
        if unknown:
            raise self._wrong(f"OPTIONS has no {', '.join(unknown)}.")
        if weights not in list(WEIGHTS):
            raise self._wrong(f"OPTIONS['weights'] is {weights!r}; give one of {', '.join(WEIGHTS)}.")
        if dimensions not in DIMENSIONS:
            raise self._wrong(
                f"OPTIONS['dimensions'] is {dimensions!r}; give one of {', '.join(map(str, DIMENSIONS))}."
            )
        if type(threads) is not int or threads < 1:
            raise self._wrong(f"OPTIONS['threads'] is {threads!r}; give 1 or more.")
        self.files = WEIGHTS[weights]
        self.length, self.threads, self.sha256, self.providers = dimensions, threads, sha256.lower(), providers
        self.folder = None if folder is None else Path(folder)

    def _wrong(self, problem: str) -> ConfigurationError:
        return ConfigurationError(f"Embedder '{self.alias}': {problem}")

    @property
    def dimensions(self) -> int:
        return self.length

    @property
    def weights(self) -> str:
        # Each file is a space of its own: vectors of int8 weights are not those of fp32.
        return Path(self.files[0]).name

    @property
    def checkpoint(self) -> Checkpoint:
        return Checkpoint(self.model, self.revision, (TOKENIZER, *self.files), LICENCE, self.folder)

    def check(self) -> list[CheckMessage]:
        found: list[CheckMessage] = [
            Info(
                f"Embedder '{self.alias}' ({self.model}) is licensed under {LICENCE}: no commercial use.",
                hint="Silence this where that is settled, or choose an embedder whose licence fits.",
                id="mmsearch.I001",
            )
        ]
        return found + super().check()

    def load(self) -> Engine:
        self.require_available()
        self._require_digest()
        tokenizer, graph = (self.checkpoint.path(name) for name in (TOKENIZER, self.files[0]))
        try:
            tokens, session = Tokens(tokenizer), Session(graph, self.threads, providers=self.providers)
        except Exception as error:
            # Both libraries raise types of their own, or Exception itself.
            raise EmbedderUnavailable(
                f"Embedder '{self.alias}' could not load {graph} ({type(error).__name__}): {error} "
                f"To test its files, run: manage.py mmsearch_download {self.alias}"
            ) from error
        return JinaClipEngine(tokens, session, self.length, ALONE if self.files == WEIGHTS["int8"] else TOGETHER)

    def _require_digest(self) -> None:
        path = self.checkpoint.path(self.files[-1])
        if self.sha256 and (found := hub.digests(path)[0]) != self.sha256:
            raise EmbedderUnavailable(
                f"Embedder '{self.alias}': the SHA-256 of {path} is {found}, not OPTIONS['sha256']. Remove it, and "
                f"run: manage.py mmsearch_download {self.alias}"
            )


class JinaClipEngine:
    """One graph with two inputs, both of which it must always be given: each half runs with the least of the other."""

    def __init__(self, tokens: Tokens, session: Session, dimensions: int, batches: tuple[int, int]) -> None:
        inputs, outputs = session.inputs, session.outputs
        if inputs.keys() != {"input_ids", "pixel_values"} or not {"text_embeddings", "image_embeddings"} <= outputs:
            raise EmbedderUnavailable(
                f"The graph is not Jina CLIP's: it takes {', '.join(inputs)} and gives {', '.join(sorted(outputs))}."
            )
        self.tokens, self.session, self.dimensions = tokens, session, dimensions
        self.batch_of_texts, self.batch_of_images = batches
        # Exports in half precision may take their pixels so.
        self.pixel_kind = np.float16 if inputs["pixel_values"] == "tensor(float16)" else np.float32

    def texts(self, texts: Sequence[str], *, query: bool) -> Vectors:
        rows = [self.tokens(PROMPT + text if query else text) for text in texts]
        # Those of one length together: little is spent on padding.
        order = sorted(range(len(rows)), key=lambda number: len(rows[number]))
        batches = ([rows[number] for number in part] for part in _parts(order, self.batch_of_texts))
        vectors = [self._run("text_embeddings", self.tokens.padded(batch), NO_PIXELS) for batch in batches]
        unsorted: Vectors = np.concatenate(vectors)[np.argsort(order)]
        return unsorted

    def images(self, images: Sequence[Image]) -> Vectors:
        return np.concatenate([self._images(part) for part in _parts(images, self.batch_of_images)])

    def _images(self, images: Sequence[Image]) -> Vectors:
        batch = np.stack([pixels(image) for image in images])
        return self._run("image_embeddings", np.repeat(NO_TOKENS, len(images), axis=0), batch)

    def _run(self, output: str, ids: NDArray[np.int64], batch: Vectors) -> Vectors:
        [vectors] = self.session.run(output, input_ids=ids, pixel_values=batch.astype(self.pixel_kind, copy=False))
        return vectors[:, : self.dimensions].astype(np.float32)


def _parts(inputs: Sequence[Input], size: int) -> Iterator[Sequence[Input]]:
    return (inputs[start : start + size] for start in range(0, len(inputs), size))

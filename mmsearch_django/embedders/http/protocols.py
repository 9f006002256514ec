"""How servers are asked for embeddings: as OpenAI does, and what others add for pictures.

All answer in one form: ``{"data": [{"index": 0, "embedding": [...]}, ...]}``.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from mmsearch_django.embedders.base import Modality, Vectors
from mmsearch_django.exceptions import EmbedderError, EmbedderMisconfigured

Body = dict[str, Any]


class OpenAI:
    """``/v1/embeddings`` of OpenAI and of those who offer the same: texts alone."""

    modalities: ClassVar[frozenset[Modality]] = frozenset({"text"})
    one_image: ClassVar[bool] = False
    """Whether a request holds one picture at most."""

    def texts(self, texts: Sequence[str], *, query: bool) -> Body:
        return {"input": list(texts), "encoding_format": "float"}

    def images(self, images: Sequence[tuple[str, bytes]]) -> Body:
        """Of files, each with its media type such as ``image/png``."""
        raise NotImplementedError


class Infinity(OpenAI):
    """Infinity: pictures as data URIs, told from texts by ``modality``."""

    modalities = frozenset({"text", "image"})

    def texts(self, texts: Sequence[str], *, query: bool) -> Body:
        return {**super().texts(texts, query=query), "modality": "text"}

    def images(self, images: Sequence[tuple[str, bytes]]) -> Body:
        return {"input": [_data_uri(*each) for each in images], "encoding_format": "float", "modality": "image"}


class VLLM(OpenAI):
    """vLLM: texts as OpenAI, a picture as a message, one in a request."""

    modalities = frozenset({"text", "image"})
    one_image = True

    def images(self, images: Sequence[tuple[str, bytes]]) -> Body:
        [image] = images
        content = [{"type": "image_url", "image_url": {"url": _data_uri(*image)}}]
        return {"messages": [{"role": "user", "content": content}], "encoding_format": "float"}


class Jina(OpenAI):
    """The API of Jina AI: texts and pictures alike as objects; it knows queries from documents."""

    modalities = frozenset({"text", "image"})

    def texts(self, texts: Sequence[str], *, query: bool) -> Body:
        task = {"task": "retrieval.query"} if query else {}
        return {"input": [{"text": text} for text in texts], "embedding_type": "float", **task}

    def images(self, images: Sequence[tuple[str, bytes]]) -> Body:
        return {"input": [{"image": _ascii(data)} for _, data in images], "embedding_type": "float"}


PROTOCOLS: Mapping[str, OpenAI] = {"openai": OpenAI(), "infinity": Infinity(), "vllm": VLLM(), "jina": Jina()}


def _data_uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{_ascii(data)}"


def _ascii(data: bytes) -> str:
    return base64.b64encode(data).decode()


# Answers


def vectors(answer: Any, count: int, dimensions: int, *, cut: bool = False) -> Vectors:
    """The vectors of an answer in the order of the inputs, float32 of shape (count, dimensions); ``cut`` if longer.

    Raises EmbedderError for one that lacks some or holds what is no number, EmbedderMisconfigured for other lengths.
    """
    rows = _rows(answer)
    places = [row.get("index", number) for number, row in enumerate(rows)]
    if len(rows) != count or any(type(place) is not int for place in places) or sorted(places) != [*range(count)]:
        raise EmbedderError(f"the answer to {count} inputs has {len(rows)} vectors, with the indices {places[:50]}.")
    found = np.empty((count, dimensions), dtype=np.float32)
    for place, row in zip(places, rows, strict=True):
        vector = _vector(row.get("embedding"))
        if len(vector) != dimensions and not (cut and len(vector) > dimensions):
            raise EmbedderMisconfigured(
                f"the server's vectors have {len(vector)} dimensions, not {dimensions}. Correct the dimensions in "
                "OPTIONS or the model; for a model that was trained to be cut, set OPTIONS['matryoshka']."
            )
        found[place] = vector[:dimensions]
    return found


def _rows(answer: Any) -> list[Mapping[str, Any]]:
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        raise EmbedderError("the answer has no list 'data' of objects. Does OPTIONS['protocol'] fit the server?")
    return data


def _vector(value: Any) -> Vectors:
    try:
        if isinstance(value, str):  # Some send base64 whatever they are asked for: float32, little-endian.
            return np.frombuffer(base64.b64decode(value, validate=True), dtype="<f4")
        # Large numbers become infinite, which is refused where all vectors are.
        with np.errstate(over="ignore"):
            array = np.array(value, dtype=np.float64).astype(np.float32)
    except (TypeError, ValueError, OverflowError, binascii.Error) as error:
        raise EmbedderError("the answer has an embedding that is no list of numbers.") from error
    if array.ndim != 1:
        raise EmbedderError("the answer has an embedding that is no list of numbers.")
    return array

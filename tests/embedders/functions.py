"""Functions as a site may have them, for the callable backend."""

import numpy as np

from mmsearch_django.embedders.dummy import DummyEngine
from mmsearch_django.exceptions import EmbedderUnavailable

engine = DummyEngine(8)
no_function = 8


def texts(texts):
    assert type(texts) is list
    return (engine.texts(texts, query=False) * 3).tolist()


def queries(texts):
    return engine.texts([f"find: {text}" for text in texts], query=True).astype(np.float64)


def images(images):
    assert type(images) is list
    return engine.images(images)


def one_too_few(texts):
    return engine.texts(texts, query=False)[1:]


def not_finite(texts):
    return engine.texts(texts, query=False) * np.nan


def ragged(texts):
    return [[1.0] * len(text) for text in texts]


def broken(texts):
    raise KeyError("api_key")


def away(texts):
    raise EmbedderUnavailable("The vendor is away.")

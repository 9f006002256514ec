"""Embedders that each break one promise, and one that breaks all that only a process of its own can tell."""

import os
import time
from itertools import cycle
from pathlib import Path
from urllib.request import urlopen

import numpy as np
from PIL import Image as Pillow

from mmsearch_django.embedders.dummy import DummyEmbedder, DummyEngine
from mmsearch_django.exceptions import EmbedderError


class Sound(DummyEmbedder):
    """What the broken ones are when nothing is broken, prompts apart."""

    engine = DummyEngine

    def load(self):
        return self.engine(self.dimensions)


class NoModality(Sound):
    modalities = frozenset({"sound"})


class NoPreprocessing(Sound):
    preprocessing = "1"


class NoDimensions(Sound):
    dimensions = "64"


class OtherDimensionsInSignature(Sound):
    @property
    def signature(self):
        return type(super().signature)(self.backend, "", "", "", 65)


class ChecksThatAreNone(Sound):
    def check(self):
        return ["Something is wrong."]


class AnyOptions(Sound):
    known_options = None


class SilentAboutOptions(Sound):
    known_options = None

    def __init__(self, alias, **config):
        super().__init__(alias, **config)
        if "no_such_option" in self.options:
            from mmsearch_django.exceptions import ConfigurationError

            raise ConfigurationError("Something is wrong.")


class Pairless(Sound):
    pairs_modalities = True


class TextOnlyThatTakesPictures(Sound):
    modalities = frozenset({"text"})

    def embed_images(self, images):
        return np.empty((0, self.dimensions), dtype=np.float32)


class PicturesOnlyThatTakesTexts(Sound):
    modalities = frozenset({"image"})

    def embed_texts(self, texts, *, query=False):
        return np.empty((0, self.dimensions), dtype=np.float32)


class TakesOneText(Sound):
    def embed_texts(self, texts, *, query=False):
        return super().embed_texts([texts] if isinstance(texts, str) else texts, query=query)


class TakesBytes(Sound):
    def embed_texts(self, texts, *, query=False):
        if isinstance(texts, list):
            texts = [text.decode() if isinstance(text, bytes) else text for text in texts]
        return super().embed_texts(texts, query=query)


class RaisesSomethingElse(Sound):
    def embed_images(self, images):
        try:
            return super().embed_images(images)
        except TypeError as error:
            raise ValueError(str(error)) from error


def finished(change):
    """Changes all that it returns, behind the guards."""

    class Changed(Sound):
        def embed_texts(self, texts, *, query=False):
            return change(super().embed_texts(texts, query=query))

        def embed_images(self, images):
            return change(super().embed_images(images))

    return Changed


Doubles = finished(lambda vectors: vectors.astype(np.float64))
NotOfUnitLength = finished(lambda vectors: vectors * 2)
NotFinite = finished(lambda vectors: vectors * np.nan)
OneRowTooFew = finished(lambda vectors: vectors[:-1])
FlatWhenEmpty = finished(lambda vectors: vectors if len(vectors) else vectors.ravel())


class SortsByLength(Sound):
    """For long lists alone, so that the self-test does not see it."""

    class engine(DummyEngine):
        def texts(self, texts, *, query):
            return super().texts(sorted(texts, key=len) if len(texts) > 5 else texts, query=query)


class Padding(Sound):
    """The longest text of a batch shows in all of its rows, a little."""

    class engine(DummyEngine):
        def texts(self, texts, *, query):
            return super().texts(texts, query=query) + max(map(len, texts)) * 1e-2


class PicturesOfABatch(Sound):
    class engine(DummyEngine):
        def images(self, images):
            return super().images(images) + len(images) * 1e-1


class Dropout(Sound):
    class engine(DummyEngine):
        def images(self, images):
            vectors = super().images(images)
            return vectors + 0.1 * np.random.default_rng().standard_normal(vectors.shape).astype(np.float32)


class ForgetsRare(Sound):
    """Takes one text for another, neither of which is in the self-test."""

    class engine(DummyEngine):
        def texts(self, texts, *, query):
            return super().texts([text.replace("a red car by the sea", "coffee") for text in texts], query=query)


class Prompts(Sound):
    class engine(DummyEngine):
        def texts(self, texts, *, query):
            return super().texts([f"find: {text}" if query else text for text in texts], query=query)


class StumblesOverSurrogates(Sound):
    def embed_texts(self, texts, *, query=False):
        return super().embed_texts([text.encode().decode() if text else text for text in texts], query=query)


class ZeroForEmpty(Sound):
    class engine(DummyEngine):
        def texts(self, texts, *, query):
            return super().texts(texts, query=query) * np.array([[bool(text)] for text in texts])


class DividesByTheSide(Sound):
    class engine(DummyEngine):
        def images(self, images):
            return super().images([image.resize((image.width // 2, image.height // 2)) for image in images])


class Shrinks(Sound):
    class engine(DummyEngine):
        def images(self, images):
            for image in images:
                image.thumbnail((8, 8))
            return super().images(images)


class Consumes(Sound):
    def embed_texts(self, texts, *, query=False):
        vectors = super().embed_texts(texts, query=query)
        if texts:
            texts.pop()
        return vectors


class Shared(Sound):
    """Its engine keeps what it works on where other threads find it."""

    class engine(DummyEngine):
        turns = cycle((1, 2, 3, 4))  # One ends while others are at it, whatever else the machine does.

        def images(self, images):
            self.current = list(images)
            time.sleep(0.1 * next(self.turns))
            vectors = super().images(self.current)
            self.current.reverse()
            return vectors


class Careless(Sound):
    """Imports, signs, fetches, opens and seeds as it must not, and hands its engine to forked children."""

    only = None

    def __init__(self, alias, **config):
        import tokenizers  # noqa: F401

        super().__init__(alias, revision=str(os.getpid()), **{k: v for k, v in config.items() if k != "revision"})

    def load(self):
        type(self).only = type(self).only or self.engine(self.dimensions)
        return self.only

    class engine(DummyEngine):
        def texts(self, texts, *, query):
            return np.stack([self.vector(text) for text in texts])

        def vector(self, text):
            if text.startswith("http"):
                with urlopen(text) as answer:
                    answer.read()
            elif text.startswith("/"):
                with Pillow.open(Path(text)) as picture:
                    return self.images([picture.convert("RGB")])[0]
            return self._random(str(hash(text)), (self.dimensions,))


class LoadsToDeclare(Sound):
    @property
    def weights(self):
        return str(self.load())[:1]


class DiesInChildren(Sound):
    parent = None

    def load(self):
        type(self).parent = type(self).parent or os.getpid()
        if self.parent != os.getpid():
            raise EmbedderError("It is used elsewhere.")
        return super().load()

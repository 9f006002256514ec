"""What every embedder promises, as tests that run under pytest and under unittest alike."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from threading import Barrier
from typing import Any, ClassVar

import numpy as np
from django.core.checks import CheckMessage
from PIL.Image import Image

from mmsearch_django.embedders.base import Embedder, Vectors
from mmsearch_django.embedders.registry import make
from mmsearch_django.embedders.selftest import SAME
from mmsearch_django.exceptions import ConfigurationError, EmbedderError
from mmsearch_django.testing import inputs, processes
from mmsearch_django.testing.processes import Answer

MODALITIES = ("text", "image")
UNIT = 1e-3
"""How far from one the length of a vector may be."""
THREADS = 4


@dataclass(frozen=True)
class Kind:
    """One of the ways to give an embedder something: texts, texts as queries, pictures."""

    name: str
    embed: Callable[[Sequence[Any]], Vectors]
    inputs: list[Any]
    different: list[Any]


class EmbedderContract:
    """Inherit, give ``config``, and run it: ``class TestMine(EmbedderContract)`` with pytest, ``class
    MineTests(EmbedderContract, SimpleTestCase)`` with Django's runner. A failure says what to mend."""

    config: ClassVar[Mapping[str, Any]]
    """What stands under its alias in ``MMSEARCH["EMBEDDERS"]``: BACKEND, MODEL, REVISION, OPTIONS."""
    has_prompts: ClassVar[bool] = False
    """Whether a query gets another vector than the same text as a document."""
    deterministic: ClassVar[bool] = True
    """Whether another process gives the same vectors."""
    tolerance: ClassVar[float] = 1e-3
    """How far two vectors of the same input may differ in any number; 1e-5 is usual for float32 on a CPU."""
    seconds: ClassVar[float] = 120
    """How long a process may take to load it and embed some 30 inputs."""

    # Declaration

    def test_declares_what_it_embeds(self) -> None:
        embedder = self._embedder()
        _require(
            bool(embedder.modalities) and embedder.modalities <= set(MODALITIES),
            f"modalities is {embedder.modalities!r}; give a frozenset of {' and '.join(map(repr, MODALITIES))}",
        )
        _require(bool(embedder.backend), "backend is empty; name it, for its signature")
        _require(
            type(embedder.preprocessing) is int,
            f"preprocessing is {embedder.preprocessing!r}; give an int, and raise it when preparation changes",
        )
        _require(
            type(embedder.dimensions) is int and embedder.dimensions > 0,
            f"dimensions is {embedder.dimensions!r}; give an int of 1 or more",
        )
        _require(
            embedder.signature.dimensions == embedder.dimensions, "its signature names other dimensions than it has"
        )
        _require(
            all(isinstance(found, CheckMessage) for found in embedder.check()),
            "check() must return a list of django.core.checks messages",
        )

    def test_signature_is_known_without_loading_and_stays(self) -> None:
        answer = self._elsewhere("declaring")
        one, other = self._embedder(), self._embedder()
        before = one.signature
        one.warm_up()
        _require(
            before == one.signature == other.signature and str(before) == answer.signature,
            f"its signature is {before}, later {one.signature}, in another process {answer.signature}; build it from "
            "the configuration alone",
        )

    def test_declaring_it_is_cheap(self) -> None:
        imported = self._elsewhere("declaring").imported
        _require(not imported, f"constructing and checking it imports {', '.join(imported)}; import inside load()")

    def test_unknown_options_are_refused(self) -> None:
        options = {**self.config.get("OPTIONS", {}), "no_such_option": 1}
        try:
            make("contract", {**self.config, "OPTIONS": options})
        except ConfigurationError as error:
            _require("no_such_option" in str(error), f"its error does not name the unknown option: {error}")
            return
        raise _failure("it takes an option that it does not know; list its own in known_options")

    def test_it_passes_its_self_test(self) -> None:
        try:
            self._embedder().warm_up()
        except EmbedderError as error:
            raise _failure(f"it cannot serve: {error}") from error

    # Refusals

    def test_a_modality_that_it_lacks_is_refused(self) -> None:
        embedder = self._embedder()
        embed: dict[str, Callable[[list[Any]], Vectors]] = {
            "text": embedder.embed_texts,
            "image": embedder.embed_images,
        }
        for modality in set(MODALITIES) - embedder.modalities:
            _require_raises(ConfigurationError, embed[modality], [], f"{modality}, which it does not embed,")

    def test_wrong_types_are_refused(self) -> None:
        embedder = self._embedder()
        if "text" in embedder.modalities:
            for texts in inputs.WRONG_TEXTS:
                _require_raises(TypeError, embedder.embed_texts, texts, f"the texts {texts!r}")
        if "image" in embedder.modalities:
            for pictures in (*inputs.WRONG_PICTURES, inputs.pictures()[0]):
                _require_raises(TypeError, embedder.embed_images, pictures, f"the pictures {pictures!r}")

    # Vectors

    def test_vectors_are_rows_of_unit_length(self) -> None:
        for kind in self._kinds():
            _require_rows(kind.embed(kind.inputs), len(kind.inputs), self._embedder().dimensions, f"each {kind.name}")

    def test_nothing_gives_no_rows(self) -> None:
        for kind in self._kinds():
            _require_rows(kind.embed([]), 0, self._embedder().dimensions, f"an empty list ({kind.name})")

    def test_rows_are_in_the_order_of_the_inputs(self) -> None:
        for kind in self._kinds():
            forth, back = kind.embed(kind.inputs), kind.embed(kind.inputs[::-1])
            self._require_same(forth, back[::-1], f"a {kind.name} got another's row; undo any sorting by length")

    def test_neighbours_change_nothing(self) -> None:
        for kind in self._kinds():
            together = kind.embed(kind.inputs * 2)[: len(kind.inputs)]
            alone = np.vstack([kind.embed([one]) for one in kind.inputs])
            self._require_same(
                together, alone, f"a {kind.name} got another vector alone than among others; mask the padding"
            )

    def test_the_same_input_gives_the_same_vector(self) -> None:
        for kind in self._kinds():
            first, other = kind.different[:2]
            vectors = kind.embed([first, other, first])
            self._require_same(vectors[0], vectors[2], f"a {kind.name} given twice got two vectors; switch dropout off")

    def test_different_inputs_give_different_vectors(self) -> None:
        for kind in self._kinds():
            vectors = kind.embed(kind.different)
            alike = (vectors @ vectors.T - np.eye(len(vectors), dtype=np.float32)).max()
            _require(alike <= SAME, f"two different inputs of kind {kind.name} got one vector; is all of them read?")

    def test_prompts_are_as_declared(self) -> None:
        embedder = self._embedder()
        if "text" not in embedder.modalities:
            return
        texts = list(inputs.DIFFERENT_TEXTS)
        apart = float(np.abs(embedder.embed_texts(texts) - embedder.embed_texts(texts, query=True)).max())
        if self.has_prompts:
            _require(apart > self.tolerance, "queries get the vectors of documents; is query= ignored?")
        else:
            _require(apart <= self.tolerance, "queries get other vectors than documents: set has_prompts, or drop them")

    # What the world sends

    def test_text_is_only_ever_text(self) -> None:
        opened = self._elsewhere("opening").opened
        _require(not opened, f"{'; '.join(opened)}: hand texts over so that the library cannot take them for addresses")

    def test_any_text_can_be_embedded(self) -> None:
        embedder = self._embedder()
        if "text" not in embedder.modalities:
            return
        for name, text in inputs.HOSTILE_TEXTS.items():
            for query in (False, True):
                self._require_embeds(partial(embedder.embed_texts, query=query), text, f"the text {name!r}")

    def test_any_picture_can_be_embedded(self) -> None:
        embedder = self._embedder()
        if "image" not in embedder.modalities:
            return
        for name, picture in inputs.hostile_pictures():
            self._require_embeds(embedder.embed_images, picture, f"a picture ({name})")

    def test_inputs_are_left_as_they_are(self) -> None:
        for kind in self._kinds():
            before = list(map(_content, kind.inputs))
            kind.embed(kind.inputs)
            _require(
                before == list(map(_content, kind.inputs)), f"it changes what it is given ({kind.name}); copy first"
            )

    # Threads and processes

    def test_threads_may_share_it(self) -> None:
        for kind in self._kinds():
            alone = kind.embed(kind.different)
            with ThreadPoolExecutor(THREADS, initializer=Barrier(THREADS).wait) as pool:  # They begin together.
                for vectors in pool.map(kind.embed, [kind.different] * THREADS):
                    self._require_same(
                        alone, vectors, f"a {kind.name} got another vector in a thread; keep no state, or take a lock"
                    )

    def test_processes_agree(self) -> None:
        if not self.deterministic:
            return
        elsewhere = self._elsewhere("embedding").vectors
        for name, vectors in processes.embedded(self._embedder()).items():
            self._require_same(
                vectors,
                elsewhere[name],
                f"a {name} got another vector in another process; seed nothing from hash(), time or chance",
            )

    def test_a_forked_process_loads_its_own(self) -> None:
        problem = self._elsewhere("forking").fork
        _require(not problem, f"{problem}; let load() make a new engine each time, which shares nothing")

    # How it is asked

    def _embedder(self) -> Embedder:
        return make("contract", self.config)

    def _elsewhere(self, step: str) -> Answer:
        tolerance = self.tolerance if self.deterministic else float("inf")
        answer = processes.ask(self.config, tolerance=tolerance, seconds=self.seconds)
        _require(step not in answer.errors, f"in a fresh process, {step} it failed: {answer.errors.get(step)}")
        return answer

    def _kinds(self) -> Iterator[Kind]:
        embedder = self._embedder()
        if "text" in embedder.modalities:
            texts = list(inputs.TEXTS), list(inputs.DIFFERENT_TEXTS)
            yield Kind("text", embedder.embed_texts, *texts)
            yield Kind("query", partial(embedder.embed_texts, query=True), *texts)
        if "image" in embedder.modalities:
            yield Kind("picture", embedder.embed_images, inputs.pictures(), inputs.different_pictures())

    def _require_same(self, one: Vectors, other: Vectors, problem: str) -> None:
        _require(one.shape == other.shape, f"{problem} (shapes {one.shape} and {other.shape})")
        apart = float(np.abs(one - other).max())
        _require(apart <= self.tolerance, f"{problem} (they differ by {apart:.1g}; tolerance is {self.tolerance:g})")

    def _require_embeds(self, embed: Callable[[Sequence[Any]], Vectors], value: Any, what: str) -> None:
        try:
            vectors = embed([value])
        except Exception as error:
            raise _failure(
                f"{what} raised {type(error).__name__}: {error} Whatever users send must get a vector; prepare it"
            ) from error
        _require_rows(vectors, 1, self._embedder().dimensions, what)


def _require(holds: bool, problem: str) -> None:  # noqa: FBT001
    if not holds:
        raise _failure(problem)


def _failure(problem: str) -> AssertionError:
    return AssertionError(f"{problem[0].upper()}{problem[1:].rstrip('.')}.")


def _require_rows(vectors: Any, count: int, dimensions: int, what: str) -> None:
    mend = "return what Embedder.embed_texts and embed_images return, which finish rows"
    found = getattr(vectors, "shape", None), getattr(vectors, "dtype", None)
    _require(
        found == ((count, dimensions), np.float32),
        f"{what} gave shape {found[0]} of {found[1]}, not {(count, dimensions)} of float32; {mend}",
    )
    lengths = np.linalg.norm(vectors, axis=1)
    _require(
        bool(np.isfinite(vectors).all()) and bool((np.abs(lengths - 1) < UNIT).all()),
        f"{what} gave a vector that is not finite, or not of length one; {mend}",
    )


def _require_raises(kind: type[Exception], embed: Callable[[Any], object], value: object, what: str) -> None:
    problem = f"{what} must raise {kind.__name__}; leave that to Embedder.embed_texts and embed_images"
    try:
        embed(value)
    except kind:
        return
    except Exception as error:
        raise _failure(f"{problem}; it raised {type(error).__name__}: {error}") from error
    raise _failure(problem)


def _content(value: str | Image) -> object:
    return (value.size, value.mode, value.tobytes()) if isinstance(value, Image) else value

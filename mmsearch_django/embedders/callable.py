"""Functions of the site's own as an embedder: a vendor's client, a model in a notebook, whatever returns vectors."""

import sys
from collections.abc import Callable, Sequence
from importlib.machinery import PathFinder
from importlib.util import find_spec
from typing import Any

import numpy as np
from django.core.checks import CheckMessage
from django.utils.module_loading import import_string
from PIL.Image import Image

from mmsearch_django.embedders.base import Embedder, Engine, Vectors
from mmsearch_django.exceptions import ConfigurationError, EmbedderError, EmbedderUnavailable, MmsearchError

Function = Callable[[list[Any]], Any]
ROLES = ("texts", "queries", "images")


class CallableEmbedder(Embedder):
    """``OPTIONS``: ``dimensions``, and the dotted paths of functions: ``texts``, ``images``, or both; ``queries``, if
    queries are embedded otherwise than texts. ``pairs_modalities`` (True): whether texts and pictures share a space.

    Each function takes a list, never empty, of ``str`` or of RGB ``PIL.Image.Image``, and returns one vector for each,
    in their order: anything of shape (n, dimensions) that ``numpy.asarray`` takes, of any length but zero. It is
    imported at its first use, may be called by several threads, and anew in each process.

    ``MODEL`` and ``REVISION`` name what the functions run, for the signature: change one when the vectors change.
    """

    backend = "callable"
    runs_any = "Functions of your own: any model that they know of, at any length up to 4,000."
    known_options = frozenset({*ROLES, "dimensions", "pairs_modalities"})

    def __init__(self, alias: str, **config: Any) -> None:
        super().__init__(alias, **config)
        self.paths = {role: self.options[role] for role in ROLES if role in self.options}
        if not self.paths.keys() & {"texts", "images"}:
            raise self._wrong("OPTIONS needs 'texts' or 'images', the dotted path of a function")
        if "queries" in self.paths and "texts" not in self.paths:
            raise self._wrong("OPTIONS['queries'] stands alone; OPTIONS['texts'] is needed as well")
        for role, path in self.paths.items():
            if not isinstance(path, str) or not all(map(str.isidentifier, path.split("."))) or "." not in path:
                raise self._wrong(f"OPTIONS[{role!r}] is {path!r}; give a dotted path, as in 'site.ml.embed_{role}'")
        if not self.model:
            raise self._wrong("MODEL is empty; name what the functions run, so that its vectors are not mixed up")
        if type(self.options.get("dimensions")) is not int or self.dimensions < 1:
            raise self._wrong(
                f"OPTIONS['dimensions'] is {self.options.get('dimensions')!r}; give the length of the vectors"
            )
        roles = {"text": "texts", "image": "images"}
        self.modalities = frozenset(kind for kind in ("text", "image") if roles[kind] in self.paths)  # type: ignore[misc]
        self.pairs_modalities = bool(self.options.get("pairs_modalities", True))  # type: ignore[misc]

    @property
    def dimensions(self) -> int:
        return int(self.options["dimensions"])

    def check(self) -> list[CheckMessage]:
        """Also whether the modules of its functions are there, without importing them: models are heavy."""
        for role, path in self.paths.items():
            module = path.rpartition(".")[0]
            if not _is_there(module):
                raise self._wrong(f"OPTIONS[{role!r}] is {path!r}, and there is no module {module!r}")
        return super().check()

    def load(self) -> Engine:
        return CallableEngine(self.alias, {role: self._function(role) for role in self.paths})

    def _function(self, role: str) -> Function:
        path = self.paths[role]
        try:
            function = import_string(path)
        except ImportError as error:
            raise EmbedderUnavailable(
                f"Embedder '{self.alias}' could not import OPTIONS[{role!r}], {path!r}: {error}"
            ) from error
        if not callable(function):
            raise self._wrong(f"OPTIONS[{role!r}], {path!r}, is {type(function).__name__} and cannot be called")
        found: Function = function
        return found

    def _wrong(self, problem: str) -> ConfigurationError:
        return ConfigurationError(f"Embedder '{self.alias}' (callable): {problem}.")


class CallableEngine:
    """The functions by their role. They are the site's: what they raise and return is told by their names."""

    def __init__(self, alias: str, functions: dict[str, Function]) -> None:
        self.alias = alias
        self.functions = functions

    def texts(self, texts: Sequence[str], *, query: bool) -> Vectors:
        return self._call("queries" if query and "queries" in self.functions else "texts", texts)

    def images(self, images: Sequence[Image]) -> Vectors:
        return self._call("images", images)

    def _call(self, role: str, inputs: Sequence[Any]) -> Vectors:
        try:
            return np.asarray(self.functions[role](list(inputs)), dtype=np.float32)
        except MmsearchError:
            raise
        except Exception as error:
            raise EmbedderError(
                f"Embedder '{self.alias}': the function of OPTIONS[{role!r}] failed, or returned no array "
                f"({type(error).__name__}): {error}"
            ) from error


def _is_there(module: str) -> bool:
    """Whether a module can be found; neither it nor the packages that it is in are imported."""
    if module in sys.modules:
        return True
    first, *others = module.split(".")
    spec, name = find_spec(first), first
    for other in others:
        name = f"{name}.{other}"
        if spec is None or spec.submodule_search_locations is None:
            return False
        spec = PathFinder.find_spec(name, spec.submodule_search_locations)
    return spec is not None

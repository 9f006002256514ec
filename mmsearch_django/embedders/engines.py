"""Loaded models: one for each signature in a process, tested before it serves, never carried over a fork."""

import ctypes
import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmsearch_django.embedders.base import Embedder, Engine

_engines: dict[str, "Engine"] = {}
# Re-entrant: an embedder may load another one behind it.
_lock = threading.RLock()


def get(embedder: "Embedder") -> "Engine":
    """The engine of an embedder, loaded and self-tested at its first use in this process."""
    from mmsearch_django.embedders.selftest import selftest

    key = _key(embedder)
    engine = _engines.get(key)
    if engine is None:
        with _lock:
            if key not in _engines:
                engine = embedder.load()
                selftest(embedder, engine)
                _engines[key] = engine
            engine = _engines[key]
    return engine


def loaded(embedder: "Embedder") -> bool:
    """Whether this process has it."""
    return _key(embedder) in _engines


def _key(embedder: "Embedder") -> str:
    # The class belongs to it: an embedder that forwards carries the signature of the model behind it.
    kind = type(embedder)
    return f"{kind.__module__}.{kind.__qualname__} {embedder.signature} {sorted(embedder.options.items())!r}"


def _forget() -> None:
    # Thread pools of native runtimes do not survive a fork: the child loads its own. The inherited ones get a reference
    # that nobody gives back, for taking them apart, even at exit, would wait for ever for threads that are not there.
    global _lock
    for engine in _engines.values():
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(engine))
    _engines.clear()
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_forget)

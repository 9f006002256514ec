"""Loaded models: one for each signature in a process, tested before it serves, never carried over a fork."""

import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmsearch_django.embedders.base import Embedder, Engine

_engines: dict[str, "Engine"] = {}
_lock = threading.Lock()


def get(embedder: "Embedder") -> "Engine":
    """The engine of an embedder, loaded and self-tested at its first use in this process."""
    from mmsearch_django.embedders.selftest import selftest

    key = f"{embedder.signature}?{sorted(embedder.options.items())!r}"
    engine = _engines.get(key)
    if engine is None:
        with _lock:
            if key not in _engines:
                engine = embedder.load()
                selftest(embedder, engine)
                _engines[key] = engine
            engine = _engines[key]
    return engine


def _forget() -> None:
    # Thread pools of native runtimes do not survive a fork: the child loads its own.
    global _lock
    _engines.clear()
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_forget)

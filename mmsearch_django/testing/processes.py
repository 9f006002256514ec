"""What only a process of its own can tell of an embedder: what declaring it imports, what it opens, what forks do.

``ask`` starts it; the site's settings are set up in it as in any process of the site.
"""

import os
import pickle
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from mmsearch_django.embedders import engines
from mmsearch_django.embedders.base import Embedder, Vectors
from mmsearch_django.embedders.registry import make
from mmsearch_django.embedders.selftest import SAME
from mmsearch_django.testing.inputs import TEXTS, different_pictures, pictures

HEAVY = frozenset(
    {
        *("torch", "torchvision", "transformers", "sentence_transformers", "open_clip", "timm", "tensorflow", "jax"),
        *("onnxruntime", "openvino", "tokenizers", "huggingface_hub.hf_api"),
    }
)
"""What no process may import for an embedder that it does not use."""
PROGRAM = "import sys; from mmsearch_django.testing.processes import main; main(*sys.argv[1:])"


@dataclass
class Answer:
    """What was found in a fresh process; what raised is in ``errors``, by the step."""

    signature: str = ""
    imported: list[str] = field(default_factory=list)
    """Heavy libraries that declaring it brought along."""
    vectors: dict[str, Vectors] = field(default_factory=dict)
    """Of TEXTS and pictures, by kind."""
    opened: list[str] = field(default_factory=list)
    """Which texts were fetched, opened, or taken for the picture that they name."""
    fork: str = ""
    """What is wrong in a forked child; empty if nothing is."""
    errors: dict[str, str] = field(default_factory=dict)


def ask(config: Mapping[str, Any], *, tolerance: float, seconds: float) -> Answer:
    """The answer of a fresh process, which has so many seconds; asked once for each configuration."""
    return _ask(pickle.dumps(dict(config)), tolerance, seconds)


@cache
def _ask(config: bytes, tolerance: float, seconds: float) -> Answer:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "answer")
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "random"}
        command = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(target), str(tolerance), str(seconds)]
        # Twice: for what it does itself, and for the child that it may have to end.
        run = subprocess.run(
            command, input=config, env=environment, capture_output=True, timeout=2 * seconds, check=False
        )
        if not target.exists():
            said = run.stderr.decode(errors="replace")[-2000:]
            raise RuntimeError(f"A fresh process could not set up Django, or died ({run.returncode}): {said}")
        answer: Answer = pickle.loads(target.read_bytes())
        return answer


# In the fresh process


def main(target: str, tolerance: str, seconds: str) -> None:
    import django
    from django.conf import settings

    config = pickle.load(sys.stdin.buffer)
    if not os.environ.get("DJANGO_SETTINGS_MODULE"):
        settings.configure()
    django.setup()
    answer = Answer()
    fork = partial(_fork, tolerance=float(tolerance), seconds=float(seconds))
    steps: dict[str, Callable[[Mapping[str, Any], Answer], None]]
    steps = {"declaring": _declare, "embedding": _embed, "opening": _open, "forking": fork}
    for name, step in steps.items():
        try:
            step(config, answer)
        except Exception as error:
            # Whatever it is, the contract tells it.
            answer.errors[name] = f"{type(error).__name__}: {error}"
    Path(target).write_bytes(pickle.dumps(answer))


def _declare(config: Mapping[str, Any], answer: Answer) -> None:
    before = set(sys.modules)
    embedder = make("contract", config)
    embedder.load = _forbidden  # type: ignore[method-assign]
    answer.signature = str(embedder.signature)
    embedder.check()
    answer.imported = sorted(HEAVY & (sys.modules.keys() - before))


def _forbidden() -> Any:
    raise AssertionError("load() was called to declare it")


def _embed(config: Mapping[str, Any], answer: Answer) -> None:
    answer.vectors = embedded(make("contract", config))


def embedded(embedder: Embedder) -> dict[str, Vectors]:
    """Vectors of TEXTS and of pictures, by kind."""
    found = {}
    if "text" in embedder.modalities:
        found["text"] = embedder.embed_texts(list(TEXTS))
        found["query"] = embedder.embed_texts(list(TEXTS), query=True)
    if "image" in embedder.modalities:
        found["picture"] = embedder.embed_images(pictures())
    return found


# Texts that are addresses and paths


def _open(config: Mapping[str, Any], answer: Answer) -> None:
    embedder = make("contract", config)
    if "text" not in embedder.modalities:
        return
    with tempfile.TemporaryDirectory() as folder, _serving(picture := Path(folder, "castle.png")) as (address, asked):
        image = different_pictures()[1]
        image.save(picture)
        texts = [address, str(picture), picture.as_uri()]
        opened = _watched(str(picture))
        vectors = [embedder.embed_texts([text], query=query) for text in texts for query in (False, True)]
        if asked:
            answer.opened.append(f"{address} was fetched")
        if opened:
            answer.opened.append(f"{picture} was opened")
        if "image" in embedder.modalities and (np.vstack(vectors) @ embedder.embed_images([image])[0]).max() > SAME:
            answer.opened.append(f"one of {', '.join(texts)} got the vector of the picture that it names")


def _watched(path: str) -> list[str]:
    """A list that grows whenever this process opens the file from now on."""
    opened: list[str] = []

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str | os.PathLike) and os.fspath(arguments[0]) == path:
            opened.append(event)

    sys.addaudithook(watch)
    return opened


@contextmanager
def _serving(picture: Path) -> Iterator[tuple[str, list[str]]]:
    """The address of the picture on a server of this machine, and the list of the requests that it gets."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(picture.read_bytes())

        do_HEAD = do_GET

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/castle.png", asked
        server.shutdown()


# Forks


def _fork(config: Mapping[str, Any], answer: Answer, *, tolerance: float, seconds: float) -> None:
    if not hasattr(os, "fork"):
        return
    embedder = make("contract", config)
    before = engines.get(embedder)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, _problem_in_child(embedder, before, answer.vectors, tolerance).encode())
        # Through the interpreter's whole end: a runtime whose threads are gone may wait there for ever.
        sys.exit()
    os.close(writer)
    code = _waited(child, seconds)
    with os.fdopen(reader) as said:
        answer.fork = said.read()
    if code != 0 and not answer.fork:
        answer.fork = f"a child did not end within {seconds:g} s" if code is None else f"a child ended with {code}"


def _problem_in_child(embedder: Embedder, before: object, expected: Mapping[str, Vectors], tolerance: float) -> str:
    try:
        if engines.get(embedder) is before:
            return "a child was handed the engine of its parent"
        found = embedded(embedder)
    except Exception as error:
        # Whatever it is, the parent hears of it.
        return f"in a child it failed ({type(error).__name__}: {error})"
    same = all(np.abs(found[kind] - vectors).max() <= tolerance for kind, vectors in expected.items())
    return "" if same else "a child's vectors are not those of its parent"


def _waited(child: int, seconds: float) -> int | None:
    """Its exit code; None if it had to be killed."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return None

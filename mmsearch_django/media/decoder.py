"""The process that decodes files for another one: ``python -m mmsearch_django.media.decoder``, with a socket as stdin.

It needs no database and no apps, and ends when the socket closes. ``sandbox`` starts and stops it.
"""

import json
import resource
import signal
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

from django.conf import settings
from django.utils.module_loading import import_string
from PIL import Image as Pillow

from mmsearch_django.exceptions import AssetError
from mmsearch_django.media import images
from mmsearch_django.media.sandbox import LENGTHS

GRACE_SECONDS = 5
"""How much later than its parent, who may be gone, it ends itself."""
LONGEST_MESSAGE = 4000


def main() -> None:
    # It ends with its parent, not before it: signals for a group of processes reach both.
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    settings.configure()
    Pillow.init()
    with socket.socket(fileno=0) as connection, connection.makefile("rb") as stream, suppress(BrokenPipeError):
        send(connection, {}, b"")
        for request, data in requests(stream):
            send(connection, *answer(request, data))


def requests(stream: BinaryIO) -> Iterator[tuple[dict[str, Any], bytes]]:
    while len(lengths := stream.read(LENGTHS.size)) == LENGTHS.size:
        head, body = LENGTHS.unpack(lengths)
        yield json.loads(stream.read(head)), stream.read(body)


def send(connection: socket.socket, header: dict[str, Any], body: bytes) -> None:
    head = json.dumps(header).encode()
    connection.sendall(LENGTHS.pack(len(head), len(body)) + head)
    connection.sendall(body)


def answer(request: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    """The size and the RGB pixels of the picture, or the class and the message of an AssetError."""
    settings.MMSEARCH = limits = request["settings"]
    register(request["readers"])
    try:
        with alarm(limits["DECODE_SECONDS"] + GRACE_SECONDS), memory(limits["DECODE_MEMORY"]):
            image = images.decode_here(data, request["name"])
        return {"size": image.size}, image.tobytes()
    except MemoryError:  # There was none left even to say so.
        error: AssetError = images.too_much_memory(request["name"])
    except AssetError as raised:
        error = raised
    return {"error": type(error).__name__, "message": str(error)[:LONGEST_MESSAGE]}, b""


def register(readers: Iterable[tuple[str, str, str]]) -> None:
    """Readers of the site. One that cannot be imported by itself is left out."""
    for name, reader, accept in readers:
        if name not in Pillow.OPEN or Pillow.OPEN[name][0].__module__.startswith("PIL."):
            with suppress(Exception):
                Pillow.register_open(name, import_string(reader), import_string(accept) if accept else None)


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Ends this process, wherever it is, when so many seconds have passed."""
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


@contextmanager
def memory(size: int) -> Iterator[None]:
    """Limits what may be allocated: memory of its own, not addresses, which threads and mapped files only reserve."""
    before, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (size if hard == resource.RLIM_INFINITY else min(size, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (before, hard))


if __name__ == "__main__":
    main()

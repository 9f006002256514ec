"""Decoding in processes of their own, so that a file that kills its decoder costs nothing but itself.

A decoder is ``python -m mmsearch_django.media.decoder``: an interpreter without Django's apps, used for many files.
Bytes go to it and pixels come back over a socket, in frames of two lengths, a header in JSON and a body. Whatever
comes back is from a process that handled hostile bytes: it is measured before it is believed.
"""

import atexit
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from PIL import Image as Pillow
from PIL.Image import Image

from mmsearch_django import exceptions
from mmsearch_django.conf import conf
from mmsearch_django.exceptions import AssetError, ConfigurationError, DecoderDied, TooMuchMemory, TooMuchTime

AVAILABLE = find_spec("resource") is not None
"""Windows limits processes in other ways."""

LENGTHS = struct.Struct(">II")
LONGEST_HEADER = 64 * 1024
LONGEST_BODY = 16 * 1024 * 1024
"""Of an answer: a picture of 1024 x 1024 RGB has 3 MB."""
START_SECONDS = 60
END_SECONDS = 1
KEPT = 4
"""Idle decoders that are kept; more come and go when more threads than this decode at once."""

# Servers that embed Python, such as uWSGI, name themselves here.
PYTHON = sys.executable if "python" in Path(sys.executable or "").name else str(Path(sys.exec_prefix, "bin", "python3"))
COMMAND = (PYTHON, "-P", "-W", "ignore", "-m", "mmsearch_django.media.decoder")


class Decoder:
    """One process, and the socket to it. Raises EOFError or OSError when it is gone, TimeoutError when it is slow."""

    def __init__(self, command: Sequence[str]) -> None:
        self.socket, theirs = socket.socketpair()
        with theirs:
            try:
                self.process: subprocess.Popen[bytes] = subprocess.Popen(
                    command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, env=_environment()
                )
            except OSError:
                self.socket.close()
                raise

    def ask(self, header: dict[str, Any], body: bytes, seconds: float) -> tuple[dict[str, Any], bytearray]:
        """Its answer, which must come within so many seconds. Raises ValueError for one that is none."""
        deadline = time.monotonic() + seconds
        head = json.dumps(header).encode()
        for part in (LENGTHS.pack(len(head), len(body)) + head, body):
            self.socket.settimeout(_left(deadline))
            self.socket.sendall(part)
        return self.answer(deadline)

    def answer(self, deadline: float) -> tuple[dict[str, Any], bytearray]:
        """The next frame that it sends, until the monotonic clock shows ``deadline``."""
        head, body = LENGTHS.unpack(self._receive(LENGTHS.size, deadline))
        if head > LONGEST_HEADER or body > LONGEST_BODY:
            raise ValueError(f"an answer of {head} and {body} bytes")
        header = json.loads(self._receive(head, deadline))
        if not isinstance(header, dict):
            raise ValueError("an answer without a header")
        return header, self._receive(body, deadline)

    def _receive(self, size: int, deadline: float) -> bytearray:
        data = bytearray(size)
        rest = memoryview(data)
        while rest:
            self.socket.settimeout(_left(deadline))
            count = self.socket.recv_into(rest)
            if not count:
                raise EOFError
            rest = rest[count:]
        return data

    def end(self, patience: float = 0) -> int:
        """Its exit status: negative for a signal. One that has not ended of itself by then is killed."""
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.socket.close()
        return self.process.wait()

    def disown(self) -> None:
        """After a fork: the other process has it. Were the socket kept open here, it would not end with the other."""
        self.socket.close()
        self.process.poll()


class Sandbox:
    """Decoders: a thread takes an idle one, or starts one, for a file. One that fails is replaced by a fresh one."""

    def __init__(self, command: Sequence[str] = COMMAND) -> None:
        self.command = command
        self.idle: deque[Decoder] = deque()
        self.living: set[Decoder] = set()

    def decode(self, data: bytes, name: str) -> Image:
        """As ``images.decode``. Raises TooMuchTime, TooMuchMemory and DecoderDied, and what the decoder raises.

        Raises ConfigurationError when no decoder can be started: then it is not the file's fault.
        """
        try:
            return self._decode(self._idle_or_fresh(), data, name)
        except (TooMuchTime, TooMuchMemory, DecoderDied):
            # The kernel may have killed it for others' sake, or other files have used up its memory.
            return self._decode(self._fresh(), data, name)

    def close(self) -> None:
        """End all decoders. Those of a process that is killed end as well: what they read from is closed."""
        self.idle.clear()
        while self.living:
            self.living.pop().end()

    def disown(self) -> None:
        """Leave all decoders to the process that this one was forked from."""
        self.idle.clear()
        while self.living:
            self.living.pop().disown()

    def _idle_or_fresh(self) -> Decoder:
        try:
            return self.idle.pop()
        except IndexError:
            return self._fresh()

    def _fresh(self) -> Decoder:
        decoder = None
        try:
            decoder = Decoder(self.command)
            decoder.answer(time.monotonic() + START_SECONDS)
        except (OSError, EOFError, ValueError) as error:
            cause = repr(error) if decoder is None else f"{error!r}; {_ending(decoder.end(END_SECONDS))}"
            raise ConfigurationError(
                f"The process that decodes files cannot be started ({cause}): {' '.join(self.command)}. The log has "
                f"its own message. MMSEARCH['SANDBOX'] = False decodes without it."
            ) from error
        self.living.add(decoder)
        return decoder

    def _decode(self, decoder: Decoder, data: bytes, name: str) -> Image:
        answer = None
        try:
            answer = _answer(decoder, data, name)
        finally:  # Also when this thread is interrupted, in the middle of an answer.
            if answer is None or isinstance(answer, TooMuchMemory) or len(self.idle) >= KEPT:
                self.living.discard(decoder)
                decoder.end()
            else:
                self.idle.append(decoder)
        if isinstance(answer, AssetError):
            raise answer
        return answer


def _answer(decoder: Decoder, data: bytes, name: str) -> Image | AssetError:
    limits = {key: getattr(conf, key) for key in ("MAX_PIXELS", "DECODE_SECONDS", "DECODE_MEMORY")}
    request = {"name": name, "settings": limits, "readers": list(_readers())}
    try:
        return _believed(*decoder.ask(request, data, conf.DECODE_SECONDS))
    except TimeoutError as error:
        raise TooMuchTime(
            f"{name!r} takes longer than {conf.DECODE_SECONDS} seconds to decode (MMSEARCH['DECODE_SECONDS']). "
            f"{TooMuchTime.advice}"
        ) from error
    except (OSError, EOFError) as error:
        raise DecoderDied(_died(name, _ending(decoder.end(END_SECONDS)))) from error
    except (ValueError, RecursionError) as error:
        raise DecoderDied(_died(name, "it answered nonsense")) from error


def _believed(header: dict[str, Any], body: bytearray) -> Image | AssetError:
    """The picture or the error that was answered. Raises ValueError if it is neither."""
    if "error" in header:
        kind = vars(exceptions).get(str(header["error"]))
        if not (isinstance(kind, type) and issubclass(kind, AssetError)):
            raise ValueError("an unknown error")
        return kind(str(header.get("message")))
    match header.get("size"):
        case [int(width), int(height)] if width > 0 and height > 0 and width * height * 3 == len(body):
            return Pillow.frombytes("RGB", (width, height), body)
    raise ValueError("no picture of its size")


def _readers() -> Iterator[tuple[str, str, str]]:
    """Readers that the site registered with Pillow: format, class, and the function that accepts, by dotted names."""
    for name, (reader, accept) in list(Pillow.OPEN.items()):
        if not reader.__module__.startswith("PIL."):
            yield name, _dotted(reader), _dotted(accept)


def _dotted(thing: Any) -> str:
    return f"{thing.__module__}.{thing.__qualname__}" if hasattr(thing, "__qualname__") else ""


def _environment() -> dict[str, str]:
    """This process's own, from where it imports; libraries for numbers start no threads, whose memory would count."""
    path = os.pathsep.join(part or os.getcwd() for part in sys.path)
    return {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def _left(deadline: float) -> float:
    if (left := deadline - time.monotonic()) <= 0:
        raise TimeoutError
    return left


def _died(name: str, ending: str) -> str:
    return f"Decoding {name!r} ended the process that did it, twice ({ending}). {DecoderDied.advice}"


def _ending(status: int) -> str:
    return f"exit status {status}" if status >= 0 else f"killed by {signal.Signals(-status).name}"


decoders = Sandbox()
"""Those of this process."""

atexit.register(decoders.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=decoders.disown)

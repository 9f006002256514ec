"""A real Celery worker as a process of its own, for as long as somebody holds it."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

STOP_SECONDS = 10
LOOK_SECONDS = 1
TAIL_BYTES = 3000


class Worker:
    """``with Worker(log) as worker:`` starts it, with beat inside, and stops it at the end.

    It has a session of its own, so that Ctrl-C reaches it through us alone; and it ends when its input does, so that it
    does not outlive us even if we are killed.
    """

    def __init__(self, log: Path) -> None:
        self.log = log

    def __enter__(self) -> Self:
        self.process = self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.process.terminate()
        try:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
        finally:
            self._end_what_is_left()
            self.process.wait()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """While it lasts, a worker that ends, whatever ends it, is started again, as a site's supervisor would."""
        over = threading.Event()
        keeper = threading.Thread(target=self._keep, args=(over,), daemon=True)
        keeper.start()
        try:
            yield
        finally:
            over.set()
            keeper.join()

    def check(self) -> None:
        """Raises RuntimeError with the end of its log if it is not running."""
        if self.process.poll() is not None:
            tail = self.log.read_bytes()[-TAIL_BYTES:].decode(errors="replace")
            raise RuntimeError(f"The worker ended with {self.process.returncode}; {self.log} ends so:\n{tail}")

    def _keep(self, over: threading.Event) -> None:
        while not over.wait(LOOK_SECONDS):
            if self.process.poll() is not None:
                self._end_what_is_left()
                self.process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        arguments = ("worker", "-B", "--pool", "solo", "--loglevel", "info", "--without-gossip", "--without-mingle")
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "example_project", *arguments],
                env={**os.environ, "EXAMPLE_WORKER": "1"},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _end_what_is_left(self) -> None:
        """Of its process group: a worker that was killed leaves its beat behind."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

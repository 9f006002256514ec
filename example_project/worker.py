"""A real Celery worker as a process of its own, for as long as somebody holds it."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Self

STOP_SECONDS = 10
POLL_SECONDS = 0.5
TAIL_BYTES = 3000
QUICK_DEATHS = 3
QUICK_SECONDS = 20
"""A worker that ends so soon did not get to work; after some such ends in a row it is not started again."""


class Worker:
    """``with Worker(log) as worker:`` starts it, with beat inside, starts it again if it ends, and stops it at the end.

    It has a session of its own, so that Ctrl-C reaches it through us alone; and it ends when its input does, so that it
    does not outlive us even if we are killed.
    """

    def __init__(self, log: Path) -> None:
        self.log = log
        self.stopped = Event()
        self.watcher = Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self.process = self._start()
        self.watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stopped.set()
        self.watcher.join()
        self.process.terminate()
        try:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
        finally:
            self._end_what_is_left()
            self.process.wait()

    def check(self) -> None:
        """Raises RuntimeError with the end of its log if it is not running and will not be started again."""
        if not self.watcher.is_alive():
            tail = self.log.read_bytes()[-TAIL_BYTES:].decode(errors="replace")
            raise RuntimeError(f"The worker ended with {self.process.returncode}; {self.log} ends so:\n{tail}")

    def _start(self) -> "subprocess.Popen[bytes]":
        arguments = ("worker", "-B", "--pool", "solo", "--loglevel", "info", "--without-gossip", "--without-mingle")
        self.since = time.monotonic()
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "example_project", *arguments],
                env={**os.environ, "EXAMPLE_WORKER": "1"},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _watch(self) -> None:
        """In a thread: whoever waits for requests or for the worker cannot look after it."""
        quick = 0
        while not self.stopped.wait(POLL_SECONDS):
            if self.process.poll() is None:
                continue
            quick = quick + 1 if time.monotonic() - self.since < QUICK_SECONDS else 0
            if quick == QUICK_DEATHS:
                return
            self._end_what_is_left()
            self.process = self._start()

    def _end_what_is_left(self) -> None:
        """Of its process group: a worker that was killed leaves its beat behind."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

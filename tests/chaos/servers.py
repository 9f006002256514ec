"""Real servers and workers of the drill's own, to be stopped, killed and started again."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress

import psutil

from example_project.postgres import Server

POOLS = (("prefork", "2"), ("threads", "2"), ("solo", "1"))


class Postgres:
    def __init__(self, folder):
        self.server = Server(folder)
        self.server.join()

    def restart(self, mode, pause):
        self.server.stop(mode)
        time.sleep(pause)
        self.server.join()

    def close(self):
        self.server.stop("immediate")
        self.server.leave(os.getpid())


class Redis:
    def __init__(self, folder):
        self.folder = folder
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", self.folder / "redis.sock", "--save", ""],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
        )

    def restart(self, pause):
        self.close()
        time.sleep(pause)
        self.start()

    def close(self):
        self.process.kill()
        self.process.wait()


class Worker:
    """A Celery worker with its beat, of a random pool; one that has ended is followed by another."""

    def __init__(self, number, folder, dice):
        self.number, self.folder, self.dice = number, folder, dice
        self.started = 0
        self.start()

    def start(self):
        pool, size = self.dice.choice(POOLS)
        self.started += 1
        options = ["--pool", pool, "--concurrency", size, "--hostname", f"w{self.number}-{self.started}@chaos"]
        quiet = ["--without-gossip", "--without-mingle", "--loglevel", "warning"]
        beat = ["-B", "--schedule", self.folder / f"beat-{self.number}-{self.started}"]
        with (self.folder / "workers.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "celery", "-A", "tests.chaos.site", "worker"]
                + options
                + quiet
                + beat,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def keep(self):
        if self.process.poll() is not None:
            self.close()
            self.start()

    def kill(self):
        """All its processes at once, or one of its children: the beat, a process of the pool, a decoder."""
        with suppress(psutil.NoSuchProcess):
            children = psutil.Process(self.process.pid).children(recursive=True)
            if children and self.dice.random() < 0.4:
                self.dice.choice(children).kill()
            else:
                self.close()

    def close(self):
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def dice(seed, *names):
    """A generator of its own for each part, so that one part's luck does not hang on another's timing."""
    return random.Random(":".join(map(str, (seed, *names))))

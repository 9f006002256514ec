"""Servers of a site that are stopped, killed and started again: Postgres, Redis, Celery's workers, its own programs."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest

from example_project.postgres import Server
from tests.chaos import contents
from tests.chaos.deadly import AWAY
from tests.indexing.processes import wait_for

QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "warning")


class Site:
    """``with Site(folder) as site:`` gives a migrated Postgres of its own, files, and nothing else that runs."""

    def __init__(self, folder):
        self.folder = folder
        self.postgres = Server(folder / "postgres")
        self.stack = ExitStack()

    def __enter__(self):
        contents.make(self.folder / "media")
        with self.stack:
            self.postgres.join()
            self.stack.callback(self.postgres.leave, os.getpid())
            self.run("-m", "django", "migrate", "--run-syncdb", "--verbosity", "0")
            self.stack = self.stack.pop_all()
        return self

    def __exit__(self, *raised):
        self.stack.close()

    def environment(self, **more):
        return {
            **os.environ,
            "DATABASE_URL": self.postgres.url,
            "DJANGO_SETTINGS_MODULE": "tests.chaos.settings",
            "TEST_DATA": str(self.folder),
            **more,
        }

    def start(self, *arguments, **more):
        command = [sys.executable, "-W", "ignore", *arguments]
        return subprocess.Popen(command, env=self.environment(**more), stdout=subprocess.PIPE, text=True)

    def run(self, *arguments):
        """What a program of the site prints; it must succeed."""
        process = self.start(*arguments)
        said, _ = process.communicate()
        assert process.returncode == 0, arguments
        return said

    def redis(self):
        server = Redis(self.folder / "redis")
        self.stack.callback(server.kill)
        server.start()
        return server

    def worker(self, broker, *options):
        worker = Worker(self, broker, options)
        self.stack.callback(worker.kill)
        worker.start()
        return worker

    def restart_postgres(self, mode, seconds):
        """As it ends by itself ("fast"), or as in a crash ("immediate"); it is away for so many seconds."""
        self.postgres.stop(mode)
        time.sleep(seconds)
        self.postgres.join()

    def storage_away(self, away):
        mark = self.folder / "media" / AWAY
        mark.touch() if away else mark.unlink(missing_ok=True)


class Redis:
    """Keeps nothing when it is killed."""

    def __init__(self, folder):
        folder.mkdir(exist_ok=True)
        self.folder, self.socket, self.process = folder, folder / "socket", None
        self.url = f"redis+socket://{self.socket}"

    def start(self):
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("redis-server is not installed")
        options = ("--port", "0", "--unixsocket", self.socket, "--save", "")
        self.process = subprocess.Popen([program, *options], cwd=self.folder, stdout=subprocess.DEVNULL)
        wait_for(self.socket.exists)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.socket.unlink(missing_ok=True)


class Worker:
    """A Celery worker in a session of its own, with all that it started."""

    def __init__(self, site, broker, options):
        self.site, self.broker, self.options = site, broker, options
        self.log = site.folder / f"worker-{'-'.join(options).replace('/', '-')}.log"
        self.starts, self.process = 0, None

    def start(self):
        environment = self.site.environment(TEST_BROKER=self.broker)
        schedule = self.log.with_suffix(".schedule")
        command = ("-m", "celery", "-A", "tests.chaos.worker", "worker", *QUIET, "--hostname", f"{self.starts}@%h")
        beat = ("--schedule", str(schedule)) if "-B" in self.options else ()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "ignore", *command, *self.options, *beat],
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.starts += 1

    def supervise(self):
        """As a site's supervisor does."""
        if self.process.poll() is not None:
            self.kill()
            self.start()

    def signal(self, number):
        """To all that it started as well."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.process.wait()

    def kill_child(self, random):
        with suppress(psutil.NoSuchProcess, IndexError):
            random.choice(psutil.Process(self.process.pid).children(recursive=True)).kill()

    def tail(self):
        return Path(self.log).read_text(errors="replace")[-4000:]

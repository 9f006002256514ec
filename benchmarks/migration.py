"""How long writers wait while search is added to a table in production, and taken out of it again.

    python -m benchmarks.migration --rows 100000

A site is made in a folder and a database of its own, and migrated by the real ``migrate`` in a process of its own,
while writers go on in connections of theirs and a watcher reads ``pg_locks``. Beside it, in turns: the same writers and
no migration; and the migration as it is usually written, a column on the table itself, without a lock_timeout.
"""

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

ROOT = Path(__file__).resolve().parent.parent
DATABASE = "benchmark_migration"
WRITERS = 4
OPEN_SECONDS = 8.0
"""How long somebody's transaction stays open on the table: longer than migrate has patience."""

SETTINGS = f"""
import dj_database_url
DATABASES = {{"default": {{**dj_database_url.config(), "NAME": "{DATABASE}"}}}}
DATABASES["default"].setdefault("OPTIONS", {{}})["application_name"] = "migrate"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "mmsearch_django", "photos"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DUMMY = {{"BACKEND": "mmsearch_django.embedders.dummy.DummyEmbedder", "OPTIONS": {{"dimensions": 384}}}}
MMSEARCH = {{"EMBEDDERS": {{"default": DUMMY}}}}
"""
MODEL = """
from django.db import models
from mmsearch_django.fields import EmbeddingField
from mmsearch_django.sources import TextSource
from pgvector.django import HalfVectorField

class Photo(models.Model):
    title = models.CharField(max_length=200)
    number = models.IntegerField()
"""
FIELD = '    look = EmbeddingField(TextSource("title"))\n'
COLUMN = "    vector = HalfVectorField(dimensions=384, null=True)\n"


@dataclass
class Watched:
    """What was seen while one thing was done, in seconds."""

    writes: list[float] = field(default_factory=list)
    """Of each write, how long it took."""
    queued: float = 0.0
    """The longest that a writer was seen to wait for a lock on the table."""
    held: float = 0.0
    """The longest that migrate had a lock on the table that writers wait for."""
    awaited: float = 0.0
    """The longest that it stood in the queue for one."""


class Site:
    def __init__(self, folder: Path, server: str) -> None:
        self.folder = folder
        self.server = server
        (folder / "photos/migrations").mkdir(parents=True)
        (folder / "photos/migrations/__init__.py").touch()
        (folder / "settings.py").write_text(SETTINGS)

    def connect(self, database: str = DATABASE) -> "psycopg.Connection[Any]":
        return psycopg.connect(self.server, dbname=database, autocommit=True)

    def declare(self, line: str = "") -> None:
        (self.folder / "photos/models.py").write_text(MODEL + line)
        self.manage("makemigrations", "photos")

    def manage(self, *arguments: str) -> str:
        kept = {"DATABASE_URL": self.server, "DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-m", "django", *arguments],
            cwd=self.folder,
            env={**os.environ, **kept},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout + done.stderr


@contextmanager
def writers(site: Site, rows: int, watched: Watched) -> Iterator[None]:
    """People at work: each writes one row after the other."""
    stop = threading.Event()

    def write() -> None:
        with site.connect() as connection:
            while not stop.is_set():
                key = random.randint(1, rows)
                start = time.perf_counter()
                connection.execute("UPDATE photos_photo SET title = title || '.' WHERE id = %s", [key])
                watched.writes.append(time.perf_counter() - start)
                time.sleep(0.005)

    with threads([write] * WRITERS, stop):
        yield


LOCKS = """
SELECT a.application_name = 'migrate', a.xact_start, l.granted,
       COALESCE(EXTRACT(epoch FROM clock_timestamp() - l.waitstart), 0)::float
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.relation = 'photos_photo'::regclass
  AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'AccessExclusiveLock')
"""


@contextmanager
def watcher(site: Site, watched: Watched) -> Iterator[None]:
    """Looks at the locks as often as it can, so what it saw may have lasted a little longer."""
    stop = threading.Event()

    def watch() -> None:
        first_seen: dict[Any, float] = {}
        with site.connect() as connection:
            while not stop.is_set():
                for migrate, transaction, granted, waiting in connection.execute(LOCKS).fetchall():
                    now = time.perf_counter()
                    if not migrate:
                        watched.queued = max(watched.queued, waiting)
                    elif granted:
                        watched.held = max(watched.held, now - first_seen.setdefault(transaction, now))
                    else:
                        watched.awaited = max(watched.awaited, waiting)

    with threads([watch], stop):
        yield


@contextmanager
def threads(targets: list[Callable[[], None]], stop: threading.Event) -> Iterator[None]:
    running = [threading.Thread(target=target) for target in targets]
    for thread in running:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in running:
            thread.join()


@contextmanager
def open_transaction(site: Site) -> Iterator[None]:
    """Somebody wrote a row and does not commit for a while."""
    wrote = threading.Event()

    def stay() -> None:
        with site.connect() as connection, connection.transaction():
            connection.execute("INSERT INTO photos_photo (title, number) VALUES ('mine', 0)")
            wrote.set()
            time.sleep(OPEN_SECONDS)

    with threads([stay], threading.Event()):
        wrote.wait()
        yield


def measure(site: Site, rows: int, act: Callable[[], object], *, busy: bool = False) -> Watched:
    watched = Watched()
    with writers(site, rows, watched), watcher(site, watched):
        time.sleep(1)
        with open_transaction(site) if busy else nullcontext():
            act()
        time.sleep(1)
    return watched


def contest(site: Site, rows: int) -> Iterator[tuple[str, Watched]]:
    """Each step with what it is called."""
    site.declare()
    site.manage("migrate")
    with site.connect() as connection:
        connection.execute(
            "INSERT INTO photos_photo (title, number) SELECT 'photo ' || n, n FROM generate_series(1, %s) AS n", [rows]
        )
        connection.execute("VACUUM ANALYZE photos_photo")
    yield "no migration", measure(site, rows, lambda: time.sleep(3))
    site.declare(FIELD)
    yield "a field is added", measure(site, rows, lambda: site.manage("migrate"))
    site.declare()
    yield "and removed", measure(site, rows, lambda: site.manage("migrate"))
    yield "no migration, a transaction open", measure(site, rows, lambda: time.sleep(3), busy=True)
    site.declare(FIELD)
    yield "a field is added, a transaction open", measure(site, rows, lambda: site.manage("migrate"), busy=True)
    yield "and mmsearch_triggers after it", measure(site, rows, lambda: site.manage("mmsearch_triggers"))
    site.declare()
    yield "and removed, a transaction open", measure(site, rows, lambda: site.manage("migrate"), busy=True)
    site.declare(COLUMN)
    yield "a column is added, a transaction open", measure(site, rows, lambda: site.manage("migrate"), busy=True)


def line(name: str, watched: Watched) -> str:
    cells = (statistics.median(watched.writes), max(watched.writes), watched.queued, watched.awaited, watched.held)
    return f"| {name} | {len(watched.writes):,} | {' | '.join(f'{1000 * seconds:.1f}' for seconds in cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    arguments = parser.parse_args()

    server = os.environ.get("DATABASE_URL")
    if not server:
        from example_project.postgres import embedded_url

        server = embedded_url(Path(os.environ.get("BENCHMARK_DATA") or ROOT / ".benchmark_data") / "postgres")
    folder = Path(tempfile.mkdtemp())
    site = Site(folder, server)
    with site.connect("postgres") as postgres:
        postgres.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        postgres.execute(f"CREATE DATABASE {DATABASE}")
        try:
            print(f"{arguments.rows:,} rows, {WRITERS} writers; milliseconds\n")
            print("| while | writes | median | longest write | of it for a lock | migrate: awaited | held |")
            print("|---|---|---|---|---|---|---|")
            for name, watched in contest(site, arguments.rows):
                print(line(name, watched), flush=True)
        finally:
            postgres.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()

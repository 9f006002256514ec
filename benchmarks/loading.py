"""Texts whose vectors are there already: what the pipeline itself costs, in time and in memory."""

import argparse
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from typing import Any
from zlib import crc32

import numpy as np
import psutil
from django.db import connection
from pgvector import HalfVector
from pgvector.psycopg import register_vector

from benchmarks.models import Item
from benchmarks.sizing import execute
from mmsearch_django.fields import embedding_fields
from mmsearch_django.indexing import claims, hnsw
from mmsearch_django.indexing.pipeline import work
from mmsearch_django.indexing.targets import Target, target
from mmsearch_django.media import sandbox

POOL = 20_000
BATCH = 1000
"""Rows that the loop by hand embeds and copies at once."""
INDEXED = 5_000
"""Rows that are written with the index in place: that is slow."""


@cache
def pool() -> Any:
    """Random unit vectors, shape (POOL, dimensions)."""
    found = np.random.default_rng(0).standard_normal((POOL, items().field.embedder.dimensions), dtype=np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def vectors(texts: Sequence[str]) -> Any:
    return pool()[[crc32(text.encode()) % POOL for text in texts]]


def items() -> Target:
    return target(embedding_fields(Item)["look"])


def fill(rows: int) -> None:
    """So many marked rows, and nothing embedded."""
    look = items()
    execute(f"TRUNCATE benchmarks_item, {look.vector_table}, mmsearch_django_state, mmsearch_django_mark")
    execute(
        "INSERT INTO benchmarks_item (id, title, shuffled, cluster)"
        f" SELECT n, 'item ' || n, n, n / 100 FROM generate_series(1, {rows}) AS n"
    )
    look.field.embedder.warm_up()
    execute("CHECKPOINT")


def pipeline(rows: int) -> float:
    """Seconds from marks to vectors."""
    look, start = items(), time.perf_counter()
    while claims.drain(look):
        pass
    assert sum(counts["ready"] for counts in work(look)) == rows
    return time.perf_counter() - start


def by_hand(rows: int) -> float:
    """The same rows of vectors by the same embedder, without states, claims and whatever can go wrong."""
    embedder, own = items().field.embedder, connection.copy()
    own.ensure_connection()
    register_vector(own.connection)
    start = time.perf_counter()
    with own.connection.transaction(), own.connection.cursor() as cursor:
        found = cursor.execute("SELECT id, title FROM benchmarks_item").fetchall()
        cursor.execute("CREATE TEMP TABLE incoming (id bigint, vector halfvec, digest bytea) ON COMMIT DROP")
        with cursor.copy("COPY incoming FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(["int8", "halfvec", "bytea"])
            for first in range(0, rows, BATCH):
                batch = found[first : first + BATCH]
                made = embedder.embed_texts([title for _, title in batch])
                for (key, title), vector in zip(batch, made, strict=True):
                    copy.write_row((key, HalfVector(vector), sha256(title.encode()).digest()))
        cursor.execute(
            f"INSERT INTO {items().vector_table} (object_id, vector, digest, signature, preprocessing)"
            " SELECT id, vector, digest, 'by hand', 1 FROM incoming"
        )
    seconds = time.perf_counter() - start
    own.close()
    return seconds


def text(arguments: argparse.Namespace) -> Iterator[str]:
    rows, took = arguments.rows, []
    execute(f"DROP INDEX IF EXISTS {hnsw.index_name(items())}")
    for _ in range(arguments.rounds):
        fill(rows)
        hand = by_hand(rows)
        fill(rows)
        took.append((hand, pipeline(rows)))
    ratio = statistics.median(hand / ours for hand, ours in took)
    yield f"| {rows:,} texts | rows a second |"
    yield "|---|---|"
    for name, seconds in zip(("by hand", "pipeline"), zip(*took, strict=True), strict=True):
        yield f"| {name} | {rows / statistics.median(seconds):,.0f} |"
    yield f"\npipeline / by hand: {ratio:.2f}"


def index(arguments: argparse.Namespace) -> Iterator[str]:
    look = items()
    name = hnsw.index_name(look)
    hnsw.PAYS = 1  # So that there is one before all is loaded.
    execute(f"DROP INDEX IF EXISTS {name}")
    fill(1)
    pipeline(1)
    hnsw.build(look)
    fill(INDEXED)
    kept = pipeline(INDEXED)
    execute(f"DROP INDEX {name}")
    fill(INDEXED)
    loaded, start = pipeline(INDEXED), time.perf_counter()
    hnsw.build(look)
    built = time.perf_counter() - start
    execute(f"DROP INDEX {name}")
    yield f"| {INDEXED:,} texts | seconds | rows a second |"
    yield "|---|---|---|"
    yield f"| index in place | {kept:.1f} | {INDEXED / kept:,.0f} |"
    yield f"| dropped, and built afterwards | {loaded:.1f} + {built:.1f} | {INDEXED / (loaded + built):,.0f} |"
    yield f"\ndropped / in place: {kept / (loaded + built):.1f}"


def memory(arguments: argparse.Namespace) -> Iterator[str]:
    execute(f"DROP INDEX IF EXISTS {hnsw.index_name(items())}")
    fill(arguments.pending)
    with growth() as grown:
        pipeline(arguments.pending)
    yield f"{arguments.pending:,} pending texts: the process grew by {grown[0] / 1e6:.0f} MB at most"


@contextmanager
def growth() -> Iterator[list[int]]:
    """By how many bytes this process grows at most meanwhile, and what its decoders take in all.

    Looked at twenty times a second.
    """
    process, done, found = psutil.Process(), threading.Event(), [0, 0]
    before = process.memory_info().rss

    def watch() -> None:
        while not done.wait(0.05):
            found[0] = max(found[0], process.memory_info().rss - before)
            found[1] = max(found[1], sum(map(_size, list(sandbox.decoders.living))))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield found
    finally:
        done.set()
        watcher.join()


def _size(decoder: sandbox.Decoder) -> int:
    try:
        return int(psutil.Process(decoder.process.pid).memory_info().rss)
    except psutil.NoSuchProcess:
        return 0

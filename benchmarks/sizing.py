"""What a large library takes: time, memory and room, from an empty table to a vacuumed one.

    python -m benchmarks.sizing --rows 300000 --dimensions 1024

The embedder does no work, so the times are those of everything else. Its vectors are of clusters, as those of models
are, since the index of random ones would be another.
"""

import argparse
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from zlib import crc32

import django
import numpy as np
import psutil
from tqdm import tqdm

POOL = 5_000
NOISE = 0.6
CHANGED = 0.1
MEMORY = "2GB"
"""maintenance_work_mem while the index is built: with less than the graph needs it takes many times as long."""

_pool: dict[str, Any] = {}


def texts(found: Sequence[str]) -> Any:
    """A vector for each text, always the same: near to one of the pool. Shape (n, dimensions)."""
    items, noise = _pool["items"], _pool["noise"]
    digests = np.array([crc32(text.encode()) for text in found])
    return items[digests % POOL] + NOISE * noise[digests // POOL % POOL]


def embedder(dimensions: int) -> dict[str, Any]:
    """Its settings."""
    return {
        "BACKEND": "mmsearch_django.embedders.callable.CallableEmbedder",
        "MODEL": "made-up",
        "OPTIONS": {"texts": "benchmarks.sizing.texts", "dimensions": dimensions},
    }


def fill_pool(dimensions: int) -> dict[str, Any]:
    from benchmarks.data import make

    noise = np.random.default_rng(1).standard_normal((POOL, dimensions), dtype=np.float32)
    return {"items": make(POOL, dimensions, 1, 0).items, "noise": noise / dimensions**0.5}


class Ledger:
    """How long each step took."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, float, int]] = []

    @contextmanager
    def step(self, name: str, rows: int = 0) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.lines.append((name, time.perf_counter() - start, rows))
        tqdm.write(f"{name}: {self.lines[-1][1]:.0f} s")

    def table(self) -> Iterator[str]:
        yield "| step | seconds | rows a second |"
        yield "|---|---|---|"
        for name, seconds, rows in self.lines:
            yield f"| {name} | {seconds:,.0f} | {f'{rows / seconds:,.0f}' if rows else ''} |"


def execute(sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(sql, parameters or None)
        return cursor.fetchall() if cursor.description else []


def insert(rows: int) -> None:
    from django.db import connection

    with (
        connection.cursor() as cursor,
        cursor.copy("COPY benchmarks_item (id, title, shuffled, cluster) FROM STDIN") as copy,
    ):
        for key in range(1, rows + 1):
            copy.write_row((key, f"item {key}", key, key % 100))


def work_off(target: Any, rows: int) -> int:
    """Returns by how many bytes this process grew while it did so."""
    from mmsearch_django.indexing import claims
    from mmsearch_django.indexing.pipeline import work

    while claims.drain(target):
        pass
    process = psutil.Process()
    before = peak = process.memory_info().rss
    with tqdm(total=rows, unit="row", desc="embedding") as bar:
        for counts in work(target):
            bar.update(counts.total())
            peak = max(peak, process.memory_info().rss)
    return int(peak - before)


def vacuum(tables: Sequence[str]) -> None:
    for name in tables:
        execute(f"VACUUM ANALYZE {name}")


def sizes(names: dict[str, str]) -> Iterator[str]:
    """Each table with its indexes and those indexes alone, in megabytes, and bytes a row."""
    yield "| table | rows | table | indexes | bytes a row in all |"
    yield "|---|---|---|---|---|"
    for name, table in names.items():
        [(rows, heap, indexes)] = execute(
            f"SELECT (SELECT count(*) FROM {table}), pg_table_size('{table}'), pg_indexes_size('{table}')"
        )
        each = f"{(heap + indexes) / rows:,.0f}" if rows else ""
        yield f"| {name} | {rows:,} | {heap / 1e6:,.0f} MB | {indexes / 1e6:,.0f} MB | {each} |"


def index_sizes(table: str) -> Iterator[str]:
    for name, size in execute(
        "SELECT c.relname, pg_relation_size(c.oid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        " WHERE i.indrelid = %s::regclass ORDER BY 2 DESC",
        table,
    ):
        yield f"- `{name}`: {size / 1e6:,.0f} MB"


def searches(dimensions: int) -> Iterator[str]:
    """Medians of 20 searches for ten rows, at the default depth."""
    from benchmarks.models import Item

    random = np.random.default_rng(0)
    for name, rows in (("all rows", Item.objects.all()), ("a filter of 10 %", Item.objects.filter(cluster__lt=10))):
        seconds = []
        for _ in range(20):
            query = _pool["items"][random.integers(POOL)] + 0.3 * random.standard_normal(dimensions) / dimensions**0.5
            start = time.perf_counter()
            list(rows.search(vector=query, fields=["look"])[:10])
            seconds.append(time.perf_counter() - start)
        yield f"- {name}: {statistics.median(seconds) * 1000:.0f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--dimensions", type=int, default=1024)
    arguments = parser.parse_args()
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
    os.environ["BENCHMARK_DIMENSIONS"] = str(arguments.dimensions)

    from django.conf import settings

    settings.MMSEARCH["EMBEDDERS"]["default"] = embedder(arguments.dimensions)
    django.setup()
    run(arguments.rows, arguments.dimensions)


def run(rows: int, dimensions: int) -> None:
    from django.core.management import call_command

    import benchmarks.sizing
    from benchmarks.models import Item
    from mmsearch_django.fields import embedding_fields
    from mmsearch_django.indexing import hnsw, sweep
    from mmsearch_django.indexing.targets import target

    # Also where the embedder looks, since this file runs under another name.
    _pool.update(fill_pool(dimensions))
    benchmarks.sizing._pool.update(_pool)
    call_command("migrate", run_syncdb=True, verbosity=0)
    look = target(embedding_fields(Item)["look"])
    vectors = look.field.vectors._meta.db_table
    names = {
        "items": "benchmarks_item",
        "vectors": vectors,
        "states": "mmsearch_django_state",
        "marks": "mmsearch_django_mark",
    }
    execute(f"TRUNCATE {', '.join(names.values())}")
    execute(f"DROP INDEX IF EXISTS {hnsw.index_name(look)}")
    look.field.embedder.warm_up()
    ledger = Ledger()
    with ledger.step("rows inserted by COPY, and marked", rows):
        insert(rows)
    with ledger.step("embedded by one process", rows):
        grown = work_off(look, rows)
    execute(f"SET maintenance_work_mem = '{MEMORY}'")
    with ledger.step("HNSW index built", rows):
        hnsw.build(look)
    with ledger.step("vacuum and analyze"):
        vacuum(list(names.values()))
    print("\n".join(["", *sizes(names), "", *index_sizes(vectors), "", *searches(dimensions)]))
    with ledger.step("the verifying sweep over all rows", rows):
        sweep.sweep_all(look)
    changed = int(rows * CHANGED)
    with ledger.step("a tenth of the rows changed", changed):
        execute(f"UPDATE benchmarks_item SET title = 'new ' || id WHERE id <= {changed}")
    with ledger.step("that embedded again, the index in place", changed):
        work_off(look, changed)
    with ledger.step("vacuum and analyze again"):
        vacuum(list(names.values()))
    print("\n".join(["", *sizes(names), "", *ledger.table(), ""]))
    print(f"{rows:,} rows of {dimensions} dimensions; the process grew by {grown / 1e6:,.0f} MB while it embedded")


if __name__ == "__main__":
    main()

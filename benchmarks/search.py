"""Recall@10 and time of ``.search(vector=...)[:10]`` under filters, beside two ways of writing the SQL by hand.

    python -m benchmarks.search --rows 100000

**ours**: the queryset. **by hand**: the least SQL for the plan that ours chose, which knows beforehand whether to go
through the index and how wide. **plain**: pgvector as tutorials write it, ``WHERE filter ORDER BY vector <=> q``.
Recall is against numpy over all rows. The three take turns on the same query; times are medians over queries.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import django
import numpy as np
from tqdm import tqdm

SHARES = (1.0, 0.5, 0.2, 0.1, 0.05, 0.01, 0.001)
TOP = 10


@dataclass(frozen=True)
class Cell:
    """A kind of filter and the share of rows that pass it."""

    kind: str
    share: float

    def __str__(self) -> str:
        return f"{self.kind} {self.share:.1%}"


@dataclass
class Measured:
    recall: float
    seconds: float


def cells() -> list[Cell]:
    """``un`` is uncorrelated with the query, ``anti`` passes only the clusters farthest from it."""
    return [Cell("all", 1.0), *(Cell(kind, share) for kind in ("un", "anti") for share in SHARES[1:])]


def load(data: Any) -> None:
    from django.core.management import call_command
    from django.db import connection

    from benchmarks.models import Item
    from mmsearch_django.indexing import hnsw
    from mmsearch_django.indexing.targets import target
    from mmsearch_django.models import Mark
    from mmsearch_django.search.query import literal

    call_command("migrate", run_syncdb=True, verbosity=0)
    look: Any = Item._meta.get_field("look").related_model
    rows = zip(range(1, len(data.items) + 1), data.shuffled.tolist(), data.clusters.tolist(), strict=True)
    table = look._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE benchmarks_item, {table}")
        cursor.execute(f"DROP INDEX IF EXISTS {hnsw.index_name(target(look.embedding_field))}")
        with cursor.copy("COPY benchmarks_item (id, title, shuffled, cluster) FROM STDIN") as copy:
            for key, shuffled, cluster in rows:
                copy.write_row((key, f"item {key}", shuffled, cluster))
        with cursor.copy(f"COPY {table} (object_id, vector) FROM STDIN") as copy:
            for key, vector in enumerate(tqdm(data.items, desc="loading", unit="row"), start=1):
                copy.write_row((key, literal(vector)))
        space = target(look.embedding_field).space
        cursor.execute("DELETE FROM mmsearch_django_state")
        cursor.execute(
            "INSERT INTO mmsearch_django_state (space_id, object_id, status, generation, fingerprint)"
            " SELECT %s, id::text, 'ready', id, '' FROM benchmarks_item",
            [space],
        )
        Mark.objects.all().delete()
        tqdm.write("building the index ...", file=sys.stderr)
        hnsw.build(target(look.embedding_field))
        for name in ("benchmarks_item", table, "mmsearch_django_state", "mmsearch_django_mark"):
            cursor.execute(f"VACUUM ANALYZE {name}")


def filtered(cell: Cell, data: Any, number: int) -> tuple[dict[str, Any], Any]:
    """The lookups of a cell for a query, and which items pass them."""
    if cell.kind == "all":
        return {}, np.ones(len(data.items), bool)
    bound = int(cell.share * len(data.items))
    if cell.kind == "un":
        return {"shuffled__lt": bound}, data.shuffled < bound
    farthest = data.ordered_clusters(data.queries[number])[::-1]
    sizes = np.bincount(data.clusters, minlength=len(farthest))[farthest]
    chosen = farthest[: int(np.searchsorted(np.cumsum(sizes), bound)) + 1]
    return {"cluster__in": chosen.tolist()}, np.isin(data.clusters, chosen)


def truth(data: Any, number: int, passes: Any) -> set[int]:
    keys = np.flatnonzero(passes)
    similarities = data.items[keys] @ data.queries[number]
    return {int(key) + 1 for key in keys[np.argsort(-similarities)[:TOP]]}


class Contest:
    """The three ways for one query and filter."""

    def __init__(self, lookups: dict[str, Any], query: Any, rows: int) -> None:
        from django.db import connection

        from benchmarks.models import Item
        from mmsearch_django.search.query import literal

        self.connection = connection
        self.vector = literal(query)
        self.query = query
        self.items = Item.objects.filter(**lookups)
        self.table = Item._meta.get_field("look").related_model._meta.db_table  # type: ignore[union-attr]
        self.where, self.parameters = self.items.order_by().values("pk").query.get_compiler("default").as_sql()
        self.rows = rows
        self.approximate = False

    def ours(self) -> list[int]:
        found = list(self.items.search(vector=self.query, fields=["look"])[:TOP])
        return [item.pk for item in found]

    def prepare(self) -> None:
        """Find out, outside of the race, which plan ours takes."""
        searched = self.items.search(vector=self.query, fields=["look"])[:TOP]
        report = searched.report
        self.approximate = report is not None and report.legs["look"] == "ann"
        share = self.items.count() / self.rows
        self.ef = int(min(max(2 * 100 / share, 400), 1000))

    def by_hand(self) -> list[int]:
        if not self.approximate:
            return self._fetch(
                f"SELECT object_id FROM {self.table} WHERE object_id = ANY(ARRAY({self.where}))"
                f" ORDER BY (vector <=> %s::halfvec) + 0 LIMIT {TOP}",
                *self.parameters,
                self.vector,
            )
        return self._fetch(
            f"SELECT object_id FROM (SELECT object_id, vector <=> %s::halfvec AS distance FROM {self.table}"
            f" ORDER BY distance LIMIT {self.ef}) AS near"
            f" WHERE object_id IN ({self.where}) ORDER BY distance LIMIT {TOP}",
            self.vector,
            *self.parameters,
            ef=self.ef,
        )

    def plain(self) -> list[int]:
        return self._fetch(
            f"SELECT v.object_id FROM {self.table} v WHERE v.object_id IN ({self.where})"
            f" ORDER BY v.vector <=> %s::halfvec LIMIT {TOP}",
            *self.parameters,
            self.vector,
        )

    def _fetch(self, sql: str, *parameters: Any, ef: int | None = None) -> list[int]:
        with self.connection.cursor() as cursor:
            if ef:
                cursor.execute(f"SET hnsw.ef_search = {ef}")
            cursor.execute(sql, parameters)
            found = [row[0] for row in cursor.fetchall()]
            if ef:
                cursor.execute("RESET hnsw.ef_search")
        return found


WAYS = ("ours", "by_hand", "plain")


def measure(cell: Cell, data: Any) -> dict[str, Measured]:
    recalls: dict[str, list[float]] = {way: [] for way in WAYS}
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for number, query in enumerate(data.queries):
        lookups, passes = filtered(cell, data, number)
        expected = truth(data, number, passes)
        contest = Contest(lookups, query, len(data.items))
        contest.prepare()
        for way in WAYS:
            run: Callable[[], list[int]] = getattr(contest, way)
            run()
            start = time.perf_counter()
            found = run()
            seconds[way].append(time.perf_counter() - start)
            recalls[way].append(len(expected & set(found)) / max(len(expected), 1))
    return {way: Measured(statistics.mean(recalls[way]), statistics.median(seconds[way])) for way in WAYS}


def table(results: dict[Cell, dict[str, Measured]]) -> Iterator[str]:
    yield "| filter | recall@10 ours | plain | ms ours | ours / by hand | ours / plain |"
    yield "|---|---|---|---|---|---|"
    for cell, found in results.items():
        ours, hand, plain = (found[way] for way in WAYS)
        yield (
            f"| {cell} | {ours.recall:.3f} | {plain.recall:.3f} | {ours.seconds * 1000:.1f} "
            f"| {ours.seconds / hand.seconds:.2f} | {ours.seconds / plain.seconds:.2f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
    django.setup()
    from django.conf import settings

    from benchmarks.data import make

    data = make(arguments.rows, settings.DIMENSIONS, arguments.queries, arguments.seed)
    load(data)
    results = {cell: measure(cell, data) for cell in tqdm(cells(), desc="measuring", unit="cell")}
    print(f"{arguments.rows:,} rows of {settings.DIMENSIONS} dimensions, {arguments.queries} queries a cell\n")
    print("\n".join(table(results)))


if __name__ == "__main__":
    main()

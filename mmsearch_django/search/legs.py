"""The search statement: which rows each leg ranks, exactly or by HNSW, without a guess of the planner's.

Every part is a CTE with a prefixed name. The branches stand behind one-time filters, so only what is needed runs:

- ``mm_list`` holds the candidates' keys up to a bound. Within it every leg is exact over the list.
- Beyond it a sample tells the filter's selectivity, and HNSW runs with an ``ef_search`` that gathers enough rows; what
  survives the filter is kept if it fills the depth, else the leg is exact over all candidates.
- Exact scans order by ``distance + 0``, which no index can serve. HNSW scans have no tiebreaker, which would switch
  the index off.
- Settings are changed by a CTE that the scan's one-time filter reads, in time for the scan, and put back by the last
  one, so that nothing leaks into the caller's transaction.
"""

from dataclasses import dataclass
from typing import Any

from mmsearch_django.search import fusion
from mmsearch_django.search.query import Leg, Query

EXACT_LIMIT = 10_000
"""Up to this many candidates every leg is exact: about 25 ms at 1,024 dimensions."""
ANN_LIMIT = 1000
"""Rows that an HNSW scan may return, and pgvector's largest ef_search."""
EF_MIN = 400
"""With 200, recall@10 without a filter was 0.95; with 400 it is 0.99."""
SAMPLE_ROWS = 300
SAMPLE_PAGES = 30

PAGE_BYTES = 8168
ROW_BYTES = 120
"""Of a vector table's row, besides the vector."""


@dataclass(frozen=True)
class Names:
    """Quoted names and types that the statement needs of the model."""

    key_type: str
    tables: tuple[str, ...]
    """The legs' vector tables, quoted."""


class Legs:
    """Renders the candidates and what each leg ranks among them, as CTEs ``mm_ranked<n>``."""

    def __init__(
        self,
        query: Query,
        names: Names,
        candidates: str,
        params: tuple[Any, ...],
        *,
        filtered: bool,
        keywords: tuple[str, tuple[Any, ...]] | None = None,
    ) -> None:
        self.query = query
        self.keywords = keywords
        self.names = names
        self.candidates = candidates
        self.candidate_params = params
        self.filtered = filtered
        self.legs: list[tuple[int, Leg, str]] = [
            (number, leg, table) for number, (leg, table) in enumerate(zip(query.legs, names.tables, strict=True))
        ]

    def _query(self) -> str:
        vectors = ", ".join(f"%s::halfvec({leg.dimensions}) AS q{number}" for number, leg, _ in self.legs)
        return f"mm_query AS MATERIALIZED (SELECT {vectors})"

    def _candidates(self) -> str:
        return f"mm_candidates(pk) AS NOT MATERIALIZED ({self.candidates})"

    @staticmethod
    def _served(number: int) -> str:
        """Whether the leg may be asked at all; see ``mm_spaces``."""
        return f"(SELECT served{number} FROM mm_spaces)"

    def _keywords(self) -> tuple[list[str], tuple[Any, ...]]:
        """Candidates that are selected by name, the nearest of them: a common word selects more than a leg is deep."""
        if self.keywords is None:
            return [], ()
        sql, params = self.keywords
        named = f"SELECT DISTINCT pk FROM ({sql}) AS found(pk) LIMIT {EXACT_LIMIT}"
        near = " UNION ALL ".join(
            f"SELECT object_id, {leg.weight!r}::float8, row_number() OVER (ORDER BY"
            f" vector <=> (SELECT q{number} FROM mm_query), object_id) FROM {table}"
            f" WHERE object_id = ANY((SELECT keys FROM mm_named)::{self.names.key_type}[]) AND {self._served(number)}"
            for number, leg, table in self.legs
        )
        score = fusion.score_sql("weight", "rank", f"{sum(leg.weight for leg in self.query.legs)!r}::float8")
        # Rows without a vector are named all the same, and come last.
        return [
            f"mm_named AS MATERIALIZED (SELECT ARRAY({named}) AS keys)",
            "mm_near(object_id, weight, rank) AS NOT MATERIALIZED"
            f" (SELECT unnest(keys), 0.0::float8, 1::bigint FROM mm_named UNION ALL {near})",
            "mm_keywords AS MATERIALIZED (SELECT object_id, row_number() OVER (ORDER BY score DESC, object_id) AS rank"
            f" FROM (SELECT object_id, {score} AS score FROM mm_near GROUP BY object_id) AS named"
            f" ORDER BY rank LIMIT {self.query.depth})",
        ], params

    def _plan(self) -> list[str]:
        depth = self.query.depth
        indexed = ", ".join(
            f"mm_size.large AND {self._served(n)} AND {self._has_hnsw(table)} AS indexed{n}"
            for n, _, table in self.legs
        )
        gathers = f"selectivity * {ANN_LIMIT} >= {2 * depth}"
        ann = ", ".join(f"coalesce(indexed{n} AND {gathers}, false) AS ann{n}" for n, _, _ in self.legs)
        any_ann = " OR ".join(f"ann{n}" for n, _, _ in self.legs)
        any_indexed = " OR ".join(f"indexed{n}" for n, _, _ in self.legs)
        ef = f"least(greatest(ceil({2 * depth} / selectivity), {EF_MIN}), {ANN_LIMIT})::int::text"
        return [
            f"mm_list AS MATERIALIZED (SELECT ARRAY(SELECT pk FROM mm_candidates LIMIT {EXACT_LIMIT + 1}) AS keys)",
            f"mm_size AS MATERIALIZED (SELECT cardinality(keys) AS n, cardinality(keys) > {EXACT_LIMIT} AS large"
            f" FROM mm_list)",
            f"mm_indexed AS MATERIALIZED (SELECT {indexed} FROM mm_size)",
            f"mm_selectivity AS MATERIALIZED (SELECT CASE WHEN {any_indexed} THEN {self._selectivity()} END"
            f" AS selectivity FROM mm_indexed)",
            f"mm_plan AS MATERIALIZED (SELECT {ann}, {ef} AS ef FROM mm_indexed, mm_selectivity)",
            "mm_before AS MATERIALIZED (SELECT current_setting('hnsw.ef_search', true) AS ef,"
            f" current_setting('hnsw.iterative_scan', true) AS iterative FROM mm_plan WHERE {any_ann})",
            "mm_set AS MATERIALIZED (SELECT mm_plan.*, set_config('hnsw.ef_search', mm_plan.ef, true),"
            " set_config('hnsw.iterative_scan', 'off', true) FROM mm_before, mm_plan)",
        ]

    @staticmethod
    def _has_hnsw(table: str) -> str:
        quoted = table.replace("'", "''")
        return (
            "EXISTS (SELECT FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid"
            " JOIN pg_catalog.pg_am a ON a.oid = c.relam"
            f" WHERE i.indrelid = to_regclass('{quoted}') AND i.indisvalid AND a.amname = 'hnsw')"
        )

    def _selectivity(self) -> str:
        """Share of the first leg's vectors that pass the filter, from a sample of whole pages spread over its table."""
        if not self.filtered:
            return "1.0::float8"
        _, leg, table = self.legs[0]
        rows_per_page = max(1, PAGE_BYTES // (2 * leg.dimensions + ROW_BYTES))
        pages = max(SAMPLE_PAGES, -(-SAMPLE_ROWS // rows_per_page))
        size = f"pg_catalog.pg_relation_size('{table.replace(chr(39), chr(39) * 2)}'::regclass)"
        percent = f"least(100, 100.0 * {pages} * 8192 / greatest({size}, 1))"
        sample = f"ARRAY(SELECT object_id FROM {table} TABLESAMPLE SYSTEM ({percent}) REPEATABLE (1))"
        return (
            f"(SELECT (SELECT count(*) FROM mm_candidates WHERE pk = ANY(keys))::float8"
            f" / nullif(cardinality(keys), 0) FROM (SELECT {sample} AS keys OFFSET 0) AS sample)"
        )

    def _ann(self, number: int, table: str) -> str:
        distance = f"vector <=> (SELECT q{number} FROM mm_query)"
        return (
            f"mm_ann{number} AS MATERIALIZED (SELECT object_id, {distance} AS distance FROM {table}"
            f" WHERE (SELECT ann{number} FROM mm_set) ORDER BY {distance} LIMIT {ANN_LIMIT})"
        )

    def _passing(self) -> str:
        found = " UNION ".join(f"SELECT object_id FROM mm_ann{number}" for number, _, _ in self.legs)
        return (
            f"mm_passing AS MATERIALIZED (SELECT pk FROM mm_candidates WHERE pk = ANY(ARRAY({found}))"
            " AND EXISTS (SELECT FROM mm_set))"
        )

    def _kept(self, number: int) -> str:
        return (
            f"mm_kept{number} AS MATERIALIZED (SELECT object_id, distance FROM mm_ann{number}"
            f" WHERE object_id IN (SELECT pk FROM mm_passing)"
            f" ORDER BY distance, object_id LIMIT {self.query.depth})"
        )

    def _mode(self) -> str:
        short = ", ".join(
            f"(SELECT count(*) FROM mm_kept{n}) < {self.query.depth} AND {self._served(n)} AS exact{n}"
            for n, _, _ in self.legs
        )
        return f"mm_mode AS MATERIALIZED (SELECT {short})"

    def _keys(self) -> str:
        return (
            "mm_keys AS MATERIALIZED (SELECT CASE WHEN large THEN ARRAY(SELECT pk FROM mm_candidates)"
            " ELSE keys END AS keys FROM mm_list, mm_size)"
        )

    def _ranked(self, number: int, table: str) -> str:
        distance = f"vector <=> (SELECT q{number} FROM mm_query)"
        exact = (
            f"SELECT object_id, {distance} AS distance FROM {table}"
            f" WHERE object_id = ANY((SELECT keys FROM mm_keys)::{self.names.key_type}[])"
            f" AND (SELECT exact{number} FROM mm_mode)"
            f" ORDER BY ({distance}) + 0, object_id LIMIT {self.query.depth}"
        )
        return (
            f"mm_ranked{number} AS MATERIALIZED (SELECT object_id, 1 - distance AS similarity,"
            f" row_number() OVER (ORDER BY distance, object_id) AS rank FROM"
            f" (SELECT object_id, distance FROM mm_kept{number} WHERE NOT (SELECT exact{number} FROM mm_mode)"
            f" UNION ALL ({exact})) AS leg)"
        )

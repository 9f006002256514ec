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

import json
from dataclasses import dataclass
from typing import Any

from mmsearch_django.search import fusion
from mmsearch_django.search.closeness import CALIBRATION_TYPE, closeness_sql
from mmsearch_django.search.query import Leg, Query
from mmsearch_django.search.report import REPORT_KEY

EXACT_LIMIT = 10_000
"""Up to this many candidates every leg is exact: about 25 ms at 1,024 dimensions."""
ANN_LIMIT = 1000
"""Rows that an HNSW scan may return, and pgvector's largest ef_search."""
EF_MIN = 400
"""With 200, recall@10 without a filter was 0.95; with 400 it is 0.99."""
SAMPLE_ROWS = 300
SAMPLE_PAGES = 30
PENDING_LIMIT = 1000

PAGE_BYTES = 8168
ROW_BYTES = 120
"""Of a vector table's row, besides the vector."""


@dataclass(frozen=True)
class Names:
    """Quoted names and types that the statement needs of the model."""

    key_type: str
    tables: tuple[str, ...]
    """The legs' vector tables, quoted."""


class Statement:
    """Renders one search over candidates given as SQL."""

    def __init__(self, query: Query, names: Names, candidates: str, params: tuple[Any, ...], *, filtered: bool) -> None:
        self.query = query
        self.names = names
        self.candidates = candidates
        self.candidate_params = params
        self.filtered = filtered
        self.legs: list[tuple[int, Leg, str]] = [
            (number, leg, table) for number, (leg, table) in enumerate(zip(query.legs, names.tables, strict=True))
        ]

    def hits(self) -> tuple[str, tuple[Any, ...]]:
        """A SELECT of id, score, closeness and match: the whole window, in no order."""
        return self._render(
            "SELECT hit.id, hit.score, hit.closeness, hit.match"
            " FROM mm_out, unnest(mm_out.ids, mm_out.scores, mm_out.closenesses, mm_out.matches)"
            " AS hit(id, score, closeness, match) WHERE (SELECT count(*) FROM mm_restore) >= 0"
        )

    def report(self) -> tuple[str, tuple[Any, ...]]:
        """A SELECT of the report alone, for a window without rows."""
        return self._render("SELECT report FROM mm_report WHERE (SELECT count(*) FROM mm_restore) >= 0")

    def _render(self, tail: str) -> tuple[str, tuple[Any, ...]]:
        params: tuple[Any, ...] = tuple(leg.literal for leg in self.query.legs)
        parts = [self._query(), self._candidates(), *self._plan()]
        for number, _, table in self.legs:
            parts.append(self._ann(number, table))
        parts += [self._passing(), *(self._kept(number) for number, _, _ in self.legs), self._mode(), self._keys()]
        for number, _, table in self.legs:
            parts.append(self._ranked(number, table))
        spaces, labels = self._spaces()
        parts += [spaces, *(self._close(number) for number, _, _ in self.legs), self._pending(), self._unknown()]
        parts += [self._fused(), self._report(), self._out(), self._restore()]
        return f"WITH {', '.join(parts)} {tail}", (*params, *self.candidate_params, *labels)

    def _query(self) -> str:
        vectors = ", ".join(f"%s::halfvec({leg.dimensions}) AS q{number}" for number, leg, _ in self.legs)
        return f"mm_query AS MATERIALIZED (SELECT {vectors})"

    def _candidates(self) -> str:
        return f"mm_candidates(pk) AS NOT MATERIALIZED ({self.candidates})"

    def _plan(self) -> list[str]:
        depth = self.query.depth
        indexed = ", ".join(f"mm_size.large AND {self._has_hnsw(table)} AS indexed{n}" for n, _, table in self.legs)
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
            f"(SELECT count(*) FROM mm_kept{n}) < {self.query.depth} AS exact{n}" for n, _, _ in self.legs
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

    def _spaces(self) -> tuple[str, tuple[Any, ...]]:
        """Each leg's space and calibration: what the space has learnt for this kind of query, or the embedder ships."""
        spaces, params = [], []
        for number, leg, _ in self.legs:
            spaces.append(
                "(SELECT id FROM mmsearch_django_space WHERE model = %s AND field = %s)"
                f" AS space{number}, coalesce((SELECT floors->%s FROM mmsearch_django_space"
                f" WHERE model = %s AND field = %s), %s::jsonb) AS calibration{number}"
            )
            shipped = json.dumps(leg.calibration.as_dict()) if leg.calibration else None
            params += [*leg.space, leg.kind or "", *leg.space, shipped]
        return f"mm_spaces AS MATERIALIZED (SELECT {', '.join(spaces)})", tuple(params)

    def _close(self, number: int) -> str:
        """What the leg ranked, with closeness, and without what is below its floor."""
        closeness = closeness_sql("similarity", "calibration")
        floor = "WHERE similarity >= coalesce(floor, -1)" if self.query.floor else ""
        return (
            f"mm_close{number} AS MATERIALIZED (SELECT object_id, similarity, rank, {closeness} AS closeness"
            f" FROM mm_ranked{number}, mm_spaces LEFT JOIN LATERAL"
            f" jsonb_to_record(calibration{number}) AS calibration({CALIBRATION_TYPE}) ON true {floor})"
        )

    def _pending(self) -> str:
        """Candidates that are marked or pending, looked for among the first PENDING_LIMIT of each kind."""
        spaces = ", ".join(f"(SELECT space{number} FROM mm_spaces)" for number, _, _ in self.legs)
        mine = f"space_id = ANY(ARRAY[{spaces}])"
        unfinished = (
            f"(SELECT object_id FROM mmsearch_django_state WHERE status = 'pending' AND {mine} LIMIT {PENDING_LIMIT})"
            f" UNION (SELECT object_id FROM mmsearch_django_mark WHERE object_id IS NOT NULL AND {mine}"
            f" LIMIT {PENDING_LIMIT})"
        )
        return (
            f"mm_unfinished AS MATERIALIZED (SELECT ARRAY(SELECT object_id FROM ({unfinished}) AS unfinished) AS keys),"
            " mm_pending AS MATERIALIZED (SELECT count(*) AS n FROM mm_candidates"
            f" WHERE pk = ANY((SELECT keys FROM mm_unfinished)::{self.names.key_type}[]))"
        )

    def _unknown(self) -> str:
        """Candidates that no sweep has met yet: no vector, state or mark. Asked only where it decides completeness."""
        uncut = " AND ".join(f"(SELECT count(*) FROM mm_ranked{n}) < {self.query.depth}" for n, _, _ in self.legs)
        fewer = " OR ".join(f"(SELECT count(*) FROM mm_ranked{n}) < (SELECT n FROM mm_size)" for n, _, _ in self.legs)
        unknown = " OR ".join(
            f"(NOT EXISTS (SELECT FROM {table} v WHERE v.object_id = key)"
            f" AND NOT EXISTS (SELECT FROM mmsearch_django_state s"
            f" WHERE s.space_id = (SELECT space{number} FROM mm_spaces) AND s.object_id = key::text))"
            for number, _, table in self.legs
        )
        return (
            "mm_unknown AS MATERIALIZED (SELECT count(*) AS n FROM (SELECT unnest(keys) AS key FROM mm_list) AS listed"
            f" WHERE NOT (SELECT large FROM mm_size) AND {uncut} AND ({fewer}) AND ({unknown})"
            f" AND key <> ALL((SELECT keys FROM mm_unfinished)::{self.names.key_type}[]))"
        )

    def _report(self) -> str:
        how = ", ".join(
            f"'{leg.name}', CASE WHEN exact{number} THEN 'exact' ELSE 'ann' END" for number, leg, _ in self.legs
        )
        complete = " AND ".join(
            f"(exact{n} AND (SELECT count(*) FROM mm_close{n}) < {self.query.depth}"
            f" OR mm_size.n = (SELECT count(*) FROM mm_ranked{n}))"
            for n, _, _ in self.legs
        )
        ranked = " UNION ".join(f"SELECT object_id FROM mm_ranked{n}" for n, _, _ in self.legs)
        noise = f"(SELECT count(*) FROM ({ranked}) AS ranked) - (SELECT count(*) FROM mm_fused)"
        elapsed = "extract(epoch FROM clock_timestamp() - statement_timestamp()) * 1000"
        return (
            f"mm_report AS MATERIALIZED (SELECT jsonb_build_object('legs', jsonb_build_object({how}),"
            f" 'candidates', mm_size.n, 'candidates_limit', {EXACT_LIMIT}, 'pending', mm_pending.n + mm_unknown.n,"
            f" 'complete', mm_pending.n + mm_unknown.n = 0 AND {complete}, 'degraded', to_jsonb({self._degraded()}),"
            f" 'noise', {noise}, 'milliseconds', round(({elapsed})::numeric, 3)) AS report"
            " FROM mm_size, mm_mode, mm_pending, mm_unknown)"
        )

    def _degraded(self) -> str:
        names = ", ".join(f"'{name}'" for name in self.query.degraded)
        return f"ARRAY[{names}]::text[]"

    def _fused(self) -> str:
        legs = " UNION ALL ".join(
            f"SELECT object_id, '{leg.name}' AS leg, {leg.weight!r}::float8 AS weight, rank, similarity, closeness"
            f" FROM mm_close{number}"
            for number, leg, _ in self.legs
        )
        total = f"{sum(leg.weight for leg in self.query.legs)!r}::float8"
        match = (
            "jsonb_object_agg(leg, jsonb_build_object("
            "'rank', rank, 'similarity', similarity, 'closeness', round(closeness::numeric, 4)))"
        )
        return (
            f"mm_fused AS MATERIALIZED (SELECT object_id, {fusion.score_sql('weight', 'rank', total)} AS score,"
            f" max(closeness) AS closeness, {match} AS match FROM ({legs}) AS hit GROUP BY object_id"
            f" HAVING max(closeness) >= {self.query.min_closeness!r})"
        )

    def _out(self) -> str:
        # Arrays, because Postgres expects few rows of unnest() and then reaches the media table by primary key.
        match = f"match || jsonb_build_object('{REPORT_KEY}', (SELECT report FROM mm_report))"
        return (
            "mm_out AS MATERIALIZED (SELECT array_agg(object_id ORDER BY object_id) AS ids,"
            " array_agg(score ORDER BY object_id) AS scores, array_agg(closeness ORDER BY object_id) AS closenesses,"
            f" array_agg({match} ORDER BY object_id) AS matches FROM mm_fused)"
        )

    @staticmethod
    def _restore() -> str:
        return (
            "mm_restore AS MATERIALIZED (SELECT set_config('hnsw.ef_search', mm_before.ef, true),"
            " set_config('hnsw.iterative_scan', mm_before.iterative, true)"
            " FROM mm_before, mm_out, mm_report)"
        )

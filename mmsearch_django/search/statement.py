"""The whole search statement: what the legs ranked, cut at their floors, fused, and reported on."""

import json
from typing import Any

from mmsearch_django.search import fusion, legs
from mmsearch_django.search.closeness import CALIBRATION_TYPE, closeness_sql
from mmsearch_django.search.report import REPORT_KEY

PENDING_LIMIT = 1000


class Statement(legs.Legs):
    """Renders one search over candidates given as SQL."""

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
        words, word_params = self._keywords()
        spaces, space_params = self._spaces()
        parts = [self._query(), spaces, self._candidates(), *words, *self._plan()]
        for number, _, table in self.legs:
            parts.append(self._ann(number, table))
        parts += [self._passing(), *(self._kept(number) for number, _, _ in self.legs), self._mode(), self._keys()]
        for number, _, table in self.legs:
            parts.append(self._ranked(number, table))
        parts += [*(self._close(number) for number, _, _ in self.legs), self._pending(), self._unknown()]
        parts += [self._fused(), self._report(), self._out(), self._restore()]
        return f"WITH {', '.join(parts)} {tail}", (*params, *space_params, *self.candidate_params, *word_params)

    def _spaces(self) -> tuple[str, tuple[Any, ...]]:
        """Each leg's space and calibration: what the space has learnt for such queries, or the embedder ships.

        A query of several kinds is calibrated as its vector was made, by their shares. A leg is served unless another
        signature has taken the space over since the query was built: this statement sees signature and vectors at one
        moment, so it never compares across.
        """
        columns, joins = [], []
        shares: list[Any] = []
        labels: list[str] = []
        for number, leg, _ in self.legs:
            values = ", ".join(f"(%s::float8, coalesce(space{number}.floors->%s, %s::jsonb))" for _ in leg.shares)
            sums = ", ".join(f"'{name}', sum(share * (at->>'{name}')::float8)" for name in ("zero", "floor", "one"))
            mixed = (
                f"(SELECT CASE WHEN bool_and(at IS NOT NULL) THEN jsonb_build_object({sums}) END"
                f" FROM (VALUES {values}) AS part(share, at))"
            )
            columns.append(
                f"space{number}.id AS space{number}, {mixed if leg.shares else 'NULL::jsonb'} AS calibration{number},"
                f" coalesce(space{number}.signature, '') IN ('', %s) OR %s = '' AS served{number}"
            )
            joins.append(
                f"LEFT JOIN mmsearch_django_space AS space{number}"
                f" ON space{number}.model = %s AND space{number}.field = %s"
            )
            for share in leg.shares:
                shipped = json.dumps(share.shipped.as_dict()) if share.shipped else None
                shares += [share.size, share.kind, shipped]
            shares += [leg.signature, leg.signature]
            labels += leg.space
        sql = f"SELECT {', '.join(columns)} FROM (VALUES (0)) AS always(one) {' '.join(joins)}"
        return f"mm_spaces AS MATERIALIZED ({sql})", (*shares, *labels)

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
        """More of them: no vector, and none of their states has ended. Asked only where it decides completeness."""
        uncut = " AND ".join(f"(SELECT count(*) FROM mm_ranked{n}) < {self.query.depth}" for n, _, _ in self.legs)
        fewer = " OR ".join(f"(SELECT count(*) FROM mm_ranked{n}) < (SELECT n FROM mm_size)" for n, _, _ in self.legs)
        unknown = " OR ".join(
            f"(NOT EXISTS (SELECT FROM {table} v WHERE v.object_id = key)"
            f" AND NOT EXISTS (SELECT FROM mmsearch_django_state s"
            f" WHERE s.space_id = (SELECT space{number} FROM mm_spaces) AND s.object_id = key::text"
            " AND s.status <> 'pending'))"
            for number, _, table in self.legs
        )
        return (
            "mm_unknown AS MATERIALIZED (SELECT count(*) AS n FROM (SELECT unnest(keys) AS key FROM mm_list) AS listed"
            f" WHERE NOT (SELECT large FROM mm_size) AND {uncut} AND ({fewer}) AND ({unknown})"
            f" AND key <> ALL((SELECT keys FROM mm_unfinished)::{self.names.key_type}[]))"
        )

    def _report(self) -> str:
        how = ", ".join(
            f"'{leg.name}', CASE WHEN exact{number} THEN 'exact' WHEN {self._served(number)} THEN 'ann' END"
            for number, leg, _ in self.legs
        )
        complete = " AND ".join(
            f"(exact{n} AND (SELECT count(*) FROM mm_close{n}) < {self.query.depth}"
            f" OR mm_size.n = (SELECT count(*) FROM mm_ranked{n}))"
            for n, _, _ in self.legs
        )
        # Beyond the limit nobody knows which candidates are pending.
        complete += f" AND (SELECT cardinality(keys) FROM mm_unfinished) < {PENDING_LIMIT}"
        if self.keywords is not None:
            complete += f" AND (SELECT count(*) FROM mm_keywords) < {self.query.depth}"
        ranked = " UNION ".join(f"SELECT object_id FROM mm_ranked{n}" for n, _, _ in self.legs)
        noise = f"(SELECT count(*) FROM (({ranked}) EXCEPT SELECT object_id FROM mm_fused) AS noise)"
        elapsed = "extract(epoch FROM clock_timestamp() - statement_timestamp()) * 1000"
        return (
            f"mm_report AS MATERIALIZED (SELECT jsonb_build_object("
            f"'legs', jsonb_strip_nulls(jsonb_build_object({how})),"
            f" 'candidates', mm_size.n, 'candidates_limit', {legs.EXACT_LIMIT}, 'pending', mm_pending.n + mm_unknown.n,"
            f" 'complete', mm_pending.n + mm_unknown.n = 0 AND {complete}, 'degraded', to_jsonb({self._degraded()}),"
            f" 'noise', {noise}, 'milliseconds', round(({elapsed})::numeric, 3)) AS report"
            " FROM mm_size, mm_mode, mm_pending, mm_unknown)"
        )

    def _degraded(self) -> str:
        away = ", ".join(f"'{name}'" for name in self.query.degraded)
        taken = ", ".join(f"CASE WHEN NOT {self._served(n)} THEN '{leg.name}' END" for n, leg, _ in self.legs)
        return f"array_remove(ARRAY[{away}]::text[] || ARRAY[{taken}], NULL)"

    def _fused(self) -> str:
        hits = " UNION ALL ".join(
            f"SELECT object_id, '{leg.name}' AS leg, {leg.weight!r}::float8 AS weight, rank, similarity, closeness"
            f" FROM mm_close{number}"
            for number, leg, _ in self.legs
        )
        weights = [leg.weight for leg in self.query.legs]
        near = f"max(closeness) >= {self.query.min_closeness!r}"
        if self.keywords is not None:
            hits += " UNION ALL SELECT object_id, 'keywords', 1, rank, NULL, NULL FROM mm_keywords"
            weights.append(1.0)
            near += " OR bool_or(leg = 'keywords')"
        score = fusion.score_sql("weight", "rank", f"{sum(weights)!r}::float8")
        if self.keywords is not None:
            score = fusion.first_sql(score, "bool_or(leg = 'keywords')")
        match = (
            "jsonb_object_agg(leg, jsonb_strip_nulls(jsonb_build_object("
            "'rank', rank, 'similarity', similarity, 'closeness', round(closeness::numeric, 4))))"
        )
        return (
            f"mm_fused AS MATERIALIZED (SELECT object_id, {score} AS score,"
            f" max(closeness) AS closeness, {match} AS match FROM ({hits}) AS hit GROUP BY object_id"
            f" HAVING {near})"
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

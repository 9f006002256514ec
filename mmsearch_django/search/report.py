"""What a search says about itself: why each row was found, and how the whole was answered."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import models

REPORT_KEY = "_report"
"""Where the statement puts the report inside each row's match; taken out before anyone sees it."""


@dataclass(frozen=True)
class Report:
    """How a search was answered."""

    legs: Mapping[str, str]
    """``exact`` or ``ann``, by leg."""
    candidates: int
    """Rows that pass the filters; counted up to ``candidates_limit`` and no further."""
    candidates_limit: int
    pending: int
    """Candidates whose indexing is not finished, as far as was counted."""
    noise: int
    """Rows that were ranked and left out, as not close enough in any field."""
    complete: bool
    """No row that passes filters and floors was cut off by depth, missed by ANN or still pending."""
    degraded: tuple[str, ...]
    """Legs left out: their embedder was unavailable, or another took their space over since the search was built."""
    milliseconds: float
    """Time in Postgres until the window stood."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Report":
        return cls(**{**data, "degraded": tuple(data["degraded"])})

    @property
    def candidates_text(self) -> str:
        over = self.candidates > self.candidates_limit
        return f"more than {self.candidates_limit:,}" if over else f"{self.candidates:,}"

    def __str__(self) -> str:
        legs = ", ".join(f"{leg} {how}" for leg, how in self.legs.items()) or "no leg"
        parts = [f"{self.candidates_text} candidates", legs, "complete" if self.complete else "not complete"]
        if self.noise:
            parts.append(f"{self.noise:,} not close enough")
        if self.pending:
            parts.append(f"{self.pending:,} pending")
        if self.degraded:
            parts.append(f"without {', '.join(self.degraded)}")
        return "; ".join([*parts, f"{self.milliseconds:.1f} ms"])


class Match(dict[str, dict[str, Any]]):
    """Why a row was found: per leg its ``rank`` (from 1), cosine ``similarity`` (-1 to 1), ``closeness`` (0 to 1)."""

    report: Report | None = None


class MatchField(models.JSONField):
    """Reads a match out of the statement."""

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        data = super().from_db_value(value, expression, connection)
        if not isinstance(data, dict) or REPORT_KEY not in data:
            return data
        report = data.pop(REPORT_KEY)
        match = Match(data)
        match.report = Report.from_json(report)
        return match

"""One difference between what is declared and what is there."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Change:
    """Says what is done, what is wrong until then, and the SQL, which runs in one transaction."""

    summary: str
    problem: str
    statements: tuple[str, ...]

"""One difference between what is declared and what is there."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Change:
    """Says what is done, what is wrong until then, and the SQL, which runs in one transaction."""

    summary: str
    problem: str
    statements: tuple[str, ...]
    allow: str = ""
    """The SQL that lets the role at work do it; by default none is better than the statements themselves."""

    @property
    def remedy(self) -> str:
        """What a role with more rights runs if this one may not."""
        return self.allow or "; ".join(self.statements)

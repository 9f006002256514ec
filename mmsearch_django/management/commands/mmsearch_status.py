import json
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import connections
from django.utils import timezone

from mmsearch_django.exceptions import SignatureMismatch
from mmsearch_django.indexing.status import Status, status
from mmsearch_django.indexing.targets import Target
from mmsearch_django.management.targets import find_targets

COUNTS = ("ready", "stale", "pending", "claimed", "failed", "skipped", "total")
LATE_SECONDS = 600


class Command(BaseCommand):
    help = "Shows how far indexing has come, for each embedding field."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("labels", nargs="*", metavar="app.Model", help="Only these models.")
        parser.add_argument("--database", choices=list(connections), help="Default: where each model is written.")
        parser.add_argument("--format", choices=["text", "json"], default="text")

    def handle(self, *, labels: Sequence[str], database: str | None, format: str, **options: Any) -> None:
        targets = find_targets(labels, using=database)
        found = [status(target) for target in targets]
        if format == "json":
            rows = [{name: getattr(row, name) for name in ("model", "field", *COUNTS)} for row in found]
            self.stdout.write(json.dumps(rows, indent=2))
        else:
            self.stdout.write("\n".join([*table(found), *reasons(found), *refusals(targets), *sweeps(found)]))


def table(found: Sequence[Status]) -> list[str]:
    head = ("field", *COUNTS)
    rows = [(f"{row.model}.{row.field}", *(f"{getattr(row, name):,}" for name in COUNTS)) for row in found]
    widths = [max(len(cell) for cell in column) for column in zip(head, *rows, strict=True)]
    return ["  ".join(_cells(row, widths)) for row in [head, *rows]]


def _cells(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]


def reasons(found: Sequence[Status]) -> list[str]:
    """Why rows failed."""
    lines = [f"  {row.model}.{row.field}: {n:,} {name}" for row in found for name, n in row.errors.items()]
    return ["", "Failed:", *lines] if lines else []


def refusals(targets: Sequence[Target]) -> list[str]:
    """Fields that cannot be searched, and what to do about it."""
    lines = []
    for target in targets:
        try:
            target.field.require_signature(target.signature, target.using)
        except SignatureMismatch as error:
            lines.append(f"  {error}")
    return ["", "Searches are refused:", *lines] if lines else []


def sweeps(found: Sequence[Status]) -> list[str]:
    """When the sweep last ran; without it, writes that no trigger saw stay unseen."""
    return ["", "Sweep last ran:", *(f"  {row.model}.{row.field}: {_ran(row)}" for row in found)]


def _ran(row: Status) -> str:
    fix = "; start a Celery worker with beat, or mmsearch_index from cron"
    if row.swept_at is None:
        return f"never{fix}"
    seconds = int((timezone.now() - row.swept_at).total_seconds())
    return f"{seconds // 60} minutes ago{fix}" if seconds > LATE_SECONDS else f"{seconds} seconds ago"

import json
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connections
from django.utils import timezone

from mmsearch_django import metrics
from mmsearch_django.exceptions import SignatureMismatch
from mmsearch_django.indexing.status import LATE_SECONDS, Status, status
from mmsearch_django.indexing.targets import Target
from mmsearch_django.management.targets import find_targets

COUNTS = ("ready", "stale", "pending", "claimed", "failed", "skipped", "total")
FACTS = (
    *("model", "field", *COUNTS, "ages", "errors", "per_minute", "seconds_left", "held"),
    *("signature", "serves", "floors", "swept_at"),
)


class Command(BaseCommand):
    help = "Shows how far indexing has come, for each embedding field."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("labels", nargs="*", metavar="app.Model", help="Only these models.")
        parser.add_argument("--database", choices=list(connections), help="Default: where each model is written.")
        parser.add_argument("--format", choices=["text", "json", "prometheus"], default="text")

    def handle(self, *, labels: Sequence[str], database: str | None, format: str, **options: Any) -> None:
        targets = find_targets(labels, using=database)
        if format == "prometheus":
            self.stdout.write(metrics.exposition(targets), ending="")
            return
        found = [status(target) for target in targets]
        if format == "json":
            rows = [{name: getattr(row, name) for name in FACTS} for row in found]
            self.stdout.write(json.dumps(rows, indent=2, cls=DjangoJSONEncoder))
        else:
            lines = [*table(found), *reasons(found), *refusals(targets), *serving(targets, found), *sections(found)]
            self.stdout.write("\n".join(lines))


def table(found: Sequence[Status]) -> list[str]:
    head = ("field", *COUNTS, "a minute", "time left")
    rows = [(_name(row), *(f"{getattr(row, name):,}" for name in COUNTS), *_pace(row)) for row in found]
    widths = [max(len(cell) for cell in column) for column in zip(head, *rows, strict=True)]
    return ["  ".join(_cells(row, widths)) for row in [head, *rows]]


def _cells(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]


def _name(row: Status) -> str:
    return f"{row.model}.{row.field}"


def _pace(row: Status) -> tuple[str, str]:
    left = row.seconds_left
    return f"{row.per_minute:,.0f}", "?" if left is None else _duration(left) if left else ""


def _duration(seconds: float) -> str:
    minutes, hours, days = seconds / 60, seconds / 3600, seconds / 86400
    return f"{days:.1f} days" if days >= 2 else f"{hours:.1f} h" if hours >= 2 else f"{max(minutes, 1):.0f} min"


def reasons(found: Sequence[Status]) -> list[str]:
    """Why rows failed."""
    lines = [f"  {_name(row)}: {n:,} {name}" for row in found for name, n in row.errors.items()]
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


def serving(targets: Sequence[Target], found: Sequence[Status]) -> list[str]:
    """Which field serves, where one is declared to replace another."""
    pairs = [(target, row) for target, row in zip(targets, found, strict=True) if target.field.replaces]
    lines = [f"  {row.model}.{target.field.replaces}: {_serves(target, row)}" for target, row in pairs]
    return ["", "Serving:", *lines] if lines else []


def _serves(target: Target, row: Status) -> str:
    new, old = target.field.name, target.field.replaces
    return f"{new}, in place of {old}" if row.serves else f"{old}; {new} is declared to replace it"


def sections(found: Sequence[Status]) -> list[str]:
    """How long rows have waited, what is held back, what made the vectors, where noise begins, when the sweep ran."""
    waiting = [f"  {_name(row)}: {n:,} {age}" for row in found for age, n in row.ages.items()]
    held = [f"  {_name(row)}: {lane} {words}" for row in found for lane, words in row.held.items()]
    return [
        *(["", "Pending for:", *waiting] if waiting else []),
        *(["", "Held back:", *held] if held else []),
        *("", "Vectors made by:", *(f"  {_name(row)}: {row.signature or 'nothing yet'}" for row in found)),
        *("", "Floors:", *(f"  {_name(row)}: {_floors(row)}" for row in found)),
        *("", "Sweep last ran:", *(f"  {_name(row)}: {_ran(row)}" for row in found)),
    ]


def _floors(row: Status) -> str:
    """The similarity below which a hit is noise, by kind of query."""
    learnt = {kind: value["floor"] for kind, value in row.floors.items() if isinstance(value, dict)}
    if not learnt:
        return "as shipped with the embedder, until there are enough vectors to learn from"
    vectors = f"learnt from {row.floors.get('vectors', 0):,} vectors"
    return ", ".join([*(f"{kind} {floor:.2f}" for kind, floor in learnt.items()), vectors])


def _ran(row: Status) -> str:
    fix = "; start a Celery worker with beat, or mmsearch_sweep from cron"
    if row.swept_at is None:
        return f"never{fix}"
    seconds = int((timezone.now() - row.swept_at).total_seconds())
    return f"{seconds // 60} minutes ago{fix}" if seconds > LATE_SECONDS else f"{seconds} seconds ago"

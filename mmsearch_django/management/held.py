"""What the commands that hold indexing back, or let it go on, have in common."""

from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from mmsearch_django.indexing import lanes, status
from mmsearch_django.indexing.targets import Target
from mmsearch_django.management.targets import add_arguments, find_targets
from mmsearch_django.models import Lane


class LaneCommand(BaseCommand):
    """Changes lanes of the fields it is asked for, and says how they stand."""

    default_lane = "backfill"

    def add_arguments(self, parser: CommandParser) -> None:
        add_arguments(parser)
        parser.add_argument(
            "--lane",
            choices=[*Lane.Name.values, "all"],
            default=self.default_lane,
            help=f"live: what people write; backfill: all else (default: {self.default_lane}).",
        )

    def change(self, options: dict[str, Any], **values: Any) -> None:
        labels: Sequence[str] = options["labels"]
        names = Lane.Name.values if options["lane"] == "all" else [options["lane"]]
        for target in find_targets(labels, options["field"], options["database"]):
            lanes.change(target, names, **values)
            if options["verbosity"]:
                self.stdout.write(self.line(target))

    def line(self, target: Target) -> str:
        found = [f"{name} {words}" for name, words in status.held_back(target).items()]
        return f"{target}: {'; '.join(found) or 'nothing is held back'}."

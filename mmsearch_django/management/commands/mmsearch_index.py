import sys
import time
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections
from tqdm import tqdm

from mmsearch_django.exceptions import MmsearchError
from mmsearch_django.indexing import claims, floors, hnsw, renewal, status, sweep
from mmsearch_django.indexing.pipeline import work
from mmsearch_django.indexing.targets import Target
from mmsearch_django.management.targets import find_targets

POLL_SECONDS = 0.5


class Command(BaseCommand):
    help = "Embeds everything that is pending, here and now. Several can run at once, beside Celery or without it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("labels", nargs="*", metavar="app.Model", help="Only these models.")
        parser.add_argument("--field", help="Only embedding fields of this name.")
        parser.add_argument("--database", choices=list(connections), help="Default: where each model is written.")
        parser.add_argument("--batch-size", type=int, help="Assets embedded together (default: the setting).")
        parser.add_argument("--no-index", action="store_true", help="Do not build the HNSW index.")
        parser.add_argument("--retry-failed", action="store_true", help="Try failed assets once more.")
        parser.add_argument(
            "--reembed",
            action="store_true",
            help="Give up vectors that another embedder made, and embed all anew; fields of the same stay as they are.",
        )
        parser.add_argument(
            "--stale", action="store_true", help="Renew vectors that a former preprocessing version made."
        )

    def handle(self, *, labels: Sequence[str], field: str | None, verbosity: int, **options: Any) -> None:
        troubles = []
        for target in find_targets(labels, field, options["database"]):
            try:
                self.index(target, quiet=verbosity == 0, **options)
            except MmsearchError as error:
                troubles.append(f"{target}: {error}")
                continue
            if left := status.unfinished(target):
                troubles.append(f"{target}: {left:,} are left pending.")
        if troubles:
            raise CommandError("\n".join(troubles))

    def index(self, target: Target, *, quiet: bool, batch_size: int | None, no_index: bool, **options: Any) -> None:
        former = target.signature
        if options["reembed"] and renewal.reembed(target) and not quiet:
            self.stderr.write(f"{target}: gave up the vectors of {former}; embedding anew.")
        if options["stale"]:
            renewal.renew_stale(target)
        if options["retry_failed"]:
            renewal.retry_failed(target)
        while claims.drain(target):
            pass
        sweep.sweep_all(target)
        self.embed(target, batch_size, quiet=quiet)
        self.report(target)
        if floors.refresh(target) and not quiet:
            self.stderr.write(f"{target}: learnt where noise begins.")
        if not no_index and hnsw.build(target) and not quiet:
            self.stderr.write(f"{target}: built the HNSW index.")

    def embed(self, target: Target, size: int | None, *, quiet: bool) -> None:
        """Until nothing can be claimed and nobody else holds a claim that might come back."""
        bar = tqdm(total=status.unfinished(target), desc=str(target), unit="asset", disable=quiet, file=sys.stderr)
        with bar:
            while True:
                for counts in work(target, size=size):
                    bar.update(counts.total())
                if not status.claimable(target) and not status.leased(target):
                    return
                time.sleep(POLL_SECONDS)

    def report(self, target: Target) -> None:
        for name, count in status.status(target).errors.items():
            self.stderr.write(f"{target}: {count:,} failed with {name}")

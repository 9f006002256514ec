import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections
from tqdm import tqdm

from mmsearch_django.exceptions import ASSET_ERRORS, MmsearchError
from mmsearch_django.indexing import claims, files, floors, hnsw, renewal, status, sweep
from mmsearch_django.indexing.pipeline import work
from mmsearch_django.indexing.targets import Target
from mmsearch_django.management.targets import add_arguments, find_targets

POLL_SECONDS = 0.5
MEANWHILE = "Searches stay right meanwhile: exact, and slower."


class Command(BaseCommand):
    help = "Embeds everything that is pending, here and now. Several can run at once, beside Celery or without it."

    def add_arguments(self, parser: CommandParser) -> None:
        add_arguments(parser)
        parser.add_argument("--batch-size", type=int, help="Assets embedded together (default: the setting).")
        parser.add_argument("--no-index", action="store_true", help="Do not build the HNSW index.")
        index = parser.add_mutually_exclusive_group()
        index.add_argument(
            "--drop-index",
            action="store_true",
            default=None,
            help="Drop the HNSW index of a large field that is mostly pending, and build it again at the end.",
        )
        index.add_argument(
            "--keep-index", action="store_false", dest="drop_index", help="Keep it, and do not ask about it."
        )
        parser.add_argument("--retry-failed", action="store_true", help="Try failed assets once more.")
        parser.add_argument(
            "--error-class",
            action="append",
            dest="error_classes",
            metavar="CLASS",
            help="With --retry-failed: only those that failed with this error; may be repeated.",
        )
        parser.add_argument(
            "--check-files", action="store_true", help="Read all files again, for those replaced under the same name."
        )
        parser.add_argument(
            "--reembed",
            action="store_true",
            help="Give up vectors that another embedder made, and embed all anew; fields of the same stay as they are.",
        )
        parser.add_argument(
            "--stale", action="store_true", help="Renew vectors that a former preprocessing version made."
        )

    def handle(self, *, labels: Sequence[str], field: str | None, verbosity: int, **options: Any) -> None:
        targets = find_targets(labels, field, options["database"])
        self.require_error_classes(targets, options)
        troubles = []
        for target in targets:
            try:
                self.index(target, quiet=verbosity == 0, **options)
            except MmsearchError as error:
                troubles.append(f"{target}: {error}")
                continue
            if left := status.unfinished(target):
                held = "".join(f" {lane} is held back: {words}." for lane, words in status.held_back(target).items())
                troubles.append(f"{target}: {left:,} are left pending.{held}")
        if troubles:
            raise CommandError("\n".join(troubles))

    def require_error_classes(self, targets: Sequence[Target], options: Mapping[str, Any]) -> None:
        """That what --error-class names can be: classes of ours, and whatever else assets failed with."""
        asked = set(options["error_classes"] or ())
        if asked and not options["retry_failed"]:
            raise CommandError("--error-class says what --retry-failed tries again: give both.")
        known = {kind.__name__ for kind in ASSET_ERRORS}.union(*(status.status(target).errors for target in targets))
        if asked and (unknown := asked - known):
            wrong, right = ", ".join(map(repr, sorted(unknown))), ", ".join(sorted(known))
            raise CommandError(f"There is no error class {wrong}. There are: {right}.")

    def index(self, target: Target, *, quiet: bool, batch_size: int | None, no_index: bool, **options: Any) -> None:
        """Everything that is asked for, of one field."""
        former = target.signature
        if options["reembed"] and renewal.reembed(target) and not quiet:
            self.stderr.write(f"{target}: gave up the vectors of {former}; embedding anew.")
        if options["stale"]:
            renewal.renew_stale(target)
        if options["retry_failed"]:
            renewal.retry_failed(target, options["error_classes"] or ())
        while claims.drain(target):
            pass
        self.verify(target, quiet=quiet)
        if options["check_files"] and (unread := self.check_files(target, quiet=quiet)):
            self.stderr.write(f"{target}: the storage did not give {unread:,} files to compare; run it again.")
        if not no_index:
            self.make_way(target, drop=options["drop_index"], quiet=quiet)
        self.embed(target, batch_size, quiet=quiet)
        self.report(target)
        if floors.refresh(target) and not quiet:
            self.stderr.write(f"{target}: learnt where noise begins.")
        if not no_index and hnsw.is_missing(target):
            self.build(target, quiet=quiet)

    def verify(self, target: Target, *, quiet: bool) -> None:
        total = target.rows().count()
        with tqdm(total=total, desc=f"{target} rows", unit="row", disable=quiet or None, file=sys.stderr) as bar:
            sweep.sweep_all(target, verified=bar.update)

    def check_files(self, target: Target, *, quiet: bool) -> int:
        """Returns how many could not be compared."""
        total = target.vectors.count()
        with tqdm(total=total, desc=f"{target} files", unit="file", disable=quiet or None, file=sys.stderr) as bar:
            found: Counter[str] = Counter()
            for counts in files.check_files(target):
                found.update(counts)
                bar.update(counts.total())
        return found["unread"]

    def make_way(self, target: Target, *, drop: bool | None, quiet: bool) -> None:
        """Drop an index that would slow down what is to come, if that was asked for or is answered with yes."""
        pending = status.unfinished(target) if status.claimable(target, heed_rates=False) else 0
        if drop is False or not hnsw.is_in_the_way(target, pending):
            return
        found = f"{target}: {pending:,} are pending, and its HNSW index makes writing them several times slower."
        if drop is None and not quiet and sys.stdin.isatty():
            drop = input(f"{found}\nDrop it, and build it again at the end? {MEANWHILE} [y/N] ").strip().lower() == "y"
        elif drop is None and not quiet:
            self.stderr.write(f"{found} With --drop-index it is dropped, and built again at the end. {MEANWHILE}")
        if drop:
            hnsw.drop(target)
            if not quiet:
                self.stderr.write(f"{target}: dropped the HNSW index. {MEANWHILE}")

    def build(self, target: Target, *, quiet: bool) -> None:
        if not quiet:
            count, lack = target.vectors.count(), hnsw.lack_of_memory(target)
            self.stderr.write(
                f"{target}: building the HNSW index of {count:,} vectors; how far: pg_stat_progress_create_index."
            )
            if lack:
                self.stderr.write(lack)
        with self.progress(target, quiet=quiet):
            built = hnsw.build(target)
        if built and not quiet:
            self.stderr.write(f"{target}: built the HNSW index.")

    @contextmanager
    def progress(self, target: Target, *, quiet: bool) -> Iterator[None]:
        """A bar that another thread moves, by another connection, while this one waits for the index."""
        done = threading.Event()

        def watch() -> None:
            try:
                while not done.wait(POLL_SECONDS):
                    if found := hnsw.progress(target):
                        bar.total, bar.n = found.total, found.done
                        bar.set_postfix_str(found.phase)
            finally:
                connections.close_all()

        with tqdm(desc=f"{target} HNSW index", unit="block", disable=quiet or None, file=sys.stderr) as bar:
            if bar.disable:
                yield
                return
            watcher = threading.Thread(target=watch, name="mmsearch-progress", daemon=True)
            watcher.start()
            try:
                yield
            finally:
                done.set()
                watcher.join()

    def embed(self, target: Target, size: int | None, *, quiet: bool) -> None:
        """Until nothing can be claimed and nobody else holds a claim that might come back."""
        total, shown = status.unfinished(target), quiet or None  # None: only where a terminal shows it.
        bar = tqdm(total=total, desc=str(target), unit="asset", disable=shown, file=sys.stderr)
        with bar:
            while True:
                for counts in work(target, size=size):
                    bar.update(counts.total())
                if not status.claimable(target, heed_rates=False) and not status.leased(target):
                    return
                time.sleep(POLL_SECONDS)

    def report(self, target: Target) -> None:
        for name, count in status.status(target).errors.items():
            self.stderr.write(f"{target}: {count:,} failed with {name}")

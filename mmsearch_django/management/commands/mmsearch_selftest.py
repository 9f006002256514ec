import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from mmsearch_django.embedders import trial
from mmsearch_django.embedders.base import Embedder
from mmsearch_django.embedders.trial import Pair, Understanding
from mmsearch_django.exceptions import MmsearchError
from mmsearch_django.management import aliases

QUERY = "a red car by the sea"


class Command(BaseCommand):
    help = "Loads an embedder, tests that it tells texts and pictures apart, and measures speed and memory."
    # What they would say of embedders it finds out itself.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        aliases.add_argument(parser)
        parser.add_argument(
            "--folder",
            type=Path,
            help="Pictures of your own, with a metadata.csv of the columns file and caption (default: three of ours).",
        )
        parser.add_argument("--seconds", type=float, default=5.0, help="How long to measure each speed (default: 5).")

    def handle(self, *, alias: str, folder: Path | None, seconds: float, **options: Any) -> None:
        embedder = aliases.find_embedder(alias)
        try:
            pairs = trial.read(folder) if folder else trial.shipped()
            if len(pairs) < 2:
                raise CommandError(f"{folder} has {len(pairs)} pictures with captions; give 2 or more.")
            self.say("embedder", f"'{alias}': {embedder.signature}")
            self.load(embedder)
            if {"text", "image"} <= embedder.modalities and embedder.pairs_modalities:
                self.understand(embedder, pairs)
            for name, figure in speeds(embedder, pairs, seconds):
                self.say(name, figure)
        except MmsearchError as error:
            raise CommandError(str(error)) from error
        self.say("memory", f"{peak_memory():,.0f} MB at its peak, the whole process")

    def say(self, name: str, figure: str) -> None:
        self.stdout.write(f"{name:<10}{figure}")

    def load(self, embedder: Embedder) -> None:
        """Its first use loads and tests it."""
        before, started = peak_memory(), time.perf_counter()
        embedder.warm_up()
        took = time.perf_counter() - started
        self.say("loaded", f"in {took:.1f} s, {peak_memory() - before:,.0f} MB")
        self.say("tested", "finite, of unit length, another vector for each input, the same alone and among others")

    def understand(self, embedder: Embedder, pairs: list[Pair]) -> None:
        queries = embedder.embed_texts([pair.caption for pair in pairs], query=True)
        found = trial.understanding(queries, embedder.embed_images([pair.image for pair in pairs]))
        self.say("captions", sentence(found, len(pairs)))
        trial.require_understanding(found)


def sentence(found: Understanding, count: int) -> str:
    return (
        f"{found.first:.0%} of {count} are nearest to their own picture, {found.won:.0%} of all comparisons won; "
        f"similarity {found.own:.3f} to the own, {found.others:.3f} to others"
    )


def speeds(embedder: Embedder, pairs: list[Pair], seconds: float) -> Iterator[tuple[str, str]]:
    if "text" in embedder.modalities:
        queries = trial.speed(lambda texts: embedder.embed_texts(texts, query=True), [QUERY], seconds)
        yield "queries", f"{1000 / queries:,.0f} ms each"
        texts = [pair.caption for pair in pairs]
        yield "texts", f"{trial.speed(embedder.embed_texts, texts, seconds):,.1f} a second"
    if "image" in embedder.modalities:
        pictures = [pair.image for pair in pairs]
        yield "pictures", f"{trial.speed(embedder.embed_images, pictures, seconds):,.1f} a second"


def peak_memory() -> float:
    """The most memory that this process has held so far, in MB; 0 where the system does not say."""
    try:
        import resource
    except ImportError:  # pragma: no cover - Windows
        return 0.0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6

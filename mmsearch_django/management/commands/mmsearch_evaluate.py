import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from mmsearch_django.evaluation.evaluator import Evaluation, Evaluator
from mmsearch_django.evaluation.judgements import read_off_topic, read_qrels, read_queries
from mmsearch_django.exceptions import MmsearchError
from mmsearch_django.management import searches

SHOWN = 5


class Command(BaseCommand):
    help = "Measures search against judged queries: nDCG@10, recall@10, MRR and P@1."

    def add_arguments(self, parser: CommandParser) -> None:
        searches.add_arguments(parser)
        searches.add_judged_files(parser)
        parser.add_argument("--no-floor", action="store_true", help="Measure without floors: every query finds.")
        parser.add_argument(
            "--off-topic", type=Path, metavar="FILE", help="Queries that should find nothing, a line each."
        )
        parser.add_argument("--format", choices=["text", "json"], default="text")

    def handle(
        self,
        *,
        label: str,
        queries: Path,
        qrels: Path,
        item_field: str,
        no_floor: bool,
        off_topic: Path | None,
        format: str,
        verbosity: int,
        **options: Any,
    ) -> None:
        rows = searches.rows(label, options["filter"], options["database"])
        how = {name: options[name] for name in ("fields", "depth")} | ({"floor": None} if no_floor else {})
        self.quiet = verbosity == 0
        try:
            evaluator = Evaluator(rows, read_queries(queries), read_qrels(qrels), item_field)
            evaluation = self.measure(evaluator, how)
            figures: dict[str, float | int] = {**evaluation.figures, "queries": evaluation.queries}
            if not no_floor:
                bare = self.measure(evaluator, how | {"floor": None})
                figures["recall@10 without floor"] = bare.figures["recall@10"]
            if off_topic:
                texts = read_off_topic(off_topic)
                figures |= {"off-topic": len(texts), "off-topic empty": evaluator.empty(texts, **how)}
        except MmsearchError as error:
            raise CommandError(str(error)) from error
        if evaluation.missing_items:
            self.stderr.write(self.style.WARNING(missing(evaluation)))
        if format == "json":
            self.stdout.write(json.dumps(figures, indent=2))
        else:
            self.stdout.write("\n".join(f"{name:<24}{value:>8.4g}" for name, value in figures.items()))

    def measure(self, evaluator: Evaluator, how: dict[str, Any]) -> Evaluation:
        asked = evaluator.rankings(**how)
        return evaluator.measure(tqdm(asked, total=len(evaluator), unit="query", disable=self.quiet, file=sys.stderr))


def missing(evaluation: Evaluation) -> str:
    names = ", ".join(evaluation.missing_items[:SHOWN])
    more = ", ..." if len(evaluation.missing_items) > SHOWN else ""
    return (
        f"{len(evaluation.missing_items)} of {evaluation.judged_items} relevant items are not among the rows, so "
        f"nothing could find them: {names}{more}"
    )

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from mmsearch_django.evaluation.comparison import Change, Difference, changes, differences, with_variant
from mmsearch_django.evaluation.evaluator import Evaluation, Evaluator
from mmsearch_django.evaluation.judgements import read_off_topic, read_qrels, read_queries
from mmsearch_django.evaluation.metrics import MEASURES
from mmsearch_django.exceptions import MmsearchError
from mmsearch_django.management import searches

SHOWN = 5
WORST = 10
"""Queries that a comparison shows of each sort."""

Figures = dict[str, float | int]


class Command(BaseCommand):
    help = "Measures search against judged queries: nDCG@10, recall@10, MRR and P@1."

    def add_arguments(self, parser: CommandParser) -> None:
        searches.add_arguments(parser)
        searches.add_judged_files(parser)
        parser.add_argument("--no-floor", action="store_true", help="Measure without floors: every query finds.")
        parser.add_argument(
            "--off-topic", type=Path, metavar="FILE", help="Queries that should find nothing, a line each."
        )
        parser.add_argument(
            "--variant",
            type=variant,
            metavar="FIELD=OTHER",
            help="Ask the other field in place of this one, too, and compare: a replacement before it serves.",
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
        variant: tuple[str, str] | None,
        format: str,
        verbosity: int,
        **options: Any,
    ) -> None:
        rows = searches.rows(label, options["filter"], options["database"])
        how = {name: options[name] for name in ("fields", "depth")} | ({"floor": None} if no_floor else {})
        self.quiet = verbosity == 0
        try:
            evaluator = Evaluator(rows, read_queries(queries), read_qrels(qrels), item_field)
            texts = read_off_topic(off_topic) if off_topic else []
            evaluation, figures = self.figures(evaluator, how, texts, no_floor=no_floor)
            if variant:
                other = how | {"fields": with_variant(rows.model, how["fields"], *variant, rows.db)}
                theirs, their_figures = self.figures(evaluator, other, texts, no_floor=no_floor)
        except MmsearchError as error:
            raise CommandError(str(error)) from error
        if evaluation.missing_items:
            self.stderr.write(self.style.WARNING(missing(evaluation)))
        if variant:
            scores = (evaluation.scores, theirs.scores)
            compared = Compared(variant, (figures, their_figures), differences(*scores), changes(*scores))
            self.stdout.write(compared.as_json() if format == "json" else compared.as_text(evaluator.queries))
        elif format == "json":
            self.stdout.write(json.dumps(figures, indent=2))
        else:
            self.stdout.write("\n".join(f"{name:<24}{value:>8.4g}" for name, value in figures.items()))

    def figures(
        self, evaluator: Evaluator, how: dict[str, Any], off_topic: Sequence[str], *, no_floor: bool
    ) -> tuple[Evaluation, Figures]:
        evaluation = self.measure(evaluator, how)
        figures: Figures = {**evaluation.figures, "queries": evaluation.queries}
        if not no_floor:
            bare = self.measure(evaluator, how | {"floor": None})
            figures["recall@10 without floor"] = bare.figures["recall@10"]
        if off_topic:
            figures |= {"off-topic": len(off_topic), "off-topic empty": evaluator.empty(off_topic, **how)}
        return evaluation, figures

    def measure(self, evaluator: Evaluator, how: dict[str, Any]) -> Evaluation:
        asked = evaluator.rankings(**how)
        return evaluator.measure(
            tqdm(asked, total=len(evaluator), unit="query", disable=self.quiet or None, file=sys.stderr)
        )


@dataclass(frozen=True)
class Compared:
    """Two fields, asked in turn, side by side."""

    names: tuple[str, str]
    figures: tuple[Figures, Figures]
    differences: dict[str, Difference]
    changes: list[Change]

    def as_json(self) -> str:
        figures = dict(zip(self.names, self.figures, strict=True))
        differences = {name: asdict(each) for name, each in self.differences.items()}
        changed = [asdict(change) for change in self.changes]
        return json.dumps({**figures, "difference": differences, "changed": changed}, indent=2)

    def as_text(self, texts: Mapping[str, str]) -> str:
        before, after = self.names
        wide = max(8, *map(len, self.names))
        lines = [f"{'':<24}{before:>{wide}}  {after:>{wide}}  difference, and where it lies with 95 % confidence"]
        for name, value in self.figures[0].items():
            line = f"{name:<24}{value:>{wide}.4g}  {self.figures[1][name]:>{wide}.4g}"
            lines.append(f"{line}  {self.apart(name)}".rstrip())
        gained = [change for change in self.changes if change.gain > 0]
        lost = [change for change in reversed(self.changes) if change.gain < 0]
        lines += self.table(f"{len(gained)} queries gain in {MEASURES[0]}", gained, texts)
        lines += self.table(f"{len(lost)} queries lose", lost, texts)
        return "\n".join(lines)

    def apart(self, name: str) -> str:
        found = self.differences.get(name)
        if found is None:
            return ""
        chance = "" if found.is_certain else ": may be chance"
        return f"{found.mean:+.4f}  ({found.low:+.4f} to {found.high:+.4f}){chance}"

    @staticmethod
    def table(head: str, found: Sequence[Change], texts: Mapping[str, str]) -> list[str]:
        lines = [f"  {each.before:.3f}  {each.after:.3f}  {each.query}  {texts[each.query]}" for each in found[:WORST]]
        return ["", f"{head}{', most of all' if len(found) > WORST else ''}:", *lines] if found else ["", f"{head}."]


def variant(argument: str) -> tuple[str, str]:
    old, equals, new = argument.partition("=")
    if not (old and equals and new):
        raise argparse.ArgumentTypeError(f"{argument!r} is no variant; write it as field=other.")
    return old, new


def missing(evaluation: Evaluation) -> str:
    names = ", ".join(evaluation.missing_items[:SHOWN])
    more = ", ..." if len(evaluation.missing_items) > SHOWN else ""
    return (
        f"{len(evaluation.missing_items)} of {evaluation.judged_items} relevant items are not among the rows, so "
        f"nothing could find them: {names}{more}"
    )

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from mmsearch_django.exceptions import MmsearchError
from mmsearch_django.management import searches
from mmsearch_django.queryset import report, search


class Command(BaseCommand):
    help = "Searches a model by a text, a picture or both, and says why each row was found."

    def add_arguments(self, parser: CommandParser) -> None:
        searches.add_arguments(parser)
        parser.add_argument("text", nargs="?", help="What to search for.")
        parser.add_argument("--image", type=Path, metavar="FILE", help="A picture to search by.")
        parser.add_argument("--avoid", metavar="TEXT", help="What to turn away from.")
        parser.add_argument("--limit", type=int, default=10, help="How many rows to show (default: 10).")
        parser.add_argument("--format", choices=["text", "json"], default="text")

    def handle(
        self, *, label: str, text: str | None, image: Path | None, limit: int, format: str, **options: Any
    ) -> None:
        if limit < 1:
            raise CommandError("--limit must be 1 or more.")
        rows = searches.rows(label, options["filter"], options["database"])
        how = {name: options[name] for name in ("fields", "avoid", "depth")}
        try:
            queryset = search(rows, text, image=image and image.read_bytes(), **how)[:limit]
        except OSError as error:
            raise CommandError(f"--image cannot be read: {error}") from error
        except MmsearchError as error:
            raise CommandError(str(error)) from error
        found = [found_row(obj) for obj in queryset]
        if format == "json":
            self.stdout.write(json.dumps(found, indent=2, default=str))
            return
        self.stdout.write("\n".join(lines(found)) or "Nothing was found.")
        self.stderr.write(f"({report(queryset)})")


def found_row(obj: Any) -> dict[str, Any]:
    return {"pk": obj.pk, "label": str(obj), "score": obj.score, "match": obj.match}


def lines(found: Sequence[Mapping[str, Any]]) -> list[str]:
    width = max((len(str(row["pk"])) for row in found), default=0)
    return [f"{row['score']:.3f}  {row['pk']!s:>{width}}  {row['label']}  ({why(row['match'])})" for row in found]


def why(match: Mapping[str, Mapping[str, Any]]) -> str:
    """Each leg with rank and similarity."""
    return "; ".join(f"{leg} #{hit['rank']} at {hit['similarity']:.2f}" for leg, hit in match.items())

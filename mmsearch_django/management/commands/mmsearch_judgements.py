from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from mmsearch_django.evaluation.judgements import write_qrels, write_queries
from mmsearch_django.evaluation.judging import export
from mmsearch_django.exceptions import JudgementError
from mmsearch_django.management import searches


class Command(BaseCommand):
    help = "Writes what people judged in admin and API as queries and qrels, for mmsearch_evaluate."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("label", metavar="app.Model")
        searches.add_judged_files(parser)
        parser.add_argument("--force", action="store_true", help="Overwrite the files if they are there.")
        parser.add_argument("--database", choices=list(connections), help="Default: where the model is read.")

    def handle(
        self,
        *,
        label: str,
        queries: Path,
        qrels: Path,
        item_field: str,
        force: bool,
        database: str | None,
        verbosity: int,
        **options: Any,
    ) -> None:
        if queries.resolve() == qrels.resolve():
            raise CommandError("--queries and --qrels name the same file.")
        # Both are looked at first, so that neither is written alone.
        there = [str(path) for path in (queries, qrels) if path.exists()]
        if there and not force:
            raise CommandError(f"{' and '.join(there)} would be overwritten: --force does it.")
        try:
            found = export(searches.rows(label, (), database), item_field)
            write_queries(queries, found.queries, overwrite=force)
            write_qrels(qrels, found.qrels, overwrite=force)
        except JudgementError as error:
            raise CommandError(str(error)) from error
        if found.gone:
            told = f"Judgements left out, since their objects are gone: {found.gone:,}"
            self.stderr.write(self.style.WARNING(told))
        if verbosity:
            items = sum(map(len, found.qrels.values()))
            self.stdout.write(f"Queries: {len(found.queries):,}, judged items: {items:,}")

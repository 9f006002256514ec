from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS, connections

from mmsearch_django import triggers


class Command(BaseCommand):
    help = "Installs and repairs the triggers that record writes; migrate does the same after each run."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS, choices=list(connections), help="Database alias.")
        parser.add_argument("--sql", action="store_true", help="Print all SQL for a new database; touch none.")
        parser.add_argument("--schema", default="public", help="With --sql: where the tables are (default: public).")
        parser.add_argument("--pending", action="store_true", help="With --sql: only what this database lacks.")

    def handle(self, *, database: str, sql: bool, schema: str, pending: bool, verbosity: int, **options: Any) -> None:
        if pending and not sql:
            raise CommandError("--pending goes with --sql.")
        if sql:
            statements = triggers.pending_statements(database) if pending else triggers.statements(schema)
            self.stdout.write("".join(f"{statement};\n\n" for statement in statements), ending="")
            return
        outcome = triggers.install(database)
        if verbosity:
            self.stdout.write(
                "".join(f"Done: {line}.\n" for line in outcome.done) or "All is as declared.\n", ending=""
            )
        if outcome.failed:
            raise CommandError("\n".join(outcome.failed))

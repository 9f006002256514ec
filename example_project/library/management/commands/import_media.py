import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from example_project.library.importing import METADATA, BadRow, import_row, rows


class Command(BaseCommand):
    help = f"Imports the files of a folder as assets, with titles and captions from its {METADATA}."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, metavar="DIR")

    def handle(self, *, folder: Path, verbosity: int, **options: Any) -> None:
        made = known = skipped = 0
        try:
            found = list(rows(folder))
        except BadRow as error:
            raise CommandError(str(error)) from error
        for line, row in tqdm(found, desc="importing", unit="file", disable=verbosity == 0, file=sys.stderr):
            try:
                if isinstance(row, BadRow):
                    raise row
                new = import_row(folder, row)
            except BadRow as error:
                skipped += 1
                tqdm.write(f"{METADATA}, line {line}: {error}", file=sys.stderr)
            else:
                made += new
                known += not new
        if verbosity:
            self.stdout.write(f"{made} imported, {known} known already, {skipped} skipped.")

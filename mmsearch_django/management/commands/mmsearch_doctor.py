import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from mmsearch_django.exceptions import ConfigurationError
from mmsearch_django.fields import all_embedding_fields
from mmsearch_django.indexing.targets import target
from mmsearch_django.management import doctor
from mmsearch_django.management.doctor import Finding


class Command(BaseCommand):
    help = "Examines everything that search depends on, one line each with the fix. Fails if there is a problem."
    requires_system_checks = ()  # It reports them itself.

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--format", choices=["text", "json"], default="text")
        parser.add_argument("--no-embedders", action="store_true", help="Load no model.")

    def handle(self, *, format: str, no_embedders: bool, **options: Any) -> None:
        found: list[Finding] = []
        for finding in findings(load=not no_embedders):
            found.append(finding)
            if format == "text":
                self.stdout.write(self.line(finding))
        if format == "json":
            self.stdout.write(json.dumps([asdict(finding) for finding in found], indent=2))
        if problems := sum(finding.level == "problem" for finding in found):
            raise CommandError(f"{problems} problem{'s' if problems > 1 else ''}.")

    def line(self, finding: Finding) -> str:
        style = {"ok": self.style.SUCCESS, "note": self.style.NOTICE, "problem": self.style.ERROR}[finding.level]
        text = f"{finding.topic}: {finding.text}".rstrip(".") + "."
        return f"{style(finding.level.ljust(7))}  {text}{finding.fix and f' {finding.fix}'}"


def findings(*, load: bool) -> Iterator[Finding]:
    fields = list(all_embedding_fields())
    targets, troubles = [], []
    for field in fields:
        try:
            targets.append(target(field))
        except ConfigurationError as error:
            troubles.append(Finding(field.label, "problem", str(error)))
        except Exception as error:  # The database does not answer, which its own line says.
            troubles.append(Finding(field.label, "problem", f"{type(error).__name__}: {error}".strip()))
    aliases = sorted({one.using for one in targets} or {"default"})
    yield from chain(doctor.databases(aliases), doctor.system_checks(aliases), troubles)
    yield from chain(doctor.fields(targets), doctor.celery(), doctor.models(targets) if load else ())

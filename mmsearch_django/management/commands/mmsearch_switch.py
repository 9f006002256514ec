from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from mmsearch_django.fields import replacement
from mmsearch_django.indexing import switch
from mmsearch_django.indexing.targets import Target
from mmsearch_django.management.targets import find_targets


class Command(BaseCommand):
    help = "Lets a field serve in place of the one that it replaces, in all processes at once, or the other way round."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("label", metavar="app.Model")
        parser.add_argument("field", help="The field that searches name.")
        way = parser.add_mutually_exclusive_group()
        way.add_argument("--to", metavar="FIELD", help="Which of the two is to serve (default: the replacement).")
        way.add_argument("--back", action="store_true", help="Let the field serve itself again.")
        parser.add_argument("--force", action="store_true", help="Switch to a field that is not complete, too.")
        parser.add_argument("--database", choices=list(connections), help="Default: where the model is written.")

    def handle(
        self, *, label: str, field: str, to: str | None, back: bool, force: bool, database: str | None, **options: Any
    ) -> None:
        own, replacing = self.pair(label, field, database)
        names = {own.field.name: own, replacing.field.name: replacing}
        if to is not None and to not in names:
            raise CommandError(f"{own} is served by itself or by {replacing.field.name}, not by {to!r}.")
        new = own if back else names[to] if to else replacing
        old = replacing if new is own else own
        if switch.served_name(new) == own.field.name:
            self.stdout.write(f"{own}: {new.field.name} serves already.")
            return
        lacking = list(switch.lacks(new, old))
        if lacking and not force:
            reasons = "\n".join(f"  {reason}" for reason in lacking)
            raise CommandError(f"{own}: {old.field.name} goes on serving, since\n{reasons}\n--force switches anyway.")
        for reason in lacking:
            self.stderr.write(self.style.WARNING(reason))
        switch.serve(replacing, instead=new is replacing)
        self.stdout.write(f"{own}: {new.field.name} serves from now on, {old.field.name} did before. {undo(own, old)}")

    @staticmethod
    def pair(label: str, name: str, database: str | None) -> tuple[Target, Target]:
        """The field, and the one that is declared to replace it."""
        [own] = find_targets([label], name, database)
        other = replacement(own.field)
        if other is None:
            raise CommandError(
                f"No field is declared to replace {own}. Declare one, fill it, then switch: "
                f"EmbeddingField({own.field.source!r}, embedder=..., replaces={name!r})"
            )
        [replacing] = find_targets([label], other.name, database)
        return own, replacing


def undo(own: Target, old: Target) -> str:
    return f"Undo: manage.py mmsearch_switch {own.field.model._meta.label} {own.field.name} --to {old.field.name}"

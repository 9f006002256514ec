import time
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError, CommandParser

from mmsearch_django.exceptions import MmsearchError
from mmsearch_django.indexing import running

SECONDS = 50


class Command(BaseCommand):
    help = "One round of what a Celery worker with beat does all the time: for cron, every minute, on sites without it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--seconds", type=float, default=SECONDS, help=f"How long to embed what is pending (default: {SECONDS})."
        )

    def handle(self, *, seconds: float, **options: Any) -> None:
        until = time.monotonic() + seconds
        wanted = running.tick()
        troubles = []
        for number, label in enumerate(wanted):
            share = max(until - time.monotonic(), 0) / (len(wanted) - number)
            try:
                running.work_on(apps.get_model(label), share, may_help=lambda other: True)
            except MmsearchError as error:
                troubles.append(f"{label}: {error}")
        if troubles:
            raise CommandError("\n".join(troubles))

from typing import Any

from mmsearch_django.management.held import LaneCommand


class Command(LaneCommand):
    help = "Pauses indexing, by default of the backfill alone: what people write goes on. mmsearch_resume ends it."

    def handle(self, **options: Any) -> None:
        self.change(options, paused=True)

from typing import Any

from mmsearch_django.management.held import LaneCommand


class Command(LaneCommand):
    help = "Lets paused indexing go on. Rates and hours stay as they are."
    default_lane = "all"

    def handle(self, **options: Any) -> None:
        self.change(options, paused=False)

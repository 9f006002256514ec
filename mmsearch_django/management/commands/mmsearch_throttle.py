from datetime import time
from typing import Any

from django.core.management.base import CommandError, CommandParser

from mmsearch_django.management.held import LaneCommand

NONE = "none"


class Command(LaneCommand):
    help = "Limits how many objects are indexed a minute, and in which hours. 'none' lifts a limit."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--rate", metavar="N", help="Objects a minute, or 'none'.")
        parser.add_argument("--hours", metavar="22:00-06:00", help="In the site's time zone, or 'none'.")

    def handle(self, *, rate: str | None, hours: str | None, **options: Any) -> None:
        if rate is None and hours is None:
            raise CommandError("Give --rate, --hours or both; 'none' lifts a limit.")
        values = ({} if rate is None else read_rate(rate)) | ({} if hours is None else read_hours(hours))
        self.change(options, **values)


def read_rate(text: str) -> dict[str, Any]:
    if text == NONE:
        return {"per_minute": None, "spent_until": None}
    if not text.isdecimal() or not 0 < int(text) < 2**31:
        raise CommandError(f"--rate is {text!r}; give objects a minute, 1 or more, or 'none'. To stop: mmsearch_pause.")
    return {"per_minute": int(text), "spent_until": None}


def read_hours(text: str) -> dict[str, Any]:
    if text == NONE:
        return {"opens_at": None, "closes_at": None}
    first, _, second = text.partition("-")
    try:
        opens_at, closes_at = time.fromisoformat(first.strip()), time.fromisoformat(second.strip())
    except ValueError as error:
        raise CommandError(f"--hours is {text!r}; write it as 22:00-06:00, or 'none'.") from error
    if opens_at == closes_at or opens_at.tzinfo or closes_at.tzinfo:
        raise CommandError(f"--hours is {text!r}; give two times of the site's own time zone that differ.")
    return {"opens_at": opens_at, "closes_at": closes_at}

"""Two lanes for each embedding field: live, what people write, and backfill; and how operators hold them back.

Live goes first. What holds a lane back is in the database, and asked for before each claim: all workers heed it from
their next batch on.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from mmsearch_django.indexing.targets import Target
from mmsearch_django.models import Lane

SAVED = timedelta(minutes=1)
"""What a rate allows is saved up for so long while nothing is claimed: sweeps are 15 s apart, by cron a minute."""


Lanes = frozenset[str]
LIVE: Lanes = frozenset({Lane.Name.LIVE.value})
BACKFILL: Lanes = frozenset({Lane.Name.BACKFILL.value})
BOTH = LIVE | BACKFILL
CONDITIONS: dict[Lanes, str] = {BOTH: "TRUE", LIVE: "live", BACKFILL: "NOT live", frozenset(): "FALSE"}
"""What is in these lanes, in SQL, of marks and of states."""


def held(target: Target, *, lock: bool = False) -> dict[str, Lane]:
    """The lanes that somebody has ever held back, by name."""
    rows = Lane.objects.using(target.using).filter(space=target.space).order_by("name")
    return {lane.name: lane for lane in (rows.select_for_update() if lock else rows)}


def open_lanes(rows: Mapping[str, Lane], *, heed_rates: bool = True) -> Lanes:
    """From which of them something may be claimed now, or could be if they had no rate."""
    now = timezone.now()
    return BOTH - {
        name for name, lane in rows.items() if not is_open(lane, now) or (heed_rates and allowed(lane, now) == 0)
    }


def is_open(lane: Lane, now: datetime) -> bool:
    """Neither paused nor out of its hours."""
    if lane.paused or lane.opens_at is None or lane.closes_at is None:
        return not lane.paused
    clock = timezone.localtime(now, timezone.get_default_timezone()).time()
    if lane.opens_at < lane.closes_at:
        return bool(lane.opens_at <= clock < lane.closes_at)
    return bool(clock >= lane.opens_at or clock < lane.closes_at)


def allowed(lane: Lane, now: datetime, most: int = 1) -> int:
    """How many may be claimed now by its rate; so many at most, and so many without a rate."""
    if lane.per_minute is None:
        return most
    return min(most, max(int((now - _spent_until(lane, now)) / timedelta(minutes=1) * lane.per_minute + 1e-6), 0))


def spend(lane: Lane, count: int, now: datetime) -> None:
    """So many were claimed. The row must have been locked before it was asked how many may be."""
    if lane.per_minute is not None and count:
        lane.spent_until = _spent_until(lane, now) + timedelta(minutes=count / lane.per_minute)
        lane.save(using=lane._state.db, update_fields=["spent_until"])


def _spent_until(lane: Lane, now: datetime) -> datetime:
    """A bucket of tokens as a time: it has what the rate gives from then to now, and at most what it holds.

    A time far ahead was written before the clock was set back, and holds nobody up; one just ahead by another machine.
    """
    full = now - SAVED
    spent = lane.spent_until
    return spent if spent is not None and full < spent < now + SAVED else full


def change(target: Target, names: Iterable[str], **values: Any) -> None:
    """Set columns of lanes: ``paused``; ``per_minute`` and ``spent_until``; ``opens_at`` and ``closes_at``."""
    for name in names:
        Lane.objects.using(target.using).update_or_create(space_id=target.space, name=name, defaults=values)


def reason(lane: Lane) -> str:
    """What holds it back, in words; empty if nothing does."""
    parts = ["paused"] if lane.paused else []
    if lane.opens_at is not None and lane.closes_at is not None:
        parts.append(f"from {lane.opens_at:%H:%M} to {lane.closes_at:%H:%M} only")
    if lane.per_minute is not None:
        parts.append(f"{lane.per_minute:,} a minute")
    return ", ".join(parts)

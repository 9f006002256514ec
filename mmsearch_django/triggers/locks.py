"""Nobody waits long for a lock: a statement that waits makes all later writers wait behind it."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError, connections, transaction

LOCK_TIMEOUT = "50ms"
NOT_ALLOWED = "42501"
CONTENTION = ("55P03", "40P01", "40001")
"""Lock not available, deadlock, serialization failure: another was there, and it is worth another try."""


@contextmanager
def brief_locks(using: str) -> Iterator[None]:
    """A transaction in which nothing waits longer than a moment for a lock."""
    connection = connections[using]
    before = _setting(using) if connection.in_atomic_block else None
    with transaction.atomic(using), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [LOCK_TIMEOUT])
        yield
        if before is not None:
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [before])


def _setting(using: str) -> str:
    """What the caller's transaction has, and gets back."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT current_setting('lock_timeout')")
        return str(cursor.fetchone()[0])


def is_contention(error: DatabaseError) -> bool:
    return sqlstate(error) in CONTENTION


def sqlstate(error: DatabaseError) -> str | None:
    return getattr(error.__cause__, "sqlstate", None)

"""What the tests of triggers look at and write."""

import threading
from contextlib import contextmanager

from django.db import connection, connections, transaction

from mmsearch_django.models import Mark, Space


def space(model, field):
    return Space.objects.get(model=model._meta.label_lower, field=field).pk


def marked(model, field, **filters):
    return sorted(
        Mark.objects.filter(space=space(model, field), **filters).values_list("object_id", flat=True),
        key=lambda key: (key is None, key),
    )


def execute(sql, params=None):
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall() if cursor.description else None


def truncate_assets():
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    execute("TRUNCATE tests_asset CASCADE")


def keys(*objects):
    return sorted(str(obj.pk) for obj in objects)


@contextmanager
def held_lock(table):
    """Another session that has the table for itself."""
    held, free = threading.Event(), threading.Event()

    def hold():
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {table} IN ROW EXCLUSIVE MODE")
            held.set()
            free.wait(30)
        connections.close_all()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(30)
    try:
        yield
    finally:
        free.set()
        thread.join()

"""What search costs the site's own writes: the same table twice, once with an embedding field."""

import argparse
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from django.db import connections, transaction

from benchmarks.models import Photo, PlainPhoto
from benchmarks.sizing import execute
from mmsearch_django.models import Mark

MANY = 10_000
ONES = 100
"""Single writes whose median is one figure."""
Action = Callable[[Any], Any]


def fresh(model: Any, count: int) -> list[Any]:
    return [model(title=f"photo {number}", file=f"{number}.jpg") for number in range(count)]


def seconds(action: Action, model: Any) -> float:
    start = time.perf_counter()
    action(model)
    return time.perf_counter() - start


def create(model: Any) -> None:
    model.objects.create(title="one", file="1.jpg")


def save(model: Any) -> None:
    model.objects.get(pk=1).save()


def save_thousand(model: Any) -> None:
    """In one transaction, while others read the table."""
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            list(model.objects.filter(rating=0)[:20])
        connections.close_all()

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    with transaction.atomic():
        for photo in model.objects.order_by("pk")[:1000]:
            photo.title += "."
            photo.save()
    done.set()
    for reader in readers:
        reader.join()


SINGLE: dict[str, Action] = {"create()": create, "get() and save()": save}
BULK: dict[str, Action] = {
    f"bulk_create() of {MANY:,}": lambda model: model.objects.bulk_create(fresh(model, MANY)),
    f"update() of {MANY:,}, a watched column": lambda model: model.objects.filter(pk__lte=MANY).update(file="2.jpg"),
    f"update() of {MANY:,}, an indexed column": lambda model: model.objects.filter(pk__lte=MANY).update(rating=1),
    "1,000 save() in one transaction, readers beside": save_thousand,
    f"DELETE of {MANY:,}": lambda model: model.objects.filter(pk__lte=MANY)._raw_delete("default"),
}


def reset(model: Any) -> None:
    execute(f"TRUNCATE {model._meta.db_table} RESTART IDENTITY")
    model.objects.bulk_create(fresh(model, 2 * MANY))
    Mark.objects.all().delete()
    execute(f"VACUUM ANALYZE {model._meta.db_table}")


def single(action: Action) -> tuple[float, float]:
    """Medians of calls in turns."""
    pairs = [(seconds(action, PlainPhoto), seconds(action, Photo)) for _ in range(ONES)]
    plain, ours = zip(*pairs, strict=True)
    return statistics.median(plain), statistics.median(ours)


def writes(arguments: argparse.Namespace) -> Iterator[str]:
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in (*SINGLE, *BULK)}
    for number in range(arguments.rounds):
        for model in (PlainPhoto, Photo):
            reset(model)
        for name, action in SINGLE.items():
            took[name].append(single(action))
        for name, action in BULK.items():
            models = (PlainPhoto, Photo) if number % 2 else (Photo, PlainPhoto)  # The first warms what both use.
            found = {model: seconds(action, model) for model in models}
            took[name].append((found[PlainPhoto], found[Photo]))
    yield "| write | ms without search | with | more | ratio |"
    yield "|---|---|---|---|---|"
    for name, pairs in took.items():
        plain, ours = (statistics.median(side) * 1000 for side in zip(*pairs, strict=True))
        more = statistics.median(b - a for a, b in pairs) * 1000
        ratio = statistics.median(b / a for a, b in pairs)
        yield f"| {name} | {plain:.2f} | {ours:.2f} | {more:.2f} | {ratio:.2f} |"

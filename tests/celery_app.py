"""A Celery application whose broker is a folder, or the Redis that TEST_BROKER names."""

import os
import time
from pathlib import Path

from celery import Celery

from mmsearch_django.conf import BEAT_SCHEDULE


def broker(place: str):
    """Settings for a URL, or for a folder."""
    if "://" in place:
        return {"broker_url": place}
    folder = Path(place)
    queue, control = folder / "queue", folder / "control"
    queue.mkdir(exist_ok=True)
    control.mkdir(exist_ok=True)
    return {
        "broker_url": "filesystem://",
        "broker_transport_options": {
            "data_folder_in": str(queue),
            "data_folder_out": str(queue),
            "control_folder": str(control),
            "polling_interval": 0.1,
        },
    }


app = Celery("tests")
if "TEST_BROKER" in os.environ:
    app.conf.update(broker(os.environ["TEST_BROKER"]), beat_schedule=BEAT_SCHEDULE)
    app.autodiscover_tasks()
if "TEST_QUEUE" in os.environ:
    app.conf.task_routes = {"mmsearch_django.tasks.*": {"queue": os.environ["TEST_QUEUE"]}}


def write_down(path: str) -> None:
    """Have the dummy embedder take its time, and append to a file which process embeds what; batches stay small."""
    from mmsearch_django.embedders.dummy import DummyEngine

    texts = DummyEngine.texts

    def patched(self, contents, *, query):
        from mmsearch_django.indexing import pipeline

        pipeline.QUICK_SECONDS = 0.0
        contents = list(contents)
        with open(path, "a") as file:
            file.write(f"{os.getpid()} {'|'.join(contents)}\n")
        time.sleep(0.05)
        return texts(self, contents, query=query)

    DummyEngine.texts = patched


if "TEST_BATCHES" in os.environ:
    write_down(os.environ["TEST_BATCHES"])

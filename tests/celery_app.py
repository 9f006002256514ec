"""A Celery application whose broker is a folder, or the Redis that TEST_BROKER names."""

import os
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

"""The Celery application of the chaos: its decoder is killed by the files of tests.media.deadly, its sweep is quick."""

import os

from celery.signals import worker_init

from mmsearch_django.conf import BEAT_SCHEDULE
from mmsearch_django.embedders.registry import embedders
from mmsearch_django.media import sandbox
from tests.celery_app import app
from tests.media import deadly

sandbox.decoders.command = deadly.COMMAND
app.set_default()
[(name, sweep)] = BEAT_SCHEDULE.items()
app.conf.update(
    beat_schedule={name: {**sweep, "schedule": 1.0}},
    worker_cancel_long_running_tasks_on_connection_loss=False,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
)


@worker_init.connect
def load(**kwargs):
    """In the parent of a prefork pool, where a site may have done so by accident."""
    if "CHAOS_CHECKPOINT" in os.environ:
        embedders["default"].embed_texts(["something"])

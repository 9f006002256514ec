"""The Celery application: celery -A example_project worker -B"""

import os
import signal
import sys
from threading import Thread
from typing import Any

from celery import Celery
from celery.signals import worker_ready

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_project.settings")

app = Celery("example_project")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_ready.connect
def end_with_parent(**kwargs: Any) -> None:
    """A worker of the demo hangs on a pipe: however the demo ends, its worker does, too."""
    if "EXAMPLE_WORKER" in os.environ:
        Thread(target=_stop_at_end_of_input, daemon=True).start()


def _stop_at_end_of_input() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)

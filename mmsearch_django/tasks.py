"""Celery tasks. Messages to index carry a model's label and nothing else: a lost, doubled or late one changes nothing.

Put ``mmsearch_django.conf.BEAT_SCHEDULE`` into the site's ``CELERY_BEAT_SCHEDULE`` and run a worker with beat. A site
without Celery runs ``manage.py mmsearch_sweep`` from cron: nothing here is needed for correctness.
"""

import logging
import mmap
import time
from collections.abc import Sequence
from functools import cache, partial
from typing import Any

from celery import _state, current_app, shared_task
from celery.exceptions import WorkerLostError
from celery.signals import task_failure, worker_ready, worker_shutting_down
from django.apps import apps
from django.db import transaction
from django.db.models.signals import m2m_changed, post_delete, post_save

from mmsearch_django.embedders.celery import CONNECTION, answer
from mmsearch_django.fields import all_embedding_fields, embedding_fields
from mmsearch_django.indexing import running
from mmsearch_django.signals import marked
from mmsearch_django.triggers.definitions import watched_models

logger = logging.getLogger("mmsearch_django")

WORK_SECONDS = 60
EXPIRES_SECONDS = 60
"""A message that nobody took for so long is dropped: no heap of them awaits a worker, and the sweep sends another."""
KICK_SECONDS = 1
"""A kick is delayed so much, and covers all commits of that time."""
LOST_SECONDS = 2
"""How soon others go on where a process of a pool died: not at once, for the next may die of the same."""
QUIET_SECONDS = 30
"""After a message could not be sent, none is tried for so long."""


@shared_task(ignore_result=True, soft_time_limit=600, time_limit=660)
def index_model(label: str) -> None:
    """Embed what is pending of a model for a minute, then hand over to a successor.

    The first at work after a bulk load calls in as many others as are configured and would find something to do.
    """
    model = apps.get_model(label)
    for _ in range(running.others_wanted(model)):
        send(index_model, label)
    if running.work_on(model, WORK_SECONDS, may_help=partial(share_queue, label), stopping=is_stopping):
        send(index_model, label)


@shared_task(ignore_result=True, soft_time_limit=600, time_limit=660)
def sweep() -> None:
    """Find what no trigger told, and see that there are workers for what is pending."""
    for label, workers in running.tick().items():
        for _ in range(workers):
            send(index_model, label)


@shared_task(ignore_result=True, soft_time_limit=600, time_limit=660)
def embed(reply_to: str, request: dict[str, Any]) -> None:
    """Embed for a process that waits: see mmsearch_django.embedders.celery."""
    answer(embed.app, reply_to, request)


_kicked: dict[str, float] = {}
_quiet_until = 0.0


def connect() -> None:
    """Listen to writes through the ORM, so that they are indexed at once instead of at the next sweep.

    Celery knows the site's application in the thread that made it, this one. Web servers answer in others, which would
    look for a RabbitMQ on this machine, unless there is a default.
    """
    if _state.default_app is None:  # type: ignore[attr-defined]
        current_app.set_default()
    for model in apps.get_models(include_auto_created=True):
        if listeners(model):
            for signal in (post_save, post_delete, m2m_changed, marked):
                signal.connect(kick_on_commit, sender=model)
    worker_ready.connect(sweep_at_start)
    task_failure.connect(go_on)
    worker_shutting_down.connect(stop_at_shutdown)


@cache
def listeners(model: Any) -> frozenset[str]:
    """Labels of the models whose embedding fields read from this one's table, its own or as a related one."""
    reading = [field for field in all_embedding_fields() if model in watched_models(field)]
    return frozenset(field.model._meta.label for field in (*embedding_fields(model).values(), *reading))


def kick_on_commit(*, sender: Any, using: str, **kwargs: Any) -> None:
    for label in listeners(sender):
        transaction.on_commit(partial(kick, label), using=using, robust=True)


def kick(label: str) -> None:
    """Send one message for all that this process commits within a second."""
    now = time.monotonic()
    eager = index_model.app.conf.task_always_eager  # Runs at once, and covers nothing that comes later.
    if eager or now - _kicked.get(label, -KICK_SECONDS) >= KICK_SECONDS:
        _kicked[label] = now
        send(index_model, label, countdown=KICK_SECONDS)


def sweep_at_start(**kwargs: Any) -> None:
    """Receiver of ``worker_ready``: what was written while no worker ran."""
    send(sweep)


def go_on(*, sender: Any, exception: Exception, args: Sequence[str], **kwargs: Any) -> None:
    """Receiver of ``task_failure`` in the parent of a pool, one of whose processes died with its task."""
    if sender.name == index_model.name and isinstance(exception, WorkerLostError):
        send(index_model, *args, countdown=LOST_SECONDS)


_stopping = mmap.mmap(-1, 1)
"""A byte that a worker's main process shares with the processes of its pool: they are not told of a warm shutdown."""


def stop_at_shutdown(**kwargs: Any) -> None:
    """Receiver of ``worker_shutting_down``: tasks end with the batches in hand, so a deploy waits for no more."""
    _stopping[0] = 1


def is_stopping() -> bool:
    return bool(_stopping[0])


def share_queue(label: str, other: str) -> bool:
    """Whether messages of the two models go to the same queue, and so to workers that may embed both."""
    return queue_of(label) == queue_of(other)


def queue_of(label: str) -> str:
    """By the site's ``task_routes``."""
    app = index_model.app
    route = app.amqp.router.route({}, index_model.name, args=(label,))
    queue = route.get("queue") or app.conf.task_default_queue
    return str(getattr(queue, "name", queue))


def send(task: Any, *args: str, countdown: int = 0) -> None:
    """Send a message if the broker is there, and never fail or wait long if it is not."""
    global _quiet_until
    if time.monotonic() < _quiet_until:
        return
    try:
        with task.app.connection_for_write(**CONNECTION) as connection:
            options = {"countdown": countdown, "expires": EXPIRES_SECONDS, "retry": False, "ignore_result": True}
            task.apply_async(args, connection=connection, **options)
    except Exception as error:
        _quiet_until = time.monotonic() + QUIET_SECONDS
        logger.warning("Celery's broker cannot be reached, so new writes wait for the sweep: %s", error)


# For mmsearch_doctor


def configured() -> bool:
    """Whether the site has named a broker; without one Celery would try a RabbitMQ on this machine."""
    app = index_model.app
    return bool(app.conf.broker_url or app.conf.broker_write_url or app.conf.task_always_eager)


def broker_trouble() -> str:
    """Why the broker cannot be reached; empty if it can."""
    app = index_model.app
    if app.conf.task_always_eager:
        return ""
    try:
        with app.connection_for_write(**CONNECTION) as connection:
            connection.ensure_connection(max_retries=1, timeout=CONNECTION["connect_timeout"])
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def workers() -> list[str]:
    """Names of the running workers that know our tasks, asked for two seconds."""
    app = index_model.app
    if app.conf.task_always_eager:
        return ["this process, eagerly,"]
    with app.connection_for_write(**CONNECTION) as connection:
        found = app.control.inspect(timeout=2, connection=connection).registered() or {}
    return sorted(name for name, known in found.items() if any(index_model.name in task for task in known))

"""Texts and pictures embedded by a Celery worker: web processes load no model.

A request is a message to a queue of its own, the answer one to a queue that whoever asks declares for it: over the
broker that the site has, so no result backend is needed and no result is left behind. All of it is JSON.
"""

import base64
import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from queue import Empty
from typing import Any, TypeVar
from uuid import uuid4

import numpy as np
from celery import Celery, current_app, current_task
from django.core.checks import CheckMessage
from kombu import Connection, Queue
from kombu.exceptions import ChannelError
from PIL import Image as Pillow
from PIL.Image import Image

from mmsearch_django.embedders import engines
from mmsearch_django.embedders.base import Embedder, Engine, Modality, Vectors
from mmsearch_django.embedders.forwarding import LONGEST_TEXT, CircuitBreaker, ForwardingEmbedder, encoded
from mmsearch_django.embedders.registry import embedders
from mmsearch_django.embedders.selftest import selftest
from mmsearch_django.exceptions import (
    ConfigurationError,
    EmbedderError,
    EmbedderMisconfigured,
    EmbedderUnavailable,
    MmsearchError,
    SelfTestFailed,
)

logger = logging.getLogger("mmsearch_django")

Input = TypeVar("Input")

TASKS = "mmsearch_django.tasks."
TASK = f"{TASKS}embed"
CONNECTION: dict[str, Any] = {
    "connect_timeout": 1,
    "transport_options": {"max_retries": 0, "interval_start": 0, "socket_connect_timeout": 1, "socket_timeout": 5},
}
"""Celery's own pool would try for seconds to reach a broker that is away, within the site's request."""
MESSAGE_BYTES = 4 * 1024 * 1024
"""A message is no longer than this, or has one input alone: a picture of 1024 x 1024 pixels at the most."""
MESSAGE_INPUTS = 16
"""Nor has it more inputs, so that queries get their turn between batches."""
MOST_WAITING = 100
"""Messages in the queue; where there are more, nobody works them off."""
FORGOTTEN_SECONDS = 60
"""After so long a broker drops an answer whose asker has gone."""
KINDS: dict[str, type[EmbedderError]] = {
    kind.__name__: kind for kind in (EmbedderUnavailable, EmbedderMisconfigured, SelfTestFailed, EmbedderError)
}
"""What a worker's errors are to those who asked."""


class CeleryEmbedder(ForwardingEmbedder):
    """``OPTIONS``: ``behind`` (needed: the alias of the embedder that workers run), ``queue`` ("mmsearch_queries"),
    ``timeout`` (5 seconds, for each input of a message).

    Within this package's own tasks it is the embedder behind it: what indexes runs the model itself.
    """

    backend = "celery"
    runs_any = "Whatever another alias runs, in the processes of a worker."

    def __init__(self, alias: str, **configuration: Any) -> None:
        super().__init__(alias, **configuration)
        self.breaker = CircuitBreaker()
        self._configure(**self.options)

    def _configure(
        self, *, behind: str = "", queue: str = "mmsearch_queries", timeout: float = 5.0, **unknown: Any
    ) -> None:
        if unknown:
            raise self._wrong(f"OPTIONS has no {', '.join(sorted(unknown))}.")
        if self.model or self.revision:
            raise self._wrong("leave out MODEL and REVISION: they are those of OPTIONS['behind'].")
        if not isinstance(queue, str) or not queue:
            raise self._wrong(f"OPTIONS['queue'] is {queue!r}; give a name.")
        self.behind, self.queue, self.timeout = behind, queue, self._seconds("timeout", timeout)

    @property
    def original(self) -> Embedder:
        return self._behind()

    def check(self) -> list[CheckMessage]:
        self._behind()
        return []

    def load(self) -> Engine:
        return CeleryEngine(self)

    def warm_up(self) -> None:
        """Test the model through a worker."""
        selftest(self, self._engine())

    def _engine(self) -> Engine:
        # Not kept with the loaded models, nor tested as they are: the worker has tested the one behind it.
        return engines.get(self.original) if runs_here() else self.load()

    def here(self) -> Embedder:
        return self.original if runs_here() else self


def runs_here() -> bool:
    """Whether this is a task of ours, which runs the model itself; or one that would never reach a worker."""
    name: str = current_task.name if current_task else ""
    return name.startswith(TASKS) or bool(current_app.conf.task_always_eager)


class CeleryEngine:
    """The asker's side."""

    def __init__(self, embedder: CeleryEmbedder) -> None:
        self.embedder = embedder

    def texts(self, texts: Sequence[str], *, query: bool) -> Vectors:
        return self._embed([text[:LONGEST_TEXT] for text in texts], modality="text", query=query)

    def images(self, images: Sequence[Image]) -> Vectors:
        return self._embed((base64.b64encode(encoded(image)).decode() for image in images), modality="image")

    def _embed(self, inputs: Sequence[str] | Iterator[str], *, modality: Modality, query: bool = False) -> Vectors:
        return np.concatenate([self._ask(part, modality, query=query) for part in messages(inputs)])

    def _ask(self, inputs: Sequence[str], modality: Modality, *, query: bool) -> Vectors:
        embedder = self.embedder
        request = {
            "alias": embedder.behind,
            "signature": str(embedder.signature),
            "modality": modality,
            "inputs": inputs,
            "query": query,
        }
        with embedder.breaker.guard():
            answer = self._exchanged(request, embedder.timeout * len(inputs))
        if "error" in answer:
            raise KINDS.get(answer["error"], EmbedderError)(
                f"Embedder '{embedder.alias}': the worker says: {answer['message']}"
            )
        numbers = np.frombuffer(base64.b64decode(answer["vectors"]), dtype="<f4")
        return numbers.reshape(len(inputs), -1)

    def _exchanged(self, request: Mapping[str, Any], seconds: float) -> Mapping[str, Any]:
        queue = self.embedder.queue
        try:
            with current_app.connection_for_write(**CONNECTION) as connection:
                waiting = _waiting(connection, queue)
                found = None if waiting > MOST_WAITING else exchange(connection, queue, request, seconds)
        except Exception as error:  # Transports raise types of their own.
            raise EmbedderUnavailable(
                f"Embedder '{self.embedder.alias}': Celery's broker does not answer ({type(error).__name__}): {error} "
                "Is it running, and does this process load the site's Celery application?"
            ) from error
        if found is None:
            raise EmbedderUnavailable(
                f"Embedder '{self.embedder.alias}': no worker answered within {seconds:g} s on the queue {queue!r}, "
                f"where {waiting} messages wait. Start one: celery -A yoursite worker -Q {queue}"
            )
        return found


def messages(inputs: Sequence[str] | Iterator[str]) -> Iterator[list[str]]:
    """The inputs in their order, as many together as a message may hold."""
    part: list[str] = []
    size = 0
    for one in inputs:
        length = len(json.dumps(one))
        if part and (size + length > MESSAGE_BYTES or len(part) == MESSAGE_INPUTS):
            yield part
            part, size = [], 0
        part.append(one)
        size += length
    if part:
        yield part


def _waiting(connection: Connection, queue: str) -> int:
    """How many messages nobody has taken yet; 0 for a queue that is not there."""
    try:
        with connection.channel() as channel:
            return int(channel.queue_declare(queue=queue, passive=True).message_count)  # type: ignore[attr-defined]
    except ChannelError:
        return 0


def exchange(connection: Connection, queue: str, request: Mapping[str, Any], seconds: float) -> dict[str, Any] | None:
    """The answer of a worker, or None if there is none in time. The message expires then."""
    until, reply_to = time.monotonic() + seconds, f"mmsearch_reply.{uuid4().hex}"
    try:
        with connection.channel() as channel:
            # The types that we have know names of queues alone.
            replies = connection.SimpleBuffer(_reply_queue(reply_to), accept=["json"], channel=channel)  # type: ignore[arg-type]
            replies.consumer.consume(no_ack=True)
            current_app.send_task(
                TASK,
                kwargs={"reply_to": reply_to, "request": request},
                queue=queue,
                connection=connection,
                expires=seconds,
                retry=False,
                ignore_result=True,
                serializer="json",
            )
            payload: dict[str, Any] = replies.get(timeout=max(until - time.monotonic(), 0)).payload
            return payload
    except Empty:
        return None
    finally:
        # Redis may hand over an answer while the channel closes, which then puts it back.
        connection.default_channel.queue_delete(reply_to)  # type: ignore[attr-defined]


def _reply_queue(name: str) -> Queue:
    """The same for both sides: the asker reads it and takes it away, and the broker does if the asker died."""
    return Queue(name, routing_key=name, auto_delete=True, expires=FORGOTTEN_SECONDS, no_ack=True)


# In the worker


def answer(app: Celery, reply_to: str, request: Mapping[str, Any]) -> None:
    """Embed what was asked for and send the vectors, or what went wrong."""
    try:
        reply = {"vectors": base64.b64encode(_vectors(**request).astype("<f4").tobytes()).decode()}
    except MmsearchError as error:
        logger.warning("A request could not be embedded: %s", error)
        reply = _failure(error)
    except Exception as error:  # Whatever it is, somebody waits for an answer.
        logger.exception("A request could not be embedded.")
        reply = _failure(error)
    with app.connection_for_write(**CONNECTION) as connection:
        queue = _reply_queue(reply_to)
        connection.Producer().publish(
            reply, exchange="", routing_key=reply_to, declare=[queue], serializer="json", delivery_mode=1, retry=False
        )


def _vectors(alias: str, signature: str, modality: Modality, inputs: Sequence[str], *, query: bool) -> Vectors:
    embedder = embedders[alias]
    if str(embedder.signature) != signature:
        raise ConfigurationError(
            f"it runs {embedder.signature} as embedder '{alias}', and was asked for {signature}. Start web processes "
            "and workers anew with the same settings."
        )
    if modality == "text":
        return embedder.embed_texts(inputs, query=query)
    return embedder.embed_images([_picture(base64.b64decode(each)) for each in inputs])


def _picture(data: bytes) -> Image:
    with Pillow.open(BytesIO(data), formats=["PNG"]) as picture:
        return picture.convert("RGB")


def _failure(error: Exception) -> dict[str, str]:
    if isinstance(error, ConfigurationError):
        return {"error": EmbedderMisconfigured.__name__, "message": str(error)}
    name = type(error).__name__
    return {"error": name, "message": str(error) if isinstance(error, MmsearchError) else f"{name}: {error}"}

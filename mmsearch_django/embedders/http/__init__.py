"""Texts and pictures embedded by a server over HTTP: no model in this process."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, TypeVar
from urllib.parse import urlsplit

import numpy as np
from django.core.checks import CheckMessage, Error, Warning
from django.utils.module_loading import import_string
from django.views.decorators.debug import sensitive_variables
from PIL.Image import Image

from mmsearch_django.embedders.base import Embedder, Engine, Modality, Vectors
from mmsearch_django.embedders.forwarding import LONGEST_TEXT, CircuitBreaker, ForwardingEmbedder, encoded
from mmsearch_django.embedders.http.client import Client, RequestTooLarge, Server
from mmsearch_django.embedders.http.protocols import PROTOCOLS, Body, vectors
from mmsearch_django.exceptions import (
    EmbedderError,
    EmbedderMisconfigured,
    EmbedderUnavailable,
    InputRefused,
)

Input = TypeVar("Input")

LONGEST_ANSWER = 256 * 1024
"""Bytes for each input: 4000 numbers as text and as much again."""


class _Elsewhere(Embedder):
    """Declares a model that only the server has."""

    backend = "http"

    def __init__(self, alias: str, dimensions: int, modalities: frozenset[Modality], **configuration: Any) -> None:
        super().__init__(alias, **configuration)
        self.length = dimensions
        self.modalities = modalities  # type: ignore[misc]

    @property
    def dimensions(self) -> int:
        return self.length

    def load(self) -> Engine:
        raise EmbedderUnavailable(f"Embedder '{self.alias}' has its model on a server.")


class HttpEmbedder(ForwardingEmbedder):
    """``MODEL`` is the name that the server knows. ``OPTIONS``: ``url`` (needed; what is posted to), ``protocol``
    ("openai", "infinity", "vllm", "jina"), ``behind`` (the alias of the same model run locally) or ``dimensions`` and
    ``modalities``; ``api_key_env``, ``api_key``, ``headers``, ``timeout`` (5, for each input of a request),
    ``connect_timeout`` (2), ``retries`` (1), ``batch_size`` (16), ``image_format`` ("png", "jpeg"), ``matryoshka``,
    ``query_prompt``, ``document_prompt``, ``ca_file``."""

    backend = "http"
    runs_any = "What a server runs: any model behind the APIs of OpenAI, Infinity, vLLM or Jina."

    def __init__(self, alias: str, **configuration: Any) -> None:
        super().__init__(alias, **configuration)
        self.breaker = CircuitBreaker()
        self._configure(**self.options)

    def _configure(
        self,
        *,
        protocol: str = "openai",
        behind: str = "",
        dimensions: int = 0,
        modalities: Sequence[Modality] = (),
        batch_size: int = 16,
        image_format: str = "png",
        matryoshka: bool = False,
        query_prompt: str = "",
        document_prompt: str = "",
        **server: Any,
    ) -> None:
        if protocol not in list(PROTOCOLS):
            raise self._wrong(f"OPTIONS['protocol'] is {protocol!r}; give one of {', '.join(PROTOCOLS)}.")
        if bool(behind) == bool(dimensions):
            raise self._wrong(
                "give OPTIONS['behind'], the alias of the same model run locally, or else OPTIONS['dimensions']."
            )
        if dimensions and (type(dimensions) is not int or dimensions < 1):
            raise self._wrong(f"OPTIONS['dimensions'] is {dimensions!r}; give a whole number above 0.")
        if dimensions and not self.model:
            raise self._wrong("give MODEL, the name that the server knows.")
        if type(batch_size) is not int or batch_size < 1:
            raise self._wrong(f"OPTIONS['batch_size'] is {batch_size!r}; give 1 or more.")
        if image_format not in ("png", "jpeg"):
            raise self._wrong(f"OPTIONS['image_format'] is {image_format!r}; give png or jpeg.")
        self.protocol, self.behind, self.matryoshka = PROTOCOLS[protocol], behind, matryoshka
        if unable := set(modalities) - self.protocol.modalities:
            raise self._wrong(f"OPTIONS['modalities']: the protocol {protocol!r} has no {', '.join(sorted(unable))}.")
        self.batch_size, self.image_format = batch_size, image_format
        self.prompts = {True: query_prompt, False: document_prompt}
        self.length, self.named = dimensions, frozenset(modalities) or self.protocol.modalities
        self._configure_server(**server)

    def _configure_server(
        self,
        *,
        url: str = "",
        api_key_env: str = "",
        api_key: str | Callable[[], str] = "",
        headers: Mapping[str, str] | None = None,
        timeout: float = 5.0,
        connect_timeout: float = 2.0,
        retries: int = 1,
        ca_file: str | None = None,
        **unknown: Any,
    ) -> None:
        if unknown:
            raise self._wrong(f"OPTIONS has no {', '.join(sorted(unknown))}.")
        self._require_url(url)
        if isinstance(api_key, str) and api_key and "." not in api_key:
            raise self._wrong(
                "OPTIONS['api_key'] must be a callable or the dotted path of one. A key itself belongs into the "
                "environment: set OPTIONS['api_key_env'] to the variable's name."
            )
        if type(retries) is not int or retries < 0:
            raise self._wrong(f"OPTIONS['retries'] is {retries!r}; give 0 or more.")
        self.api_key_env, self.api_key, self.headers = api_key_env, api_key, dict(headers or {})
        if not all(_is_sendable(name) and _is_sendable(value) for name, value in self.headers.items()):
            raise self._wrong("OPTIONS['headers'] must be a dict of names and values, each a line of ASCII.")
        self.server = Server(
            url=url,
            headers=self._headers,
            connect_timeout=self._seconds("connect_timeout", connect_timeout),
            timeout=self._seconds("timeout", timeout),
            retries=retries,
            ca_file=ca_file,
        )

    def _require_url(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            sound = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
        except (ValueError, AttributeError):
            sound = False
        if not sound:
            raise self._wrong("give OPTIONS['url'], the address to post to, such as http://gpu:7997/v1/embeddings.")
        if parts.username or parts.password or parts.query:
            raise self._wrong(
                "OPTIONS['url'] must hold no password and no query, which messages would show. Set "
                "OPTIONS['api_key_env'] or OPTIONS['headers']."
            )

    @property
    def original(self) -> Embedder:
        if self.behind:
            return self._behind()
        return _Elsewhere(self.alias, self.length, self.named, model=self.model, revision=self.revision)

    @property
    def modalities(self) -> frozenset[Modality]:  # type: ignore[override]
        return self.original.modalities & self.protocol.modalities

    def check(self) -> list[CheckMessage]:
        found: list[CheckMessage] = []
        if self.behind:
            self._behind()
        if uninstalled := self._uninstalled():
            found.append(Error(uninstalled, id="mmsearch.E010"))
        if self.api_key_env and not os.environ.get(self.api_key_env):
            found.append(Warning(f"Embedder '{self.alias}': {self._no_key()}", id="mmsearch.W011"))
        return found

    def _uninstalled(self) -> str:
        if find_spec("urllib3") is None:
            return f"Embedder '{self.alias}' (http) needs urllib3. Run: pip install 'mmsearch-django[http]'"
        return ""

    def _no_key(self) -> str:
        if self.api_key_env:
            return f"the environment has no {self.api_key_env}, which is to hold the API key."
        return "what OPTIONS['api_key'] names returned no API key."

    @sensitive_variables("key")
    def _headers(self) -> Mapping[str, str]:
        key = self._key()
        return {**self.headers, "Authorization": f"Bearer {key}"} if key else self.headers

    @sensitive_variables("key")
    def _key(self) -> str:
        """The API key of now; empty if none is configured."""
        if not self.api_key_env and not self.api_key:
            return ""
        if self.api_key_env:
            key: Any = os.environ.get(self.api_key_env)
        else:
            try:
                key = (import_string(self.api_key) if isinstance(self.api_key, str) else self.api_key)()
            except Exception as error:  # A vault raises what it likes, and may name the key.
                raise EmbedderUnavailable(f"OPTIONS['api_key'] gave no key ({type(error).__name__}).") from None
        if not key:
            raise EmbedderMisconfigured(self._no_key())
        key = key.strip() if isinstance(key, str) else ""
        if not _is_sendable(key):
            raise EmbedderMisconfigured("The API key is no line of ASCII.")
        return str(key)

    def load(self) -> Engine:
        if problem := self._uninstalled():
            raise EmbedderUnavailable(problem)
        return HttpEngine(self, Client(self.server))


class HttpEngine:
    """Requests of at most ``batch_size`` inputs, one after the other; smaller ones where the server wants them so."""

    def __init__(self, embedder: HttpEmbedder, client: Client) -> None:
        self.embedder, self.client, self.dimensions = embedder, client, embedder.dimensions
        self.common: Body = {"model": embedder.model or embedder.original.model}
        if embedder.matryoshka:
            self.common["dimensions"] = self.dimensions

    def texts(self, texts: Sequence[str], *, query: bool) -> Vectors:
        prompt = self.embedder.prompts[query]
        # Halves of surrogate pairs are no UTF-8, which servers refuse.
        sound = [(prompt + text[:LONGEST_TEXT]).encode(errors="replace").decode() for text in texts]
        return self._embed(
            sound, lambda part: self.embedder.protocol.texts(part, query=query), self.embedder.batch_size
        )

    def images(self, images: Sequence[Image]) -> Vectors:
        kind, protocol = self.embedder.image_format, self.embedder.protocol

        def body(part: Sequence[Image]) -> Body:
            return protocol.images([(f"image/{kind}", encoded(image, kind)) for image in part])

        return self._embed(images, body, 1 if protocol.one_image else self.embedder.batch_size)

    def _embed(self, inputs: Sequence[Input], body: Callable[[Sequence[Input]], Body], size: int) -> Vectors:
        parts = (inputs[start : start + size] for start in range(0, len(inputs), size))
        return np.concatenate([rows for part in parts for rows in self._ask(part, body)])

    def _ask(self, inputs: Sequence[Input], body: Callable[[Sequence[Input]], Body]) -> Iterator[Vectors]:
        try:
            yield self._vectors(body(inputs), len(inputs))
        except RequestTooLarge:
            if len(inputs) == 1:
                raise
            middle = len(inputs) // 2
            yield from self._ask(inputs[:middle], body)
            yield from self._ask(inputs[middle:], body)

    def _vectors(self, body: Body, count: int) -> Vectors:
        try:
            with self.embedder.breaker.guard():
                answer = self.client.post({**self.common, **body}, inputs=count, limit=count * LONGEST_ANSWER)
                return vectors(answer, count, self.dimensions, cut=self.embedder.matryoshka)
        except EmbedderError as error:
            raise _named(self.embedder.alias, error) from error


def _is_sendable(value: object) -> bool:
    return isinstance(value, str) and value != "" and value.isascii() and value.isprintable()


def _named(alias: str, error: EmbedderError) -> EmbedderError:
    """The error with the embedder's name before what it says."""
    message = f"Embedder '{alias}': {error}"
    if isinstance(error, EmbedderUnavailable):
        return type(error)(message, retry_after=error.retry_after)
    if isinstance(error, InputRefused):
        return type(error)(message, permanent=error.permanent)
    return type(error)(message)

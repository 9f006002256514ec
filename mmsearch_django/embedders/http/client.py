"""One server: a pool of connections, requests that end in time, and errors that say what to do.

A pool belongs to an engine, and engines are never carried over a fork: so each process has a pool of its own, shared by
its threads.
"""

import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from django.views.decorators.debug import sensitive_variables

from mmsearch_django.exceptions import EmbedderMisconfigured, EmbedderUnavailable, InputRefused

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

POOL = 10
"""Connections that are kept; more threads open more."""
PAUSE = 0.2
"""Seconds before a second try, twice as many before the next; half of it is chance."""
CHUNK = 64 * 1024
LONGEST_WAIT = 3600.0
"""The most seconds that a Retry-After counts for."""
EXCERPT = 200
SHORT = 6
"""What is no longer, such as the word Bearer, is no secret to keep from messages."""
AWAY = frozenset({408, 425, 429, 502, 503, 504, 529})
INPUT = frozenset({400, 413, 415, 422})


class RequestTooLarge(InputRefused):
    """413: fewer inputs may pass."""


@dataclass(frozen=True)
class Server:
    """Where requests go, and how long they may take (seconds)."""

    url: str
    headers: Callable[[], Mapping[str, str]]
    """Called for each request, so that keys may change. May hold secrets: never shown."""
    connect_timeout: float
    timeout: float
    """For each input of a request, from the end of sending to the last byte of the answer."""
    retries: int
    ca_file: str | None = None

    @property
    def name(self) -> str:
        """The address as messages show it."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}{parts.path}"


class Client:
    """Posts JSON. Raises EmbedderUnavailable, EmbedderMisconfigured or InputRefused."""

    def __init__(self, server: Server) -> None:
        import urllib3

        self.server = server
        self.pool = urllib3.PoolManager(maxsize=POOL, retries=False, ca_certs=server.ca_file)

    def post(self, body: Mapping[str, Any], *, inputs: int, limit: int) -> Any:
        """The answer, of at most ``limit`` bytes, as JSON."""
        from urllib3.exceptions import HTTPError, NewConnectionError, ProtocolError

        for attempt in range(self.server.retries + 1):
            last = attempt == self.server.retries
            try:
                return self._post(body, inputs, limit)
            except EmbedderMisconfigured:
                raise
            except EmbedderUnavailable as error:
                if last or error.retry_after is not None:
                    raise
            except HTTPError as error:
                # What took its time is not asked for again: whoever waits would wait twice.
                if last or not isinstance(error, NewConnectionError | ProtocolError):
                    raise self._away(error) from error
            time.sleep(PAUSE * 2**attempt * random.uniform(0.5, 1.5))
        raise AssertionError("A last try returns or raises.")

    @sensitive_variables("headers")
    def _post(self, body: Mapping[str, Any], inputs: int, limit: int) -> Any:
        from urllib3 import Timeout

        headers = self.server.headers()
        seconds = self.server.timeout * inputs
        data = json.dumps(body).encode()
        response = self.pool.request(
            "POST",
            self.server.url,
            body=data,
            headers={"Content-Type": "application/json", **headers},
            timeout=Timeout(connect=self.server.connect_timeout, read=seconds),
            redirect=False,
            preload_content=False,
            decode_content=False,
        )
        try:
            answer = self._read(response, time.monotonic() + seconds, limit)
        except BaseException:
            response.close()  # The rest of the answer must not be taken for the next one.
            raise
        response.release_conn()
        self._require_success(response, answer, headers)
        try:
            return json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise EmbedderUnavailable(
                f"{self.server.name} answered with what is no JSON. Is it the address?"
            ) from error

    def _read(self, response: "BaseHTTPResponse", until: float, limit: int) -> bytes:
        answer = bytearray()
        while chunk := response.read1(CHUNK):
            answer += chunk
            if len(answer) > limit:
                raise EmbedderUnavailable(f"{self.server.name} answered with more than {limit:,} bytes.")
            if time.monotonic() > until:
                raise EmbedderUnavailable(f"{self.server.name} did not end its answer in time.")
        return bytes(answer)

    @sensitive_variables("headers", "secret")
    def _require_success(self, response: "BaseHTTPResponse", answer: bytes, headers: Mapping[str, str]) -> None:
        status = response.status
        if 200 <= status < 300:
            return
        said = answer.decode(errors="replace")
        for secret in (part for value in headers.values() for part in value.split() if len(part) > SHORT):
            said = said.replace(secret, "***")
        problem = f"{self.server.name} answered with {status}: {' '.join(said.split())[:EXCERPT]}"
        if status in AWAY:
            raise EmbedderUnavailable(problem, retry_after=retry_after(response.headers.get("Retry-After")))
        if status == 413:
            raise RequestTooLarge(problem)
        if status in INPUT:
            raise InputRefused(problem)
        if status >= 500:
            raise InputRefused(problem, permanent=False)
        raise EmbedderMisconfigured(self._mended(status, problem, response.headers.get("Location")))

    def _mended(self, status: int, problem: str, location: str | None) -> str:
        if status in (401, 403):
            return f"{self.server.name} refuses the API key ({status}). Check the variable that holds it."
        if status < 400:
            parts = urlsplit(urljoin(self.server.url, location or ""))
            to = f"{parts.scheme}://{parts.netloc}{parts.path}"
            return f"{self.server.name} redirects to {to}, which is not followed. If that is right, set OPTIONS['url']."
        return f"{problem} Check OPTIONS['url'] and MODEL."

    def _away(self, error: Exception) -> EmbedderUnavailable:
        return EmbedderUnavailable(
            f"{self.server.name} does not answer ({type(error).__name__}): {error} "
            "Is it running, and can this machine reach it?"
        )


def retry_after(value: str | None) -> float | None:
    """The seconds that a Retry-After header asks for, in numbers or as a date; None if it says nothing sensible."""
    if value is None:
        return None
    try:
        seconds = float(value) if value.strip().isdecimal() else _seconds_until(parsedate_to_datetime(value))
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT)


def _seconds_until(moment: datetime) -> float:
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()

import re
import socket
import ssl
import threading
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import trustme

from mmsearch_django.embedders.http import client
from mmsearch_django.exceptions import (
    EmbedderError,
    EmbedderMisconfigured,
    EmbedderUnavailable,
    InputRefused,
)
from tests.embedding_server import DIMENSIONS


def answering(status, answer=b"{}", **headers):
    return lambda handler, inputs: handler.send(status, answer, **headers)


class TestStatuses:
    @pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
    def test_away(self, server, embedder, status):
        server.respond = answering(status, b"busy")
        with pytest.raises(EmbedderUnavailable, match=rf"'remote': http://.*answered with {status}: busy") as error:
            embedder().embed_texts(["red"])
        assert error.value.retry_after is None
        assert len(server.requests) == 2

    def test_away_for_a_moment(self, server, embedder):
        server.respond = lambda handler, inputs: len(server.requests) == 1 and handler.send(503, b"")
        assert embedder().embed_texts(["red"]).shape == (1, DIMENSIONS)

    @pytest.mark.parametrize("status", [401, 403])
    def test_a_wrong_key_is_an_error_of_the_settings(self, server, embedder, status):
        server.respond = answering(status, b"your key sk-secret-key is wrong")
        with pytest.raises(EmbedderMisconfigured, match="refuses the API key") as error:
            embedder(api_key=lambda: "sk-secret-key").embed_texts(["red"])
        assert "sk-secret" not in str(error.value)
        assert len(server.requests) == 1

    @pytest.mark.parametrize("status", [402, 404, 405, 410])
    def test_other_refusals_too(self, server, embedder, status):
        server.respond = answering(status, b"no model toy")
        with pytest.raises(EmbedderMisconfigured, match=f"{status}: no model toy Check OPTIONS"):
            embedder().embed_texts(["red"])

    @pytest.mark.parametrize(
        ("status", "permanent"), [(400, True), (415, True), (422, True), (413, True), (500, False)]
    )
    def test_an_input_that_is_refused(self, server, embedder, status, permanent):
        server.respond = answering(status, b"bad")
        with pytest.raises(InputRefused, match=f"'remote': .*{status}: bad") as error:
            embedder().embed_texts(["red"])
        assert error.value.permanent is (status != 500)

    def test_a_batch_that_is_too_large_is_divided(self, server, embedder):
        server.respond = lambda handler, inputs: len(inputs) > 3 and handler.send(413, b"")
        words = [f"word{number}" for number in range(10)]
        found = embedder().embed_texts(words)
        assert (found == embedder(batch_size=1).embed_texts(words)).all()

    @pytest.mark.parametrize("to", ["https://elsewhere.example/v1?token=secret", "/login", ""])
    def test_redirects_are_not_followed(self, server, embedder, to):
        server.respond = answering(307, b"", Location=to)
        with pytest.raises(EmbedderMisconfigured, match="redirects to http.* not followed") as error:
            embedder().embed_texts(["red"])
        assert "secret" not in str(error.value)
        assert len(server.requests) == 1

    def test_secrets_are_cut_from_what_a_server_says(self, server, embedder):
        server.respond = answering(400, b"key sk-secret-key and other-secret")
        made = embedder(api_key=lambda: "sk-secret-key", headers={"X-Key": "other-secret"})
        with pytest.raises(InputRefused) as error:
            made.embed_texts(["red"])
        assert "secret" not in str(error.value)
        assert server.requests[0][0]["Authorization"] == "Bearer sk-secret-key"
        assert server.requests[0][0]["X-Key"] == "other-secret"


class TestRetryAfter:
    def test_is_passed_on_and_not_waited_for(self, server, embedder):
        server.respond = answering(429, b"", Retry_After="120")
        with pytest.raises(EmbedderUnavailable) as error:
            embedder().embed_texts(["red"])
        assert error.value.retry_after == 120
        assert len(server.requests) == 1

    def test_until_then_nothing_is_asked(self, server, embedder):
        server.respond, made = answering(429, b"", Retry_After="120"), embedder()
        for _ in range(3):
            with pytest.raises(EmbedderUnavailable) as error:
                made.embed_texts(["red"])
            assert 119 < error.value.retry_after <= 120
        assert len(server.requests) == 1

    def test_then_it_is(self, server, embedder):
        server.respond, made = answering(429, b"", Retry_After="0"), embedder(retries=0)
        with pytest.raises(EmbedderUnavailable):
            made.embed_texts(["red"])
        server.respond = None
        made.breaker._opened = (time.monotonic(), made.breaker._opened[1])
        assert made.embed_texts(["red"]).shape == (1, DIMENSIONS)
        assert made.breaker._opened is None

    @pytest.mark.parametrize("value", [None, "", "soon", "-5", "1e9", "٣٣٣٣٣٣٣٣", "Mon, 99 Foo 2026"])
    def test_nonsense(self, value):
        assert client.retry_after(value) in (None, client.LONGEST_WAIT)

    def test_a_date(self):
        soon = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
        assert 85 < client.retry_after(soon) <= 90
        assert client.retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
        assert client.retry_after("9" * 400) == client.LONGEST_WAIT


@contextmanager
def raw(respond):
    """The address of a server that does what it likes with each connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        stop = threading.Event()

        def serve():
            while not stop.is_set():
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection, suppress(OSError):
                    respond(connection, stop)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1/embeddings"
        finally:
            stop.set()
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


class TestConnections:
    def refused(self, embedder, url, **options):
        with pytest.raises(EmbedderError) as error:
            embedder(url=url, **options).embed_texts(["red"])
        return error.value

    def test_nobody_listens(self, embedder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{free.getsockname()[1]}/"
            error = self.refused(embedder, url)
        assert type(error) is EmbedderUnavailable
        assert "does not answer (NewConnectionError)" in str(error)

    def test_no_answer_in_time(self, embedder):
        start = time.monotonic()
        with raw(lambda connection, stop: stop.wait(5)) as url:
            error = self.refused(embedder, url, timeout=0.3)
            assert time.monotonic() - start < 2
        assert "ReadTimeoutError" in str(error)

    def test_an_answer_drop_by_drop(self, embedder):
        def drip(connection, stop):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            while not stop.wait(0.05):
                connection.sendall(b" ")

        start = time.monotonic()
        with raw(drip) as url:
            assert "did not end its answer in time" in str(self.refused(embedder, url, timeout=0.3))
            assert time.monotonic() - start < 2

    def test_an_endless_answer(self, embedder):
        def pour(connection, stop):
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while not stop.is_set():
                connection.sendall(b" " * 65536)

        with raw(pour) as url:
            assert "more than 262,144 bytes" in str(self.refused(embedder, url, timeout=5))

    @pytest.mark.parametrize(
        "answer",
        [
            b"",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{",
            b"nonsense\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        ],
    )
    def test_a_broken_answer(self, embedder, answer):
        def send(connection, stop):
            connection.recv(65536)
            connection.sendall(answer)

        with raw(send) as url:
            assert type(self.refused(embedder, url)) is EmbedderUnavailable

    def test_one_that_broke_is_asked_for_again(self, server, embedder):
        made, broken = embedder(), []

        def close_once(handler, inputs):
            if not broken:
                broken.append(True)
                handler.close_connection = True
                return True
            return False

        server.respond = close_once
        assert made.embed_texts(["red"]).shape == (1, DIMENSIONS)
        assert len(server.requests) == 2

    @pytest.mark.parametrize("answer", [b"<html>", b"", b'{"data": [', b"[" * 100_000, b"\xff\xfe"])
    def test_no_json(self, server, embedder, answer):
        server.respond = answering(200, answer)
        assert type(self.refused(embedder, server.url)) is EmbedderUnavailable

    def test_no_tls(self, server, embedder):
        error = self.refused(embedder, server.url.replace("http:", "https:"))
        assert re.search("does not answer \\(SSLError\\)", str(error))

    def test_a_certificate_that_nobody_vouches_for(self, server, embedder, tmp_path):
        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        url, file = server.url.replace("http:", "https:"), tmp_path / "authority.pem"
        assert "SSLError" in str(self.refused(embedder, url))
        authority.cert_pem.write_to_path(str(file))
        assert embedder(url=url, ca_file=str(file)).embed_texts(["red"]).shape == (1, DIMENSIONS)

    def test_threads_share_connections_and_get_their_own_answers(self, server, embedder):
        made, found = embedder(), {}

        def ask(word):
            for _ in range(5):
                found[word] = made.embed_texts([word])[0]

        threads = [threading.Thread(target=ask, args=(f"word{number}",)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(server.requests) == 40
        assert len(server.connections) <= 10
        alone = embedder()
        assert all((vector == alone.embed_texts([word])[0]).all() for word, vector in found.items())

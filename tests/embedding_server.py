"""A server of embeddings on this machine that speaks each protocol, by the dummy's vectors, and fails as it is told."""

import base64
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

from PIL import Image

from mmsearch_django.embedders.dummy import DummyEngine

DIMENSIONS = 16


class EmbeddingServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, respond=None, dimensions=DIMENSIONS, port=0):
        super().__init__(("127.0.0.1", port), Handler)
        self.engine = DummyEngine(dimensions)
        self.respond = respond
        """Called with a handler and the inputs of each request before it answers; True if it answered itself."""
        self.alter = lambda data: data
        """What is answered, from the list of rows that should be."""
        self.requests = []
        """Headers and body of each request."""
        self.connections = set()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1/embeddings"

    def inputs(self, body):
        """The texts and pictures of a request, whatever its protocol."""
        if "messages" in body:
            [message] = body["messages"]
            return [picture(part["image_url"]["url"]) for part in message["content"]]
        return [self.read(each, body.get("modality")) for each in body["input"]]

    @staticmethod
    def read(value, modality):
        if isinstance(value, dict):
            return value["text"] if "text" in value else picture("," + value["image"])
        return picture(value) if modality == "image" else value

    def vector(self, value):
        [row] = self.engine.texts([value], query=False) if isinstance(value, str) else self.engine.images([value])
        return row


def picture(uri):
    with Image.open(BytesIO(base64.b64decode(uri.partition(",")[2]))) as opened:
        return opened.convert("RGB")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_POST(self):
        server = self.server
        server.connections.add(self.client_address)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server.requests.append((dict(self.headers), body))
        inputs = server.inputs(body)
        if server.respond is not None and server.respond(self, inputs):
            return
        rows = [{"index": n, "embedding": server.vector(each).tolist()} for n, each in enumerate(inputs)]
        self.send(200, {"data": server.alter(rows)})

    def send(self, status, answer, **headers):
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)
        return True


@contextmanager
def serving(server):
    """The server, answering until the end of the block."""
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

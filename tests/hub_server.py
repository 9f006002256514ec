"""A model hub on this machine: enough of its protocol for a listing, HEAD, GET and ranges, and its ways to fail."""

import json
import threading
from contextlib import contextmanager
from hashlib import sha1, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LARGE = 10_000
"""Larger files have a SHA-256 (as those in LFS), the others only what git calls them."""


class Hub(ThreadingHTTPServer):
    """Serves one commit of one repository."""

    daemon_threads = True

    def __init__(self, model, revision, files, licence="cc-by-nc-4.0"):
        super().__init__(("127.0.0.1", 0), Handler)
        self.model, self.revision, self.files, self.licence = model, revision, files, licence
        self.altered = {}
        """Bytes to send in place of a file's own."""
        self.cut = {}
        """After how many bytes of a file each connection breaks, one after the other."""
        self.requests = []
        """Method, path and Range of each request."""

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"

    def gets(self, name):
        """The Range of each GET of a file."""
        return [asked for method, path, asked in self.requests if method == "GET" and path.endswith(f"/{name}")]

    def listed(self):
        return {
            "_id": "1",
            "id": self.model,
            "modelId": self.model,
            "sha": self.revision,
            "cardData": {"license": self.licence} if self.licence else {},
            "siblings": [sibling(name, data) for name, data in self.files.items()],
        }


def sibling(name, data):
    blob = sha1(f"blob {len(data)}\0".encode() + data).hexdigest()
    large = {"lfs": {"size": len(data), "sha256": sha256(data).hexdigest(), "pointerSize": 134}}
    return {"rfilename": name, "size": len(data), "blobId": blob, **(large if len(data) > LARGE else {})}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, *, body):
        hub, path = self.server, self.path.partition("?")[0]
        hub.requests.append((self.command, path, self.headers["Range"]))
        if path == f"/api/models/{hub.model}/revision/{hub.revision}":
            return self.send(200, json.dumps(hub.listed()).encode(), {"Content-Type": "application/json"})
        start = f"/{hub.model}/resolve/{hub.revision}/"
        name = path.removeprefix(start)
        if not path.startswith(start) or name not in hub.files:
            return self.send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        return self.send_file(name, body=body)

    def send_file(self, name, *, body):
        hub, listed = self.server, sibling(name, self.server.files[name])
        data = hub.altered.get(name, hub.files[name])
        first = int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").split("-")[0])
        headers = {
            "X-Repo-Commit": hub.revision,
            "ETag": f'"{listed["lfs"]["sha256"] if "lfs" in listed else listed["blobId"]}"',
            "Content-Range": f"bytes {first}-{len(data) - 1}/{len(data)}",
        }
        cuts = hub.cut.get(name) if body else None
        self.send(206 if first else 200, data[first:], headers, body=body, cut=cuts.pop(0) if cuts else None)

    def send(self, status, data, headers, *, body=True, cut=None):
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(key, value)
        self.end_headers()
        if body:
            self.wfile.write(data[:cut])
        if cut is not None:
            self.close_connection = True


@contextmanager
def serving(hub):
    """The hub, answering until the end of the block."""
    thread = threading.Thread(target=hub.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()

"""A bucket on a server in this process, which can be told to misbehave for some objects."""

import threading
from contextlib import contextmanager

import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server
from werkzeug.wrappers import Response

KEYS = {"aws_access_key_id": "me", "aws_secret_access_key": "secret", "region_name": "us-east-1"}


class Bucket:
    """A WSGI application in front of moto's. ``faults`` maps a part of an object's key to what happens to its reader.

    A number is the status of the answer, ``"stall"`` is no answer, ``"half"`` is an answer that breaks off.
    """

    def __init__(self, name):
        self.name = name
        self.moto = DomainDispatcherApplication(create_backend_app)
        self.faults = {}
        self.requests = []
        self.over = threading.Event()

    def __call__(self, environ, start_response):
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.requests.append((method, path))
        fault = next((fault for part, fault in self.faults.items() if part in path), None)
        if fault is None or method not in ("HEAD", "GET") or (fault == "half" and method == "HEAD"):
            return self.moto(environ, start_response)
        if fault == "stall":
            self.over.wait(30)
            return Response(status=500)(environ, start_response)
        if fault == "half":
            start_response("200 OK", [("Content-Length", "1000"), ("ETag", '"half"')])
            return [b"half"]
        return Response(status=fault)(environ, start_response)


@contextmanager
def serving(name):
    """The bucket, served at ``bucket.address`` until the end."""
    bucket = Bucket(name)
    server = make_server("127.0.0.1", 0, bucket, threaded=True)
    server.log = server.RequestHandlerClass.log = lambda *arguments, **options: None
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    bucket.address = f"http://127.0.0.1:{server.server_port}"
    try:
        boto3.client("s3", endpoint_url=bucket.address, **KEYS).create_bucket(Bucket=name)
        yield bucket
    finally:
        bucket.over.set()
        server.shutdown()
        thread.join()
        server.server_close()

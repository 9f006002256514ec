"""Errors of storages, as the client libraries raise them, in our terms."""

import errno
import urllib.error
from http import HTTPStatus

import botocore.exceptions
import pytest
import requests
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile
from django.core.files.storage import InMemoryStorage

from mmsearch_django.exceptions import AccessDenied, MissingFile, StorageUnavailable
from mmsearch_django.media import storages


class FailingStorage(InMemoryStorage):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def _open(self, name, mode="rb"):
        raise self.error


def boto(status, code):
    return botocore.exceptions.ClientError(
        {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}, "HeadObject"
    )


def answered(status):
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError("no", response=response)


def with_attributes(**attributes):
    """What Azure's and Google's libraries raise: an exception of theirs with the status as an attribute."""
    error = Exception("no")
    vars(error).update(attributes)
    return error


def caused_by(cause):
    error = RuntimeError("wrapped")
    error.__cause__ = cause
    return error


def while_handling(context):
    error = TimeoutError("the second place did not answer")
    error.__context__ = context
    return error


def meaning(error):
    with pytest.raises(Exception, match="'a.png'") as caught, storages.opened(FailingStorage(error), "a.png"):
        raise AssertionError("It was opened.")
    return caught.value


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError("gone"),
        NotADirectoryError("a file in a file"),
        IsADirectoryError("a folder"),
        SuspiciousFileOperation("outside"),
        boto(404, "NoSuchKey"),
        answered(410),
        with_attributes(status_code=404),
        with_attributes(code=HTTPStatus.NOT_FOUND),
        urllib.error.HTTPError("http://here", 404, "no", None, None),
        caused_by(FileNotFoundError("gone")),
    ],
)
def test_missing(error):
    found = meaning(error)
    assert type(found) is MissingFile
    assert found.permanent
    assert str(found) == "The storage has no file 'a.png'. Upload it again, or clear the field."


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(errno.EACCES, "denied"),
        OSError(errno.EACCES, "as paramiko raises it"),
        boto(403, "AccessDenied"),
        answered(401),
        with_attributes(code=403),
        caused_by(boto(403, "AccessDenied")),
    ],
)
def test_denied(error):
    found = meaning(error)
    assert type(found) is AccessDenied
    assert found.permanent
    assert f"({type(error).__name__}: " in str(found)
    assert "--retry-failed" in str(found)


@pytest.mark.parametrize(
    "error",
    [
        OSError("no route"),
        TimeoutError("too late"),
        ConnectionResetError("bye"),
        boto(503, "SlowDown"),
        boto(500, "InternalError"),
        boto(429, "TooManyRequests"),
        botocore.exceptions.ReadTimeoutError(endpoint_url="http://here"),
        botocore.exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2),
        answered(502),
        requests.ConnectionError("no route"),
        with_attributes(code="a word"),
        RuntimeError("anything else"),
        while_handling(FileNotFoundError("not in the first place")),
    ],
)
def test_what_may_pass(error):
    found = meaning(error)
    assert type(found) is StorageUnavailable
    assert not found.permanent
    assert str(found) == f"The storage did not give 'a.png' ({type(error).__name__}: {error})."


def test_an_error_while_reading():
    storage = InMemoryStorage()
    storage.save("a.png", ContentFile(b"data"))
    with pytest.raises(StorageUnavailable, match="connection lost"), storages.opened(storage, "a.png"):
        raise OSError("connection lost")

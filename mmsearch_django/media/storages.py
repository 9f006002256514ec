"""Files from a site's storage, and what its errors mean: some may pass, some will not."""

import errno
import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import SuspiciousOperation

from mmsearch_django.conf import conf
from mmsearch_django.exceptions import AccessDenied, AssetError, MissingFile, StorageUnavailable, UnsupportedFile

PART_BYTES = 1024 * 1024
"""Asked of a storage at once, to look at the clock between."""
MISSING = (FileNotFoundError, NotADirectoryError, IsADirectoryError, SuspiciousOperation, UnicodeEncodeError)
NAMELESS = (errno.ENAMETOOLONG, errno.ELOOP)
MISSING_STATUSES = (404, 410)
DENIED_STATUSES = (401, 403)


@contextmanager
def opened(storage: Any, name: str) -> Iterator[Any]:
    """The file, open for reading. What the storage raises meanwhile is raised as an AssetError.

    MissingFile, AccessDenied and UnsupportedFile are permanent; anything else may pass, and is StorageUnavailable.
    """
    _require_no_device(storage, name)
    try:
        with storage.open(name, "rb") as stream:
            yield stream
    except AssetError:
        raise
    except Exception as error:  # Storages raise what their client libraries raise; few of these are OSErrors.
        raise _meaning(error, name) from error


def deadline() -> float:
    """When a file that is opened now must have come, by the monotonic clock."""
    return time.monotonic() + conf.READ_SECONDS


def read(stream: Any, limit: int, until: float) -> bytes:
    """At most ``limit`` bytes; fewer only at the end of the file. Raises TimeoutError once it is past ``until``."""
    parts = []
    while limit > 0 and (part := stream.read(min(limit, PART_BYTES))):
        parts.append(part)
        limit -= len(part)
        if time.monotonic() > until:
            raise TimeoutError(f"it took longer than MMSEARCH['READ_SECONDS'], {conf.READ_SECONDS} seconds")
    return b"".join(parts)


def size(stream: Any) -> int:
    """The bytes that the storage says the file has; 0 if it does not know."""
    try:
        return int(stream.size or 0)
    except (AttributeError, NotImplementedError, OSError):
        return 0


def _require_no_device(storage: Any, name: str) -> None:
    """Opening a pipe in a local storage could wait for ever, reading a device never end."""
    try:
        mode = os.stat(storage.path(name)).st_mode
    except Exception:
        return  # Storages without paths have neither; whatever else it is, opening it says it better.
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise UnsupportedFile(f"{name!r} is no regular file but a pipe, socket or device. Upload a picture.")


def _meaning(error: Exception, name: str) -> AssetError:
    said = f"{type(error).__name__}: {error}"
    for cause in _causes(error):
        nameless = "\0" in name or getattr(cause, "errno", None) in NAMELESS
        if nameless or isinstance(cause, MISSING) or _status(cause) in MISSING_STATUSES:
            return MissingFile(f"The storage has no file {name!r}. Upload it again, or clear the field.")
        if isinstance(cause, PermissionError) or _status(cause) in DENIED_STATUSES:
            return AccessDenied(
                f"The storage refuses to give {name!r} ({said}). Let the workers read it, "
                "then run 'manage.py mmsearch_index --retry-failed'."
            )
    return StorageUnavailable(f"The storage did not give {name!r} ({said}).")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it was raised from; not what was merely being handled, which may be another file's."""
    while error is not None:
        yield error
        error = error.__cause__


def _status(error: BaseException) -> int | None:
    """The HTTP status in an error, wherever its library puts it. No library is imported for that.

    botocore has it in ``response``, a dict; requests and httpx in ``response.status_code``; Azure in ``status_code``;
    Google and urllib in ``code``.
    """
    response = getattr(error, "response", None)
    if isinstance(response, Mapping):
        found = [response.get("ResponseMetadata", {}).get("HTTPStatusCode")]
    else:
        found = [
            getattr(response, "status_code", None),
            *(getattr(error, name, None) for name in ("status_code", "code")),
        ]
    return next((status for status in found if isinstance(status, int)), None)

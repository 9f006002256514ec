"""What a search that cannot be answered is to a client."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil

from rest_framework.exceptions import APIException, ValidationError
from rest_framework.settings import api_settings

from mmsearch_django.exceptions import (
    EmbedderError,
    EmbedderUnavailable,
    FileTooLarge,
    NotIndexed,
    QueryError,
    SignatureMismatch,
    TooManyPixels,
    UnreadableImage,
    UnsupportedFile,
)

logger = logging.getLogger("mmsearch_django")

RETRY_SECONDS = 30
PARAMETERS: dict[str | None, str] = {"text": "search"}
"""What an argument of ``search()`` is called in an address, where that differs."""


class SearchUnavailable(APIException):
    """503 with Retry-After: no field's embedder can answer now. Why is for operators, in the log.

    Where another embedder made a field's vectors, the detail says what to run.
    """

    status_code = 503
    default_code = "search_unavailable"
    default_detail = "Search by meaning is not available now."

    def __init__(self, wait: int = RETRY_SECONDS, detail: str | None = None) -> None:
        super().__init__(detail)
        self.wait = wait


class PictureTooLarge(APIException):
    """413: the picture has more bytes or pixels than MMSEARCH allows."""

    status_code = 413
    default_code = "picture_too_large"


class PictureUnsupported(APIException):
    """415: the file is no picture that can be read."""

    status_code = 415
    default_code = "picture_unsupported"


class ObjectNotIndexed(APIException):
    """409: what to find more of has no vector yet."""

    status_code = 409
    default_code = "not_indexed"


@contextmanager
def as_responses() -> Iterator[None]:
    """Errors of a search become responses: 400 by the name of the parameter, 409, 413, 415 or 503."""
    try:
        yield
    except UnreadableImage as error:
        raise _picture(error) from error
    except QueryError as error:
        parameter = PARAMETERS.get(error.argument, error.argument) or api_settings.NON_FIELD_ERRORS_KEY
        raise ValidationError({parameter: [str(error)]}) from error
    except NotIndexed as error:
        raise ObjectNotIndexed(str(error)) from error
    except SignatureMismatch as error:  # For whoever runs the site; waiting does not help.
        raise SearchUnavailable(RETRY_SECONDS, str(error)) from error
    except EmbedderError as error:
        logger.warning("Search by meaning does not answer: %s", error)
        asked = error.retry_after if isinstance(error, EmbedderUnavailable) else None
        raise SearchUnavailable(ceil(asked) if asked else RETRY_SECONDS) from error


def _picture(error: UnreadableImage) -> APIException:
    if isinstance(error.__cause__, FileTooLarge | TooManyPixels):
        return PictureTooLarge(str(error))
    if isinstance(error.__cause__, UnsupportedFile):
        return PictureUnsupported(str(error))
    return ValidationError({"image": [str(error)]})

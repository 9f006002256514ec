"""What a search that cannot be answered is to the people who asked: no aliases, no settings, no commands."""

import logging

from django.utils.translation import gettext as _

from mmsearch_django.exceptions import (
    EmbedderError,
    ExampleGone,
    FileTooLarge,
    MmsearchError,
    NotIndexed,
    QueryError,
    TooManyPixels,
    UnreadableImage,
)

logger = logging.getLogger("mmsearch_django")


def in_words(error: MmsearchError) -> str:
    """For the page. What only operators can mend goes to the log."""
    if isinstance(error, EmbedderError):
        logger.warning("Search by meaning does not answer: %s", error)
        return _("Search by meaning is not available now. Only words and file names are searched.")
    if isinstance(error, NotIndexed):
        return _("Nothing can be compared with this one, because it is not indexed.")
    if isinstance(error, ExampleGone):
        return _("The picture to search by is not kept any more. Choose it again.")
    if isinstance(error, UnreadableImage):
        if isinstance(error.__cause__, FileTooLarge | TooManyPixels):
            return _("The picture to search by is too large. Choose a smaller copy.")
        return _("This file is no picture that can be read. Choose a JPEG, PNG or WebP.")
    if isinstance(error, QueryError) and error.argument == "crop":
        return _("There is nothing in this frame. Draw a larger one.")
    return str(error)

"""Which embedder a command is asked for."""

from django.core.management.base import CommandError

from mmsearch_django.embedders.base import Embedder
from mmsearch_django.embedders.registry import embedders
from mmsearch_django.exceptions import ConfigurationError


def find_embedder(alias: str) -> Embedder:
    """Raises CommandError for an alias of none, or one whose settings cannot work."""
    try:
        return embedders[alias]
    except ConfigurationError as error:
        raise CommandError(str(error)) from error

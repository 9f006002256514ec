"""Which embedder a command is asked for."""

from django.core.management.base import CommandError, CommandParser

from mmsearch_django.embedders.base import Embedder
from mmsearch_django.embedders.registry import embedders
from mmsearch_django.exceptions import ConfigurationError


def add_argument(parser: CommandParser) -> None:
    parser.add_argument("alias", nargs="?", default="default", help="The embedder (default: default).")


def find_embedder(alias: str) -> Embedder:
    """Raises CommandError for an alias of none, or one whose settings cannot work."""
    try:
        return embedders[alias]
    except ConfigurationError as error:
        raise CommandError(str(error)) from error

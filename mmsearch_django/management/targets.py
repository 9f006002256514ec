"""Which models and embedding fields a command is asked for."""

from collections.abc import Sequence

from django.apps import apps
from django.core.management.base import CommandError, CommandParser
from django.db import connections, models

from mmsearch_django.exceptions import ConfigurationError
from mmsearch_django.fields import EmbeddingField, all_embedding_fields, embedding_fields
from mmsearch_django.indexing.targets import Target, target


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("labels", nargs="*", metavar="app.Model", help="Only these models.")
    parser.add_argument("--field", help="Only embedding fields of this name.")
    parser.add_argument("--database", choices=list(connections), help="Default: where each model is written.")


def find_targets(labels: Sequence[str], name: str | None = None, using: str | None = None) -> list[Target]:
    """One for each field of the labelled models (all if none), only those called ``name`` if given."""
    fields = [field for label in labels for field in _fields(label)] if labels else list(all_embedding_fields())
    chosen = list(dict.fromkeys(field for field in fields if name in (None, field.name)))
    if not chosen:
        what = f"embedding field {name!r}" if name else "embedding fields"
        raise CommandError(f"There are no {what} in {', '.join(labels) or 'this project'}.")
    try:
        return [target(field, using) for field in chosen]
    except ConfigurationError as error:
        raise CommandError(str(error)) from error


def find_model(label: str) -> type[models.Model]:
    """Raises CommandError for a label of none."""
    try:
        return apps.get_model(label)
    except (LookupError, ValueError) as error:
        raise CommandError(f"{label!r} is no model; write it as app.Model. ({error})") from error


def _fields(label: str) -> list[EmbeddingField]:
    found = list(embedding_fields(find_model(label)).values())
    if not found:
        raise CommandError(f"{label} has no embedding fields.")
    return found

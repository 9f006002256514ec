"""The arguments of commands that search: a model, its rows, and how to ask."""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.core.exceptions import FieldError, ValidationError
from django.core.management.base import CommandError, CommandParser
from django.db import connections, models

from mmsearch_django.management.targets import find_model


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("label", metavar="app.Model")
    parser.add_argument("--fields", nargs="+", metavar="FIELD", help="Embedding fields to ask (default: all).")
    parser.add_argument(
        "--filter",
        action="append",
        default=[],
        type=lookup,
        metavar="LOOKUP=VALUE",
        help="As in .filter(), for example kind=image or taken_on__year=2025. Can be repeated.",
    )
    parser.add_argument("--depth", type=int, help="How deep each field ranks (default: the setting).")
    parser.add_argument("--database", choices=list(connections), help="Default: where the model is read.")


def add_judged_files(parser: CommandParser) -> None:
    """Queries and qrels of TREC, and how they name the model's rows."""
    parser.add_argument("--queries", type=Path, required=True, metavar="FILE", help="Lines of id, tab, text.")
    parser.add_argument("--qrels", type=Path, required=True, metavar="FILE", help="Lines of id, 0, item, grade.")
    parser.add_argument("--item-field", required=True, help="What qrels call items; of a file the base name.")


def lookup(argument: str) -> tuple[str, Any]:
    """``name=value`` as .filter() takes it."""
    name, equals, value = argument.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{argument!r} is no filter; write it as lookup=value.")
    if name.endswith("__in"):
        return name, value.split(",")
    if name.endswith("__isnull") and value.lower() in ("true", "false"):
        return name, value.lower() == "true"
    return name, value


def rows(label: str, filters: Iterable[tuple[str, Any]], database: str | None) -> "models.QuerySet[Any]":
    """The model's rows that pass the filters. Raises CommandError for what does not exist."""
    queryset: models.QuerySet[Any] = find_model(label)._default_manager.using(database)
    for name, value in filters:
        try:
            queryset = queryset.filter(**{name: value})
        except (FieldError, ValidationError, ValueError, TypeError) as error:
            raise CommandError(f"--filter {name}={value}: {error}") from error
    return queryset

"""What happens around ``migrate``: the extension before it, the triggers after it."""

import logging
from typing import Any

from django.core.management.base import CommandError
from django.db import DatabaseError, connections, router, transaction
from django.db.migrations.loader import MigrationLoader

from mmsearch_django.fields import all_embedding_fields
from mmsearch_django.models import Mark
from mmsearch_django.triggers import extension
from mmsearch_django.triggers.installation import install
from mmsearch_django.triggers.locks import NOT_ALLOWED, sqlstate

logger = logging.getLogger("mmsearch_django")


def create_extension(*, using: str, plan: list[tuple[Any, bool]] | None = None, **kwargs: Any) -> None:
    """Receiver of ``pre_migrate``: vector tables need pgvector where their types are found."""
    if connections[using].vendor != "postgresql" or not router.allow_migrate_model(using, Mark):
        return
    if not _creates_vector_tables(plan or []):
        return
    if (there := extension.find(using)) is None:
        _create(using)
    elif not there.on_path:
        raise CommandError(f"{there.out_of_sight} Nothing was migrated. {there.remedy}")


def _create(using: str) -> None:
    try:
        with transaction.atomic(using), connections[using].cursor() as cursor:
            cursor.execute("CREATE EXTENSION IF NOT EXISTS vector")
    except DatabaseError as error:
        said = str(error).partition("\n")[0]
        if sqlstate(error) != NOT_ALLOWED:
            raise CommandError(f"Database '{using}' cannot have pgvector: {said}. Install it on the server.") from error
        raise CommandError(
            f"Database '{using}' lacks pgvector and this role may not add it ({said}). Nothing was migrated. "
            f"Let a role that may run: CREATE EXTENSION vector;"
        ) from error


def _creates_vector_tables(plan: list[tuple[Any, bool]]) -> bool:
    """Perhaps: an app with vector tables is migrated forwards, or has no migrations and is just created."""
    labels = {field.vectors._meta.app_label for field in all_embedding_fields()}
    forwards = {migration.app_label for migration, backwards in plan if not backwards}
    return bool(labels & (forwards | MigrationLoader(None).unmigrated_apps))


def install_triggers(*, using: str, **kwargs: Any) -> None:
    """Receiver of ``post_migrate``."""
    if failed := install(using).failed:
        logger.warning("%s\nUntil then what is written is found by the sweep, which takes longer.", "\n".join(failed))

"""What happens around ``migrate``: the extension before it, the triggers after it."""

import logging
from typing import Any

from django.db import ProgrammingError, connections, router, transaction
from django.db.migrations.loader import MigrationLoader

from mmsearch_django.exceptions import ConfigurationError
from mmsearch_django.fields import all_embedding_fields
from mmsearch_django.models import Mark
from mmsearch_django.triggers.installation import install

logger = logging.getLogger("mmsearch_django")


def create_extension(*, using: str, plan: list[tuple[Any, bool]] | None = None, **kwargs: Any) -> None:
    """Receiver of ``pre_migrate``: vector tables need pgvector."""
    if connections[using].vendor != "postgresql" or not router.allow_migrate_model(using, Mark):
        return
    if not _creates_vector_tables(plan or []):
        return
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT FROM pg_extension WHERE extname = 'vector'")
        if cursor.rowcount:
            return
    try:
        with transaction.atomic(using), connections[using].cursor() as cursor:
            cursor.execute("CREATE EXTENSION IF NOT EXISTS vector")
    except ProgrammingError as error:
        raise ConfigurationError(
            f"Database '{using}' lacks pgvector and this role may not add it. "
            f"Let a privileged role run: CREATE EXTENSION vector; ({error})"
        ) from error


def _creates_vector_tables(plan: list[tuple[Any, bool]]) -> bool:
    """Perhaps: an app with vector tables is migrated forwards, or has no migrations and is just created."""
    labels = {field.vectors._meta.app_label for field in all_embedding_fields()}
    forwards = {migration.app_label for migration, backwards in plan if not backwards}
    return bool(labels & (forwards | MigrationLoader(None).unmigrated_apps))


def install_triggers(*, using: str, **kwargs: Any) -> None:
    """Receiver of ``post_migrate``."""
    for failure in install(using).failed:
        logger.warning("%s Run 'manage.py mmsearch_triggers --database %s' when the table is free.", failure, using)

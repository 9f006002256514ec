"""What a site that uses none of the extras pays for them: nothing is imported, whether they are installed or not."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from django.db import connection

from tests.test_architecture import HEAVY

ROOT = Path(__file__).parents[1]
DATABASE = "mmsearch_start_up"
EXTRAS = {*HEAVY, "ir_measures", "rest_framework", "drf_spectacular", "django_filters", "unfold", "tqdm"}
"""Celery is imported where it is installed, so that saving an object can send a message."""
SETTINGS = """
SECRET_KEY, USE_TZ, DEFAULT_AUTO_FIELD, STATIC_URL = "x", True, "django.db.models.BigAutoField", "static/"
ALLOWED_HOSTS, ROOT_URLCONF = ["testserver"], "site_urls"
INSTALLED_APPS = [*(f"django.contrib.{name}" for name in ("admin", "auth", "contenttypes", "sessions", "messages")),
                  "mmsearch_django", "notes"]
MIDDLEWARE = ["django.contrib.sessions.middleware.SessionMiddleware", "django.middleware.csrf.CsrfViewMiddleware",
              "django.contrib.auth.middleware.AuthenticationMiddleware",
              "django.contrib.messages.middleware.MessageMiddleware"]
PROCESSORS = ["django.template.context_processors.request", "django.contrib.auth.context_processors.auth",
              "django.contrib.messages.context_processors.messages"]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
              "OPTIONS": {"context_processors": PROCESSORS}}]
MMSEARCH = {"EMBEDDERS": {"default": {"BACKEND": "mmsearch_django.embedders.dummy.DummyEmbedder"}}}
"""
FILES = {
    "site_urls.py": "from django.contrib import admin\nfrom django.urls import path\n"
    'urlpatterns = [path("admin/", admin.site.urls)]\n',
    "notes/__init__.py": "",
    "notes/migrations/__init__.py": "",
    "notes/models.py": """
from django.db import models
from mmsearch_django.fields import EmbeddingField
from mmsearch_django.queryset import SearchManager
from mmsearch_django.sources import TextSource
class Note(models.Model):
    text = models.TextField()
    words = EmbeddingField(TextSource("text"))
    objects = SearchManager()
""",
    "notes/admin.py": """
from django.contrib import admin
from mmsearch_django.admin import SearchAdminMixin
from notes.models import Note
@admin.register(Note)
class NoteAdmin(SearchAdminMixin, admin.ModelAdmin):
    pass
""",
}
SITE = """
import django
from django.core.management import call_command
django.setup()
call_command("makemigrations", "notes", verbosity=0)
call_command("migrate", verbosity=0)
call_command("check", databases=["default"], fail_level="WARNING")
call_command("makemigrations", check_changes=True, verbosity=0)
from django.contrib.auth.models import User
from django.test import Client
from notes.models import Note
note = Note.objects.create(text="a red fox")
client = Client()
client.force_login(User.objects.create_superuser("me"))
assert client.get("/admin/notes/note/").status_code == 200
assert client.post(f"/admin/notes/note/{note.pk}/change/", {"text": "a grey wolf"}).status_code == 302
"""
ABSENT = "import sys\nsys.modules.update(dict.fromkeys({names!r}))\n"
"""As if not installed: neither imported nor found."""
IMPORTED = "import sys\nsys.exit(', '.join({names!r} & set(sys.modules)) or 0)"


@pytest.fixture
def site(tmp_path):
    """Runs code in a new process of a site of its own."""
    database = {**connection.settings_dict, "NAME": DATABASE, "TEST": {}}
    for name, text in {**FILES, "site_settings.py": f"{SETTINGS}\nDATABASES = {{'default': {database!r}}}"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    settings = {"DJANGO_SETTINGS_MODULE": "site_settings", "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    with psycopg.connect(**{**connection.get_connection_params(), "dbname": "postgres"}, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {DATABASE}")
        try:
            yield lambda code: subprocess.run(
                [sys.executable, "-c", code],
                cwd=tmp_path,
                env={**os.environ, **settings},
                capture_output=True,
                text=True,
                check=False,
            )
        finally:
            server.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")


def test_without_extras(site):
    run = site(ABSENT.format(names=sorted(EXTRAS | {"celery", "kombu"})) + SITE)
    assert run.returncode == 0, run.stderr


def test_extras_that_are_installed_are_not_imported(site):
    run = site(SITE + IMPORTED.format(names=EXTRAS))
    assert run.returncode == 0, run.stderr

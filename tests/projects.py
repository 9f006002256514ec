"""New projects, with what the documentation tells a reader to write, each with a database and processes of its own."""

import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import psycopg
from django.db import connection

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "docs/samples"
MEDIA = ROOT / "example_project/demo_media"
SETTINGS = """
import dj_database_url
DATABASES = {{"default": {{**dj_database_url.config(), "NAME": "{database}"}}}}
MEDIA_ROOT = BASE_DIR / "media"
"""


@contextmanager
def started(folder, *apps, database, settings="", urls=""):
    """A project of these apps in the folder, and an empty database for it while the context lasts."""
    run(folder, sys.executable, "-m", "django", "startproject", "site_of_mine", ".")
    for app in apps:
        manage(folder, "startapp", app)
    for name, text in (
        ("settings.py", SETTINGS.format(database=database) + f"INSTALLED_APPS += {apps!r}\n{settings}"),
        ("urls.py", urls),
    ):
        with (folder / "site_of_mine" / name).open("a") as file:
            file.write(text)
    with psycopg.connect(**{**connection.get_connection_params(), "dbname": "postgres"}, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {database}")
        try:
            yield folder
        finally:
            server.execute(f"DROP DATABASE {database} WITH (FORCE)")


def environment():
    kept = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    return {**kept, "PYTHONPATH": str(ROOT)}


def run(folder, *command):
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def manage(folder, *arguments):
    return run(folder, sys.executable, "manage.py", *arguments)


@contextmanager
def entered(folder, **variables):
    """A function that calls a function of a module in a process of the project, and returns what it returns."""
    with ProcessPoolExecutor(1, get_context("spawn"), _enter, (folder, variables)) as process:
        yield lambda function, *values, **named: process.submit(function, *values, **named).result(timeout=120)


def _enter(folder, variables):
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    os.environ.update(variables, DJANGO_SETTINGS_MODULE="site_of_mine.settings")

    import django
    from django.test.utils import setup_test_environment

    django.setup()
    setup_test_environment()

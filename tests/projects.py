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
    with empty_database(database):
        yield folder


def session(dbname, **parameters):
    return psycopg.connect(**{**connection.get_connection_params(), "dbname": dbname, **parameters}, autocommit=True)


@contextmanager
def empty_database(name, template="template1"):
    """A new one, gone afterwards."""
    with session("postgres") as server:
        server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        server.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield name
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def environment(**more):
    kept = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


def complete(folder, *command, code=0, input=None, **variables):
    """Run to the end; both outputs."""
    done = subprocess.run(
        command, cwd=folder, env=environment(**variables), capture_output=True, text=True, timeout=120, input=input
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def run(folder, *command):
    return complete(folder, *command).stdout


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

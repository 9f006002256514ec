"""The whole path, as a newcomer walks it: other processes, a Postgres, a worker and a broker of their own."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.indexing.processes import wait_for

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """The folder of a demo that ran once, and what it said."""
    folder = tmp_path_factory.mktemp("example")
    return folder, manage(folder, "demo", "--no-serve")


@pytest.fixture(scope="module")
def data(first):
    return first[0]


def environment(data):
    inherited = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "CELERY_BROKER_URL")}
    return {**inherited, "EXAMPLE_DATA": str(data), "DJANGO_SETTINGS_MODULE": "example_project.settings"}


def manage(data, *arguments):
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment(data),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@contextmanager
def served(data):
    process = subprocess.Popen(
        [sys.executable, "-u", "manage.py", "demo"],
        cwd=ROOT,
        env=environment(data),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def address(process):
    for line in process.stdout:
        if found := re.search(r"Serving on (\S+)", line):
            return found[1]
    raise AssertionError("It never served.")


def users_of(data):
    """Processes that have to do with the folder."""
    return [process for process in psutil.process_iter() if _mentions(process, str(data))]


def _mentions(process, text):
    try:
        return any(text in part for part in process.cmdline()) or process.environ().get("EXAMPLE_DATA") == text
    except psutil.Error:
        return False


def test_the_demo_embeds_everything_and_shows_why(first):
    _, done = first
    assert done.returncode == 0, done.stderr
    assert "155 imported" in done.stdout
    assert "100%" in done.stderr
    assert done.stdout.count("Asset.objects.") == 3
    assert "Common clownfish" in done.stdout
    assert "visual #1 (1.00)" in done.stdout


def test_a_second_run_imports_and_embeds_nothing(data):
    before = _written(data)
    done = manage(data, "demo", "--no-serve")
    assert done.returncode == 0, done.stderr
    assert "0 imported, 155 known already" in done.stdout
    assert _written(data) == before


def _written(data):
    code = (
        "from mmsearch_django.fields import all_embedding_fields\n"
        "for field in all_embedding_fields():\n"
        "    print(field, sorted(field.vectors.objects.values_list('pk', 'embedded_at')))"
    )
    return manage(data, "shell", "-v", "0", "-c", code).stdout


FORMER_MODEL = """
from django.db import connection
from mmsearch_django.fields import all_embedding_fields
from mmsearch_django.models import Space
for field in all_embedding_fields():
    table = connection.ops.quote_name(field.vectors._meta.db_table)
    Space.objects.filter(field=field.name).update(signature="starter:former@0#0/384")
    with connection.cursor() as cursor:
        # The opposite of each vector: what it finds shows whether it was embedded anew.
        cursor.execute(f"UPDATE {table} SET signature = 'former', digest = NULL, vector = ("
            "SELECT array_agg(-x ORDER BY n) FROM unnest(vector::real[]) WITH ORDINALITY AS v(x, n))::halfvec(384)")
"""


def test_a_folder_of_a_former_model_is_embedded_anew(data):
    before = manage(data, "shell", "-v", "0", "-c", FORMER_MODEL)
    assert before.returncode == 0, before.stderr
    done = manage(data, "demo", "--no-serve")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("embedded by another model than today's") == 1
    assert "visual #1 (1.00)" in done.stdout
    assert manage(data, "check", "--database", "default", "--fail-level", "WARNING").returncode == 0
    assert "another model" not in manage(data, "demo", "--no-serve").stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_it_serves_and_however_it_ends_nothing_is_left(data, number):
    with served(data) as process:
        url = address(process)
        page = urllib.request.urlopen(f"{url}?q=windmill").read().decode()
        assert "of 155 assets" in page
        assert urllib.request.urlopen(f"{url}static/library/library.css").status == 200
        process.send_signal(number)
        assert process.wait(30) == (-signal.SIGKILL if number == signal.SIGKILL else 0)
    end = time.monotonic() + 30
    while users_of(data):
        assert time.monotonic() < end, users_of(data)
        time.sleep(0.2)


def test_a_worker_that_is_killed_is_started_again(data):
    log = data / "logs/worker.log"

    def worker(demo):
        return next((one for one in psutil.Process(demo.pid).children() if _mentions(one, "celery")), None)

    with served(data) as demo:
        address(demo)
        killed, started = worker(demo), log.read_text().count("ready.")
        killed.kill()
        wait_for(lambda: (found := worker(demo)) and found.pid != killed.pid, seconds=30)
        wait_for(lambda: log.read_text().count("ready.") > started, seconds=30)


def test_two_copies_serve_side_by_side(data, tmp_path):
    with served(data) as one, served(tmp_path) as two:
        assert address(one) != address(two)


def test_what_failed_is_said_and_makes_the_exit_code(data, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    (tmp_path / "metadata.csv").write_text("file,title\nbroken.png,Broken\n")
    assert manage(data, "import_media", str(tmp_path)).returncode == 0
    done = manage(data, "demo", "--no-serve")
    manage(
        data,
        "shell",
        "-c",
        "from example_project.library.models import Asset; Asset.objects.get(title='Broken').delete()",
    )
    assert done.returncode == 1
    assert "library.Asset.visual: 1 CorruptFile" in done.stderr

import subprocess
import sys

import pytest
from django.db import connection

from tests.indexing.processes import environment

SITE_WITH_TWO = """
import django
django.setup()
from django.core.management import call_command
from django.db import connection, connections
from mmsearch_django import triggers
from mmsearch_django.models import Mark
from tests.models import Asset

connections.databases["archive"] = {**connection.settings_dict, "NAME": connection.settings_dict["NAME"] + "_archive"}
call_command("migrate", database="archive", verbosity=0)
assert triggers.problems("archive") == []
before = Mark.objects.count()
Asset.objects.using("archive").create(title="there")
assert Mark.objects.using("archive").count() == 2
assert Mark.objects.count() == before
call_command("mmsearch_index", "tests.Asset", database="archive", field="words", verbosity=0)
there = Asset.objects.using("archive").get(words__isnull=False)
assert there.words.signature
assert list(Asset.objects.using("archive").search("there", fields=["words"])) == [there]
assert Asset.objects.using("archive").search("there", fields=["words"]).report.complete
assert list(Asset.objects.search("there", fields=["words"])) == []
assert list(Asset.objects.using("archive").similar_to(there, fields=["words"])) == []
"""


@pytest.fixture
def archive(transactional_db):
    """A second, empty database."""
    name = connection.settings_dict["NAME"] + "_archive"
    with connection.cursor() as cursor:
        cursor.execute(f'DROP DATABASE IF EXISTS "{name}"')
        cursor.execute(f'CREATE DATABASE "{name}"')
    yield
    with connection.cursor() as cursor:
        cursor.execute(f'DROP DATABASE "{name}"')


def test_each_database_has_its_own(archive):
    """In a process of its own, since a test may not open databases that its settings do not name."""
    code = [sys.executable, "-W", "ignore", "-c", SITE_WITH_TWO]
    done = subprocess.run(code, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

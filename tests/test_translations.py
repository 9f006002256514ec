"""Catalogues: everything that is marked is translated, what is compiled is what is written, and pages show it."""

import gettext
import shutil
import subprocess
from pathlib import Path

import pytest
from babel.messages.pofile import read_po
from django.core.management import call_command
from django.utils import translation

import mmsearch_django
from example_project.library.models import Asset
from mmsearch_django.models import Mark

ROOT = Path(mmsearch_django.__file__).parent
CATALOGUES = sorted((ROOT / "locale").glob("*/LC_MESSAGES/django.po"))
URL = "/admin/library/asset/"

languages = pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parts[-3])


def messages(path):
    """Id with context, and the translation, of all but the header."""
    with path.open("rb") as file:
        found = read_po(file, abort_invalid=True)
    return {(message.context, message.id): message for message in found if message.id}


def test_german_is_there():
    assert [path.parts[-3] for path in CATALOGUES] == ["de"]


@languages
def test_what_is_marked_is_what_is_translated(path, tmp_path, monkeypatch):
    if not shutil.which("xgettext"):
        pytest.skip("gettext is not installed")
    copy = tmp_path / "mmsearch_django"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns("__pycache__", "*.mo"))
    monkeypatch.chdir(copy)
    call_command("makemessages", locale=[path.parts[-3]], no_obsolete=True, verbosity=0)
    collected = messages(copy / path.relative_to(ROOT))
    assert not [key for key, message in collected.items() if message.fuzzy]
    assert set(collected) == set(messages(path))


@languages
def test_nothing_is_left_untranslated(path):
    for message in messages(path).values():
        assert not message.fuzzy
        strings = message.string if isinstance(message.string, tuple) else [message.string]
        assert all(strings), message.id
        assert not list(message.check())


@languages
def test_the_compiled_catalogue_is_the_written_one(path, tmp_path):
    if not shutil.which("msgfmt"):
        pytest.skip("gettext is not installed")
    subprocess.run(["msgfmt", "--check-format", "-o", tmp_path / "django.mo", path], check=True)
    read = [compiled(tmp_path / "django.mo"), compiled(path.with_suffix(".mo"))]
    assert read[0] == read[1]


def compiled(path):
    with path.open("rb") as file:
        return {key: value for key, value in gettext.GNUTranslations(file)._catalog.items() if key}


@pytest.mark.django_db
def test_the_admin_in_german(admin_client):
    Asset.objects.bulk_create([Asset(title="windmill"), Asset(title="mill")])
    Mark.objects.all().delete()
    with translation.override("de"):
        text = admin_client.get(URL, {"q": "windmill", "indexing": "waiting"}).text
        for said in (
            "Suche nach Bedeutung, Wörtern oder Dateiname",
            "Nach Bild suchen",
            "1 bester Treffer von 2.",
            "2 werden noch indexiert.",
            "Stichwörter #1",
            "wartet",
            "Nach Indexierung",
            "Ausgewählte assets erneut indexieren",
            "Suche zurücksetzen",
            "Raster",
        ):
            assert said in text, said
    assert "Search by picture" in admin_client.get(URL).text

"""What the documentation tells a reader to write and to type: in a new project, with the clients that it shows."""

import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from importlib.metadata import version
from pathlib import Path
from urllib.error import URLError

import playwright
import pytest

from mmsearch_django.rest_framework.serializers import PictureSearch, SearchParameters
from tests.projects import MEDIA, ROOT, SAMPLES, environment, manage, run, started

PICTURES = {"pear": "demo138-green-pear.webp", "giraffes": "demo087-two-giraffes-standing-between-trees.webp"}
SETTINGS = """
INSTALLED_APPS += ["rest_framework", "django_filters"]
REST_FRAMEWORK = {"DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.PageNumberPagination", "PAGE_SIZE": 1}
"""
URLS = """
from django.urls import include
urlpatterns.append(path("api/", include("library.api")))
"""
FILL = f"""
from django.core.files import File
from library.models import Asset
for title, name in {PICTURES!r}.items():
    with open("{MEDIA}/" + name, "rb") as file:
        Asset(title=title).file.save(name, File(file))
"""
NODE = Path(playwright.__file__).parent / "driver/node"
"""Playwright brings one along."""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A new project with what the pages say added to it, two pictures in it, indexed."""
    folder = tmp_path_factory.mktemp("site")
    settings = SETTINGS + (SAMPLES / "settings.py").read_text()
    with started(folder, "library", database="mmsearch_samples", settings=settings, urls=URLS):
        for name in ("models.py", "admin.py", "api.py"):
            shutil.copy(SAMPLES / name, folder / "library")
        shutil.copy(MEDIA / PICTURES["giraffes"], folder / "photo.jpg")
        manage(folder, "makemigrations", "library")
        manage(folder, "migrate", "--verbosity=0")
        manage(folder, "check", "--database=default", "--fail-level=WARNING")
        manage(folder, "shell", "--verbosity=0", "--command", FILL)
        manage(folder, "mmsearch_index")
        yield folder


@pytest.fixture(scope="module")
def site(project):
    """Its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "manage.py", "runserver", "--noreload", str(port)]
    process = subprocess.Popen(
        command, cwd=project, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{address}/api/")
        yield address
    finally:
        process.kill()
        process.wait()


def wait_for(address):
    for _ in range(150):
        try:
            return urllib.request.urlopen(address)
        except URLError:
            time.sleep(0.1)
    raise AssertionError(f"{address} never answered.")


def sample(name, site):
    return (SAMPLES / name).read_text().replace("https://example.org", site)


def test_curl(project, site):
    found = run(project, "bash", "-e", "-c", sample("search.sh", site)).split('"count":')
    by_text, by_picture, similar = (re.findall(r'"title":"(\w+)"', answer) for answer in found[1:])
    assert by_text == by_picture == ["giraffes"]
    assert similar == []  # No giraffe is like a pear.
    assert "Nothing is close enough" in found[3]


def test_python(project, site):
    printed = run(project, sys.executable, "-c", sample("search.py", site)).splitlines()
    assert printed[0].startswith("giraffes ")
    assert printed[1].startswith(f"to be kept: {site}/api/assets/?fields=visual&example=")
    assert printed[2].startswith("giraffes ")


def test_javascript(project, site):
    (project / "search.mjs").write_text(sample("search.mjs", site))
    script = """
        import { openAsBlob } from "node:fs";
        import { byText, byPicture, moreLike } from "./search.mjs";
        const giraffes = (await byText("two giraffes")).results[0];
        const same = (await byPicture(await openAsBlob("photo.jpg"))).results[0];
        console.log(giraffes.title, same.title, (await moreLike(giraffes)).report.candidates);
        try { await byText("x".repeat(1001)); } catch (error) { console.log(error.message); }
    """
    found, refused = run(project, str(NODE), "--input-type=module", "--eval", script).splitlines()
    assert found == "giraffes giraffes 1"
    assert refused.startswith('{"search":["')


ADMIN = """
import re
from django.contrib.auth.models import User
from django.test import Client
client = Client()
client.force_login(User.objects.create_superuser("me"))
for asked in ("two giraffes", "pear", "giraffes-standing"):
    page = client.get("/admin/library/asset/", {"q": asked}, headers={"host": "localhost"})
    print(page.status_code, re.findall(r"field-title[^>]*><a[^>]*>(\\w+)", page.text)[0])
"""


def test_admin(project, site):
    found = manage(project, "shell", "--verbosity=0", "--command", ADMIN)
    assert found.splitlines() == ["200 giraffes", "200 pear", "200 giraffes"]


def test_the_versions_that_were_tried():
    page = (ROOT / "docs/existing-apps.md").read_text()
    for name, package in {"django-filer": "django-filer", "Wagtail": "wagtail", "Django": "django"}.items():
        major, minor, *_ = version(package).split(".")
        assert f"{name} {major}.{minor}" in page


@pytest.mark.parametrize("serializer", [SearchParameters, PictureSearch])
def test_the_reference_names_every_parameter(serializer):
    page = (ROOT / "docs/rest_framework.md").read_text()
    documented = set(re.findall(r"(?m)^\| `(\w+)`", page))
    assert set(serializer().fields) <= documented

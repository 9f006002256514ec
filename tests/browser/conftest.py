"""A browser in front of a small library."""

import shutil

import pytest
from django.db import connection, connections

from example_project.library.models import Asset
from tests.colours import encoded, make
from tests.indexing.processes import wait_for

CHROMIUM = shutil.which("chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]


@pytest.fixture
def library(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path / "media"
    Asset.objects.bulk_create([Asset(title=f"note {number}") for number in range(110)])
    make("red", "green", "blue")


def picture(folder, colour):
    path = folder / f"search-{colour}.png"
    path.write_bytes(encoded(colour))
    return path


@pytest.fixture
def page(library, live_server, monkeypatch):
    """A page of a browser; nothing may break the policy or fail to load."""
    # The browser's driver runs an event loop in this thread, which Django takes for asynchronous code.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(base_url=live_server.url)
        troubles = []
        page.on(
            "console", lambda said: troubles.append((said.text, said.location["url"])) if said.type == "error" else 0
        )
        page.on("pageerror", lambda error: troubles.append((str(error), "")))
        yield page
        page.wait_for_load_state("networkidle")
        connections.close_all()  # Those of the driver's event loop are others than the test's own.
        browser.close()
    wait_for(alone)
    assert [trouble for trouble in troubles if not trouble[1].endswith("/favicon.ico")] == []


def alone():
    """Whether the server's threads, which end with the browser's connections, have left the database."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        return cursor.fetchone()[0] == 0


@pytest.fixture
def admin(page, admin_user):
    page.goto("/admin/login/?next=/admin/library/asset/")
    page.fill("#id_username", "admin")
    page.fill("#id_password", "password")
    go(page, lambda: page.click("[type=submit]"))
    return page


def go(page, action):
    """Do what leads to another page, and wait for it."""
    with page.expect_navigation():
        action()


def search(page, text, box="#searchbar"):
    page.fill(box, text)
    go(page, lambda: page.press(box, "Enter"))


def titles(page):
    return page.locator(".field-title, th.field-title").all_inner_texts()

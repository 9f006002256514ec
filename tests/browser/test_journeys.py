"""What people do, in a real browser: the admin, and the plain page."""

import re
import shutil
from io import BytesIO

import pytest
from django.core.files.base import ContentFile
from django.db import connection, connections
from PIL import Image

from example_project.library.models import Asset
from mmsearch_django.fields import embedding_fields
from mmsearch_django.indexing.targets import target
from mmsearch_django.models import Judgement, Space, State
from tests.indexing.conftest import embed_all
from tests.indexing.processes import wait_for
from tests.policy import POLICY

CHROMIUM = shutil.which("chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
    pytest.mark.django_db(transaction=True),
]


@pytest.fixture
def library(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path / "media"
    for colour in ("red", "green", "blue"):
        asset = Asset(title=f"{colour} thing", kind="image", category=colour)
        asset.file.save(f"{colour}.png", ContentFile(picture(tmp_path, colour).read_bytes()))
    Asset.objects.bulk_create([Asset(title=f"note {number}") for number in range(110)])
    index()


def picture(folder, colour):
    data = BytesIO()
    Image.new("RGB", (64, 48), colour).save(data, "PNG")
    path = folder / f"search-{colour}.png"
    path.write_bytes(data.getvalue())
    return path


def index():
    for field in embedding_fields(Asset).values():
        embed_all(target(field))


@pytest.fixture
def page(library, live_server, monkeypatch):
    """A page of a browser; nothing may break the policy or fail to load."""
    # The browser's driver runs an event loop in this thread, which Django takes for asynchronous code.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
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
    errors = [trouble for trouble in troubles if trouble[0] == "error"]
    assert [error for error in errors if not error[2].endswith("/favicon.ico")] == []


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
    go(page, lambda: page.click("input[type=submit]"))
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


def test_type_filter_sort_and_page(admin):
    search(admin, "green.png")
    assert titles(admin)[0] == "green thing"
    assert "#1" in admin.locator(".field-mmsearch_match").first.inner_text()
    go(admin, lambda: admin.get_by_role("link", name="Image", exact=True).click())
    assert sorted(titles(admin)) == ["blue thing", "green thing", "red thing"]
    assert admin.input_value("#searchbar") == "green.png"
    go(admin, lambda: admin.click("thead >> text=Title"))
    assert titles(admin) == ["blue thing", "green thing", "red thing"]
    go(admin, lambda: admin.click("text=Sort by relevance"))
    assert titles(admin)[0] == "green thing"


def test_page_two_shows_the_rest_of_the_window(admin):
    search(admin, "note")
    first = titles(admin)
    go(admin, lambda: admin.locator(".paginator a", has_text=re.compile("^2$")).first.click())
    assert len(first) == 100
    assert titles(admin)
    assert not set(first) & set(titles(admin))


def test_search_by_a_picture_reload_and_more_like_this(admin, tmp_path):
    admin.set_input_files("#mmsearch-file", picture(tmp_path, "blue"))
    go(admin, lambda: admin.click("text=Search by picture"))
    assert titles(admin)[0] == "blue thing"
    assert admin.locator(".mmsearch-chips li > img").evaluate("image => image.naturalWidth") == 64
    admin.reload()
    assert titles(admin)[0] == "blue thing"
    go(admin, lambda: admin.get_by_role("link", name="More like this").first.click())
    assert "blue thing" not in titles(admin)
    assert "Most like “blue thing”" in admin.content()


def test_a_pasted_picture_is_searched_by_at_once(admin, tmp_path):
    bytes_ = list(picture(tmp_path, "red").read_bytes())
    paste = """([bytes, text]) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], "pasted.png", {type: "image/png"}));
        if (text) data.setData("text/plain", text);
        const event = new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true});
        document.body.dispatchEvent(event);
        return event.defaultPrevented;
    }"""
    assert not admin.evaluate(paste, [bytes_, "cells of a spreadsheet, which come with a picture of them"])
    go(admin, lambda: admin.evaluate(paste, [bytes_, ""]))
    assert titles(admin)[0] == "red thing"


def test_nothing_close_enough(admin):
    Space.objects.update(floors={"text": {"zero": 0, "floor": 0.99, "one": 1}})
    search(admin, "asdf qwerty")
    assert "Nothing is close enough." in admin.content()
    go(admin, lambda: admin.click("text=Show the nearest anyway"))
    assert titles(admin)


def test_a_failed_asset_is_tried_again(admin):
    State.objects.filter(object_id=str(Asset.objects.get(category="red").pk)).update(
        status="failed", error_class="StorageUnavailable", message="The storage did not answer."
    )
    go(admin, lambda: admin.get_by_role("link", name="Failed", exact=True).click())
    assert titles(admin) == ["red thing"]
    assert "StorageUnavailable" in admin.content()
    admin.check("#action-toggle")
    admin.select_option("select[name=action]", "retry_indexing")
    go(admin, lambda: admin.click("button[name=index]"))
    assert "1 item will be indexed again." in admin.content()
    index()
    admin.goto("/admin/library/asset/?indexing=failed")
    assert titles(admin) == []


def test_what_was_found_is_judged(admin):
    search(admin, "green.png")
    row = admin.locator("#result_list tbody tr", has_text="green thing")
    go(admin, lambda: row.get_by_role("button", name="not relevant").click())
    assert "?q=green.png" in admin.url
    assert Judgement.objects.get().grade == 0
    row.get_by_role("button", name="not relevant", pressed=True).wait_for()
    go(admin, lambda: row.get_by_role("button", name="relevant", exact=True).click())
    assert Judgement.objects.get().grade == 1
    go(admin, lambda: row.get_by_role("button", name="relevant", exact=True, pressed=True).click())
    assert admin.get_by_role("button", pressed=True).count() == 0
    assert not Judgement.objects.exists()


def test_the_plain_page(page, tmp_path):
    assert page.goto("/").headers["content-security-policy"] == POLICY
    search(page, "green thing", box="input[type=search]")
    assert page.locator(".assets h2").count() == 24
    go(page, lambda: page.click("text=Next"))
    assert "Page 2" in page.content()
    page.set_input_files("input[type=file]", picture(tmp_path, "green"))
    go(page, lambda: page.click("text=Search by picture"))
    assert page.locator(".assets h2").first.inner_text() == "green thing"
    go(page, lambda: page.click("text=More like this >> nth=0"))
    assert "Most like" in page.content()

"""What people do, in a real browser: the admin, and the plain page."""

import re

import pytest

from example_project.library.models import Asset
from mmsearch_django.models import Judgement, Space, State
from tests.browser.conftest import go, picture, search, titles
from tests.colours import index
from tests.policy import POLICY

pytestmark = pytest.mark.django_db(transaction=True)


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


def test_the_grid(admin):
    go(admin, lambda: admin.get_by_role("link", name="Grid", exact=True).click())
    search(admin, "note")
    cards = admin.locator("#result_list tbody tr")
    first, second = cards.nth(0).bounding_box(), cards.nth(1).bounding_box()
    assert first["y"] == second["y"]
    assert first["x"] + first["width"] < second["x"]
    admin.check("#action-toggle")
    assert "100 of 100 selected" in admin.content()
    admin.uncheck("#action-toggle")
    for number in (0, 1):
        cards.nth(number).locator(".action-select").check()
    assert "2 of 100 selected" in admin.content()
    admin.select_option("select[name=action]", "retry_indexing")
    go(admin, lambda: admin.click("button[name=index]"))
    assert "2 items will be indexed again." in admin.content()
    go(admin, lambda: admin.locator(".paginator a", has_text=re.compile("^2$")).first.click())
    assert admin.locator("body.mmsearch-grid").count() == 1
    search(admin, "green.png")
    picture = admin.locator(".field-mmsearch_match", has_text="keywords #1").locator("xpath=..").locator("img")
    assert picture.get_attribute("alt") == "green thing"
    go(admin, lambda: admin.mouse.click(*middle(picture)))
    assert admin.input_value("#id_title") == "green thing"
    go(admin, lambda: admin.click("input[name=_save]"))
    assert admin.locator("body.mmsearch-grid").count() == 1


def middle(element):
    box = element.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_nothing_is_wider_than_a_phone(admin):
    admin.set_viewport_size({"width": 390, "height": 844})
    search(admin, "note")
    go(admin, lambda: admin.get_by_role("link", name="Grid", exact=True).click())
    assert admin.evaluate("document.documentElement.scrollWidth") <= 390
    assert admin.locator("#result_list tbody tr").nth(1).bounding_box()["x"] > 190


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

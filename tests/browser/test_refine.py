"""Search by several examples and by a part of a picture, in a real browser."""

import pytest
from PIL import Image

from tests.browser.conftest import go, search, titles

pytestmark = pytest.mark.django_db(transaction=True)


def chips(page):
    return page.locator(".mmsearch-chips > li > span").all_inner_texts()


def test_towards_and_away_and_back(admin):
    search(admin, "thing")
    go(admin, lambda: admin.get_by_role("link", name="and like this: red thing").click())
    go(admin, lambda: admin.get_by_role("link", name="but not like this: blue thing").click())
    assert chips(admin) == ["Most like “red thing”.", "Not like “blue thing”."]
    assert not {"red thing", "blue thing"} & set(titles(admin))
    go(admin, lambda: admin.get_by_role("link", name="Search without this: Not like “blue thing”.").click())
    assert chips(admin) == ["Most like “red thing”."]
    assert admin.input_value("#searchbar") == "thing"


def test_a_frame_is_drawn_around_what_is_meant(admin, tmp_path):
    both = Image.new("RGB", (400, 200), "red")
    both.paste("blue", (200, 0, 400, 200))
    both.save(tmp_path / "both.png")
    admin.set_input_files("#mmsearch-file", tmp_path / "both.png")
    go(admin, lambda: admin.click("text=Search by picture"))
    admin.click("text=Search by a part of it")
    area = admin.locator(".mmsearch-frame").bounding_box()
    admin.mouse.move(area["x"] + 0.6 * area["width"], area["y"] + 0.1 * area["height"])
    admin.mouse.down()
    admin.mouse.move(area["x"] + 0.9 * area["width"], area["y"] + 0.8 * area["height"])
    admin.mouse.up()
    sides = [float(admin.input_value(f"input[name={side}]")) for side in ("left", "top", "right", "bottom")]
    assert sides == pytest.approx([60, 10, 90, 80], abs=1)
    assert admin.locator(".mmsearch-frame span").bounding_box()["width"] == pytest.approx(0.3 * area["width"], abs=4)
    go(admin, lambda: admin.click("text=Search by this part"))
    assert titles(admin)[0] == "blue thing"
    assert chips(admin) == ["Nearest to this picture."]


def test_another_picture_is_added_or_avoided(admin, tmp_path):
    for colour in ("red", "blue"):
        Image.new("RGB", (64, 48), colour).save(tmp_path / f"{colour}.png")
    admin.set_input_files("#mmsearch-file", tmp_path / "red.png")
    go(admin, lambda: admin.click("text=Search by picture"))
    admin.set_input_files("#mmsearch-file", tmp_path / "blue.png")
    go(admin, lambda: admin.get_by_role("button", name="but not like it").click())
    assert chips(admin) == ["Nearest to this picture.", "Not like this picture."]
    assert titles(admin)[0] == "red thing"

"""Pictures that are drawn, dropped or pasted on the plain page, in a real browser."""

import pytest

from tests.browser.conftest import go, picture
from tests.policy import POLICY

pytestmark = pytest.mark.django_db(transaction=True)

SEND = "#sketch footer button"
SQUARE = [(0.1, 0.1), (0.4, 0.1), (0.4, 0.4), (0.1, 0.4), (0.1, 0.1)]

INK = """() => {
    const canvas = document.querySelector("#sketch canvas");
    const pixels = new Uint32Array(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer);
    return pixels.filter((pixel) => pixel !== 0xffffffff).length;
}"""

PIXEL = """(image, [x, y]) => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    const pen = canvas.getContext("2d");
    pen.drawImage(image, 0, 0);
    return [...pen.getImageData(x * canvas.width, y * canvas.height, 1, 1).data.slice(0, 3)];
}"""


@pytest.fixture
def canvas(page):
    assert page.goto("/").headers["content-security-policy"] == POLICY
    page.click("text=Draw a sketch")
    return page.locator("#sketch canvas")


def draw(canvas, points):
    """Points are shares of the canvas."""
    box = canvas.bounding_box()
    mouse = canvas.page.mouse
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    mouse.move(*places[0])
    mouse.down()
    for place in places[1:]:
        mouse.move(*place, steps=5)
    mouse.up()


def ink(page):
    """Pixels of the canvas that are not white."""
    return page.evaluate(INK)


def draw_blue_square(canvas):
    """Small, and in a corner."""
    page = canvas.page
    page.fill("input[name=colour]", "#0000ff")
    draw(canvas, SQUARE)
    page.get_by_text("Fill", exact=True).click()
    draw(canvas, [(0.2, 0.2)])


def assert_blue_square(page):
    """What was searched by is shown: the drawing alone, in the middle of a square."""
    shown = page.locator(".asked")
    width, height = shown.evaluate("image => [image.naturalWidth, image.naturalHeight]")
    assert width == height < 500
    for place in ([0.5, 0.5], [0.12, 0.12], [0.88, 0.88]):
        red, green, blue = shown.evaluate(PIXEL, place)
        assert max(red, green) < 40 < 215 < blue
    for place in ([0.04, 0.5], [0.96, 0.5], [0.5, 0.04], [0.5, 0.96]):
        assert min(shown.evaluate(PIXEL, place)) > 240


def test_a_sketch_finds_and_is_shown(page, canvas):
    draw_blue_square(canvas)
    go(page, lambda: page.click(SEND))
    assert "/?picture=" in page.url
    assert page.locator(".assets h2").first.inner_text() == "blue thing"
    assert_blue_square(page)
    page.reload()
    assert_blue_square(page)


def test_a_drawing_can_be_bettered_after_a_look_at_what_it_found(page, canvas):
    draw_blue_square(canvas)
    before = ink(page)
    go(page, lambda: page.click(SEND))
    page.click("text=Draw a sketch")
    assert ink(page) == before
    draw(canvas, [(0.7, 0.7), (0.9, 0.9)])
    assert ink(page) > before


def test_undo_and_clear(page, canvas):
    draw(canvas, [(0.2, 0.2), (0.8, 0.2)])
    one = ink(page)
    draw(canvas, [(0.2, 0.5), (0.8, 0.5)])
    draw(canvas, [(0.2, 0.8), (0.8, 0.8)])
    assert ink(page) > 2 * one > 0
    page.keyboard.press("Control+z")
    page.get_by_role("button", name="Undo").click()
    assert ink(page) == one
    page.get_by_role("button", name="Clear").click()
    assert ink(page) == 0
    page.keyboard.press("Control+z")
    assert ink(page) == one


def test_an_empty_canvas_is_not_sent(page, canvas):
    draw(canvas, [(0.3, 0.5), (0.7, 0.5)])
    page.get_by_text("Eraser", exact=True).click()
    draw(canvas, [(0.2, 0.5), (0.8, 0.5)])
    assert ink(page) == 0
    page.click(SEND)
    assert "Draw something first." in page.locator("#sketch [role=status]").inner_text()
    assert "picture=" not in page.url
    page.get_by_role("button", name="Red").click()
    draw(canvas, [(0.3, 0.5), (0.7, 0.5)])
    assert ink(page) > 0, "a colour that is chosen takes the eraser away"
    assert page.locator("#sketch [role=status]").inner_text() == ""


def test_a_fill_stays_within_its_line_and_does_not_eat_it(page, canvas):
    draw(canvas, SQUARE)
    line = ink(page)
    page.get_by_text("Fill", exact=True).click()
    for name in ("Yellow", "Red", "Yellow", "White"):
        page.get_by_role("button", name=name).click()
        draw(canvas, [(0.2, 0.2)])
        # A tenth of the canvas is within the square.
        assert name == "White" or 0.08 < ink(page) / 1200**2 < 0.1
    assert ink(page) == pytest.approx(line, rel=0.02)


def test_touch_on_a_narrow_screen(page, live_server):
    phone = page.context.browser.new_context(
        base_url=live_server.url, viewport={"width": 390, "height": 667}, device_scale_factor=3, has_touch=True
    )
    screen = phone.new_page()
    screen.goto("/")
    screen.tap("text=Draw a sketch")
    screen.tap("#sketch canvas")
    assert ink(screen) > 0
    for area in ("document.documentElement", "document.getElementById('sketch')"):
        assert screen.evaluate(f"{area}.scrollWidth <= {area}.clientWidth"), area
    go(screen, lambda: screen.tap(SEND))
    assert screen.locator(".asked").count() == 1
    phone.close()


def test_without_javascript_the_page_takes_words_and_pictures(page, live_server, tmp_path):
    plain = page.context.browser.new_context(base_url=live_server.url, java_script_enabled=False).new_page()
    plain.goto("/")
    assert not plain.get_by_text("Draw a sketch").is_visible()
    assert not plain.locator("#sketch").is_visible()
    plain.set_input_files("input[type=file]", picture(tmp_path, "red"))
    go(plain, lambda: plain.click("text=Search by picture"))
    assert plain.locator(".assets h2").first.inner_text() == "red thing"
    assert plain.locator(".asked").count() == 1
    plain.context.close()


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_a_picture_that_is_dropped_or_pasted_is_searched_by(page, tmp_path, event):
    page.goto("/")
    bring = """([name, bytes]) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], "green.png", {type: "image/png"}));
        const event = name === "drop"
            ? new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true})
            : new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true});
        document.querySelector("input[type=search]").dispatchEvent(event);
    }"""
    go(page, lambda: page.evaluate(bring, [event, list(picture(tmp_path, "green").read_bytes())]))
    assert page.locator(".assets h2").first.inner_text() == "green thing"

"""Take the documentation's pictures of a running demo, in headless Chromium.

make demo                                         # in another terminal
python scripts/take_pictures.py http://127.0.0.1:8000/
"""

import shutil
import sys
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.drawings import SIDE, pear  # noqa: E402
from benchmarks.pen import Point  # noqa: E402

PICTURES = ROOT / "docs" / "pictures"
LOGIN = "demo"


def main(address: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900}, base_url=address)
        page.goto("/?q=a+windmill+by+the+water")
        keep(page, "search")
        draw_pear(page)
        keep(page, "sketch")
        page.goto("/admin/login/?next=/admin/library/asset/%3Fq=windmill")
        page.fill("#id_username", LOGIN)
        page.fill("#id_password", LOGIN)
        page.click("input[type=submit]")
        keep(page, "admin")
        page.click(".mmsearch-views >> text=Grid")
        keep(page, "grid")
        browser.close()


def draw_pear(page: Page) -> None:
    page.goto("/")
    page.click("text=Draw a sketch")
    for stroke in pear():
        draw(page, stroke.points)
    page.get_by_text("Fill", exact=True).click()
    page.get_by_role("button", name="Green").click()
    for place in ((200, 250), (250, 45)):
        draw(page, [place])


def draw(page: Page, points: Sequence[Point]) -> None:
    box = page.locator("#sketch canvas").bounding_box()
    assert box
    places = [(box["x"] + x * box["width"] / SIDE, box["y"] + y * box["height"] / SIDE) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place)
    page.mouse.up()


def keep(page: Page, name: str) -> None:
    page.wait_for_load_state("networkidle")
    path = PICTURES / f"{name}.webp"
    Image.open(BytesIO(page.screenshot())).convert("RGB").save(path, quality=85)
    print(path)


if __name__ == "__main__":
    main(sys.argv[1])

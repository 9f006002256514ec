"""Take the documentation's pictures of a running demo, in headless Chromium.

make demo                                         # in another terminal
python scripts/take_pictures.py http://127.0.0.1:8000/
"""

import shutil
import sys
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
LOGIN = "demo"


def main(address: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900}, base_url=address)
        page.goto("/?q=a+windmill+by+the+water")
        keep(page, "search")
        page.goto("/admin/login/?next=/admin/library/asset/%3Fq=windmill")
        page.fill("#id_username", LOGIN)
        page.fill("#id_password", LOGIN)
        page.click("input[type=submit]")
        keep(page, "admin")
        page.click(".mmsearch-views >> text=Grid")
        keep(page, "grid")
        browser.close()


def keep(page: Page, name: str) -> None:
    page.wait_for_load_state("networkidle")
    path = PICTURES / f"{name}.webp"
    Image.open(BytesIO(page.screenshot())).convert("RGB").save(path, quality=85)
    print(path)


if __name__ == "__main__":
    main(sys.argv[1])

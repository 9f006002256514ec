"""The mixin over django-unfold's ModelAdmin, in a real browser."""

import pytest

from tests.browser.conftest import go, picture, search, titles
from tests.policy import POLICY

pytest.importorskip("unfold")
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _unfold(settings):
    """Its templates and styles before Django's; and the policy that its own pages need."""
    settings.INSTALLED_APPS = ["unfold.apps.BasicAppConfig", *settings.INSTALLED_APPS]
    laxer = POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
    settings.POLICY = laxer.replace("script-src 'self'", "script-src 'self' 'unsafe-eval'")
    settings.ROOT_URLCONF = "tests.admin.unfold_site"


def test_search_filter_grid_and_action(admin, tmp_path):
    assert admin.locator("[x-data]").count()
    search(admin, "green.png")
    assert titles(admin)[0] == "green thing"
    assert "keywords #1" in admin.locator(".field-mmsearch_match").first.inner_text()
    go(admin, lambda: admin.get_by_role("link", name="Grid", exact=True).click())
    cards = admin.locator("#result_list tbody tr")
    assert cards.nth(0).bounding_box()["y"] == cards.nth(1).bounding_box()["y"]
    admin.set_input_files("#mmsearch-file", picture(tmp_path, "blue"))
    go(admin, lambda: admin.click("text=Search by picture"))
    assert titles(admin)[0] == "blue thing"
    admin.click("text=Filters")
    go(admin, lambda: admin.get_by_role("link", name="blue", exact=True).click())
    assert titles(admin) == ["blue thing"]
    admin.check("#action-toggle")
    admin.select_option("select[name=action]", "retry_indexing")
    go(admin, lambda: admin.click("button[name=index]"))
    assert "1 item will be indexed again." in admin.content()
    assert admin.locator("body.mmsearch-grid").count() == 1


def test_nothing_of_ours_is_in_line(admin):
    search(admin, "green.png")
    ours = admin.locator(".mmsearch, .field-mmsearch_picture, .field-mmsearch_match, .field-mmsearch_state")
    assert ours.count() > 3
    names = ours.evaluate_all(
        "found => found.flatMap(one => [one, ...one.querySelectorAll('*')]).flatMap(one => one.getAttributeNames())"
    )
    assert "alt" in names
    assert not [name for name in names if name == "style" or name.startswith("on")]

"""Several examples in the admin's address: towards and away, rows and pictures, parts of pictures."""

from io import BytesIO
from urllib.parse import parse_qs, urlsplit

import pytest
from PIL import Image

from example_project.library.models import Asset
from mmsearch_django.search import examples
from tests.admin.conftest import URL, get, titles
from tests.colours import picture

pytestmark = pytest.mark.django_db


def post(client, query, **data):
    response = client.post(f"{URL}mmsearch-example/{query}", data)
    assert response.status_code == 302
    return response.url


def asked(url):
    return {name: len(values) for name, values in parse_qs(urlsplit(url).query).items()}


def test_like_these_two_and_not_like_this(admin_client, assets):
    keys = [assets[colour].pk for colour in ("red", "green")]
    page = get(admin_client, like=keys, nearest="1")
    assert titles(page) == ["blue thing"]
    assert "Most like “red thing”." in page.text
    page = get(admin_client, like=keys[0], unlike=keys[1], nearest="1")
    assert titles(page) == ["blue thing"]
    assert "Not like “green thing”." in page.text


def test_each_row_refines_and_each_chip_is_taken_back(admin_client, assets):
    red, blue = assets["red"].pk, assets["blue"].pk
    text = get(admin_client, q="thing", nearest="1", like=red).text
    assert f'href="?like={red}&amp;like={blue}&amp;nearest=1&amp;q=thing"' in text
    assert f'href="?like={red}&amp;nearest=1&amp;q=thing&amp;unlike={blue}"' in text
    assert 'href="?nearest=1&amp;q=thing" title="Search without this"' in text


def test_what_was_liked_can_be_disliked(admin_client, assets):
    red, blue = assets["red"].pk, assets["blue"].pk
    changelist = get(admin_client, q="thing", like=[red, blue]).context["cl"]
    assert changelist.refined_url(assets["red"], like=False) == f"?like={blue}&q=thing&unlike={red}"


def test_a_posted_picture_alone_too_or_not(admin_client, assets):
    first = post(admin_client, "?q=thing&kind__exact=image&like=1&o=2", picture=picture("red"))
    assert asked(first) == {"kind__exact": 1, "example": 1}
    both = post(admin_client, f"?{urlsplit(first).query}&q=thing", picture=picture("blue"), **{"as": "plus"})
    assert asked(both) == {"kind__exact": 1, "example": 2, "q": 1}
    less = post(admin_client, f"?{urlsplit(first).query}", picture=picture("green"), **{"as": "minus"})
    assert asked(less) == {"kind__exact": 1, "example": 1, "avoid_example": 1}
    page = admin_client.get(less)
    assert titles(page)[0] == "red thing"
    assert "Not like this picture." in page.text


def test_a_part_stands_in_the_place_of_its_picture(admin_client, assets):
    both = Image.new("RGB", (200, 100), "red")
    both.paste("blue", (100, 0, 200, 100))
    key = examples.key_of(examples.keep(Asset, both))
    sides = {"left": "50", "top": "0", "right": "100", "bottom": "100"}
    url = post(admin_client, f"?example={key}&example=other", part_of=key, **sides)
    kept = parse_qs(urlsplit(url).query)["example"]
    assert kept[1] == "other"
    part = Image.open(BytesIO(examples.find(kept[0]).picture))
    assert part.size == (100, 100)
    assert part.getpixel((50, 50))[2] > 200


@pytest.mark.parametrize(
    "sides",
    [{}, {"left": "a", "top": 0, "right": 1, "bottom": 1}, {"left": 60, "top": 0, "right": 50, "bottom": 9}],
)
def test_parts_that_are_none_are_said(admin_client, assets, sides):
    key = examples.key_of(examples.keep(Asset, Image.new("RGB", (64, 64), "red")))
    url = post(admin_client, f"?example={key}", part_of=key, **sides)
    assert asked(url) == {"example": 1}
    assert "nothing in this frame" in admin_client.get(url).text


def test_forged_keys_have_no_parts(admin_client, assets):
    assert "not kept any more" in admin_client.get(post(admin_client, "?q=thing", part_of="1:x", left=0)).text


def test_a_new_text_keeps_pictures_and_filters_alone(admin_client, assets):
    key = examples.key_of(examples.keep(Asset, Image.new("RGB", (64, 64), "red")))
    query = {"example": key, "avoid_example": key, "like": assets["red"].pk, "kind__exact": "image", "o": "1"}
    kept = dict(get(admin_client, **query).context["cl"].kept)
    assert set(kept) == {"example", "avoid_example", "kind__exact"}

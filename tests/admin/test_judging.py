"""Judging in the admin of the example project, which has it on."""

import re

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from example_project.library.admin import AssetAdmin
from example_project.library.models import Asset
from mmsearch_django.evaluation.judging import grades, judge
from mmsearch_django.models import Judgement
from tests.admin.conftest import URL, get, titles
from tests.colours import index, picture

pytestmark = pytest.mark.django_db


def say(client, pressed, asset, text="red thing", query="?q=red+thing"):
    return client.post(f"{URL}mmsearch-judge/{query}", {pressed: asset.pk, "text": text})


def pressed(page):
    """What the buttons of each row say that are pressed, by the row's title."""
    groups = re.findall(r'role="group" id="[^"]*" aria-label="([^"]*)">(.*?)</div>', page.text)
    return {title: re.findall(r'aria-pressed="true">([^<]*)<', buttons) for title, buttons in groups}


class TestButtons:
    def test_show_what_the_current_user_said(self, admin_client, admin_user, assets):
        other = User.objects.create(username="other")
        judge(assets["red"], "red thing", relevant=True, user=admin_user)
        judge(assets["green"], "red thing", relevant=False, user=admin_user)
        judge(assets["blue"], "red thing", relevant=True, user=other)
        page = get(admin_client, q=" red  thing", nearest="1")
        assert pressed(page) == {"red thing": ["relevant"], "green thing": ["not relevant"], "blue thing": []}

    def test_are_there_for_texts_alone(self, admin_client, assets):
        posted = admin_client.post(f"{URL}mmsearch-example/", {"picture": picture("red")}).url
        pages = [get(admin_client), get(admin_client, like=assets["red"].pk)]
        for page in [*pages, admin_client.get(posted), admin_client.get(f"{posted}&q=red")]:
            assert titles(page)
            assert "mmsearch-judge" not in page.text
        for how in ({}, {"meaning": "off"}, {"o": "1"}):
            assert "red thing" in pressed(get(admin_client, q="red", **how))

    def test_are_off_by_default(self, admin_client, assets, monkeypatch):
        monkeypatch.delattr(AssetAdmin, "mmsearch_judging")
        page = get(admin_client, q="red")
        assert "judg" not in page.text
        assert say(admin_client, "relevant", assets["red"]).status_code == 404
        assert not Judgement.objects.exists()

    def test_stand_outside_of_the_lists_own_form(self, admin_client, assets):
        text = get(admin_client, q="red").text
        form = re.search(r'<form id="mmsearch-judge".*?</form>', text, re.DOTALL)
        assert 'name="csrfmiddlewaretoken"' in form[0]
        assert form.end() < text.index('<form id="changelist-form"')
        assert len(re.findall(r'<button form="mmsearch-judge"', text)) == 2 * len(assets)

    def test_columns_keep_their_numbers(self, admin_client, assets):
        """An address that sorts by the n-th column means the same with and without a text."""
        listed, searched = (get(admin_client, **asked).context["cl"].list_display for asked in ({}, {"q": "red"}))
        named = [[getattr(column, "__name__", column) for column in columns] for columns in (listed, searched)]
        assert named[0] == named[1]

    def test_texts_are_escaped(self, admin_client, assets):
        Asset.objects.update(title='"><b>x')
        text = get(admin_client, q='"><b>y').text
        assert "<b>" not in text

    def test_a_page_takes_one_statement_more(self, admin_client, monkeypatch):
        monkeypatch.setattr(AssetAdmin, "list_filter", ["kind"])
        monkeypatch.setattr(AssetAdmin, "date_hierarchy", None)
        Asset.objects.bulk_create([Asset(title=f"asset {number}", category="x") for number in range(120)])
        index()
        counts = {}
        for on in (False, True):
            monkeypatch.setattr(AssetAdmin, "mmsearch_judging", on)
            for parameters in ({}, {"q": "asset", "nearest": "1", "depth": "200"}):
                with CaptureQueriesContext(connection) as statements:
                    assert len(titles(get(admin_client, **parameters))) == 100
                counts[on, "q" in parameters] = len(statements)
        assert counts[False, True] <= 8
        assert counts[True, True] == counts[False, True] + 1
        assert counts[True, False] == counts[False, False]


class TestJudge:
    def test_is_kept_changed_and_taken_back(self, admin_client, admin_user, assets):
        red = assets["red"]
        for button, grade in (("relevant", 1), ("not_relevant", 0), ("not_relevant", 0), ("withdraw", None)):
            say(admin_client, button, red)
            assert grades(Asset, "red thing", [red.pk], user=admin_user).get(str(red.pk)) == grade
        assert not Judgement.objects.exists()

    def test_pressing_what_is_pressed_takes_it_back(self, admin_client, assets):
        say(admin_client, "relevant", assets["red"])
        text = get(admin_client, q="red thing").text
        assert f'name="withdraw" value="{assets["red"].pk}" aria-pressed="true">relevant<' in text
        assert f'name="not_relevant" value="{assets["red"].pk}" aria-pressed="false">not relevant<' in text

    def test_leads_back_to_the_same_page(self, admin_client, assets):
        query = "?q=red+thing&kind__exact=image&nearest=1&o=-1.2&p=1&depth=50"
        action = re.search(r'id="mmsearch-judge" method="post" action="([^"]*)"', admin_client.get(URL + query).text)[1]
        response = admin_client.post(action.replace("&amp;", "&"), {"relevant": assets["red"].pk, "text": "red thing"})
        assert response.url == f"{URL}{query}#mmsearch-judge-{assets['red'].pk}"
        assert f'id="mmsearch-judge-{assets["red"].pk}"' in admin_client.get(response.url).text

    def test_what_cannot_be_judged(self, admin_client, assets):
        page = admin_client.get(say(admin_client, "relevant", assets["red"], text=" \0 ").url)
        assert "is blank" in page.text
        for key in ("", "x", "999999", "9" * 40):
            assert admin_client.post(f"{URL}mmsearch-judge/", {"relevant": key, "text": "red"}).status_code == 404
        assert admin_client.post(f"{URL}mmsearch-judge/", {"text": "red"}).status_code == 404
        assert admin_client.get(f"{URL}mmsearch-judge/", {"relevant": assets["red"].pk}).status_code == 405
        assert not Judgement.objects.exists()

    def test_a_hidden_row_cannot_be_judged(self, admin_client, assets, monkeypatch):
        own = AssetAdmin.get_queryset
        monkeypatch.setattr(
            AssetAdmin, "get_queryset", lambda self, request: own(self, request).exclude(title="blue thing")
        )
        for button in ("relevant", "not_relevant", "withdraw"):
            assert say(admin_client, button, assets["blue"]).status_code == 404
        assert not Judgement.objects.exists()
        assert say(admin_client, "relevant", assets["red"]).status_code == 302

    def test_who_may_view_may_judge(self, client, assets):
        user = User.objects.create_user("viewer", is_staff=True)
        client.force_login(user)
        assert say(client, "relevant", assets["red"]).status_code == 404
        user.user_permissions.add(Permission.objects.get(content_type__app_label="library", codename="view_asset"))
        assert say(client, "relevant", assets["red"]).status_code == 302
        assert Judgement.objects.get().judge == user

    def test_who_is_no_staff_may_not(self, client, assets):
        assert "/login/" in say(client, "relevant", assets["red"]).url
        assert not Judgement.objects.exists()

    def test_another_site_cannot_judge_for_the_user(self, admin_user, assets):
        client = Client(enforce_csrf_checks=True)
        client.force_login(admin_user)
        assert say(client, "relevant", assets["red"]).status_code == 403
        assert not Judgement.objects.exists()

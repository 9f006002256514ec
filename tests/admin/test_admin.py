"""The admin of the example project, which is a stock ModelAdmin with the mixin."""

import html
import re

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext

from example_project.library.admin import AssetAdmin
from example_project.library.models import Asset
from mmsearch_django.embedders.registry import embedders
from mmsearch_django.exceptions import EmbedderUnavailable
from mmsearch_django.fields import embedding_fields
from mmsearch_django.indexing import lanes
from mmsearch_django.indexing.targets import target
from mmsearch_django.models import Example, Mark, Space, State
from tests.admin.conftest import URL, distant, get, titles
from tests.colours import encoded, index

pytestmark = pytest.mark.django_db


class TestText:
    def test_what_words_find_comes_first_and_then_what_is_near(self, admin_client, assets):
        response = get(admin_client, q="green.png")
        assert titles(response)[0] == "green thing"
        first, second = response.context["cl"].result_list[:2]
        assert first.match["keywords"] == {"rank": 1}
        assert first.score > 0.5 > second.score
        assert "Best 3 of 3." in response.text
        assert "<span>keywords #1</span>" in response.text

    def test_words_only(self, admin_client, assets):
        response = get(admin_client, q="green", meaning="off")
        assert titles(response) == ["green thing"]
        assert "Best" not in response.text
        assert "Clear search" not in response.text
        assert 'value="off" checked' in response.text

    def test_relevance_is_kept_under_filters(self, admin_client, assets):
        Asset.objects.exclude(category="green").update(licence="CC0")
        response = get(admin_client, q="green.png", category__exact="green")
        assert titles(response) == ["green thing"]
        assert "Best 1 of 1." in response.text
        assert 'name="category__exact" value="green"' in response.text

    def test_a_column_sorts_and_a_way_leads_back(self, admin_client, assets):
        response = get(admin_client, q="green.png", o="1")
        assert titles(response) == ["blue thing", "green thing", "red thing"]
        assert 'href="?q=green.png">Sort by relevance' in response.text
        assert 'name="o"' not in response.text

    def test_links_keep_filters_that_begin_like_parameters_of_ours(self, admin_client, assets):
        """Django takes ``p`` and all that begins with it out of an address, such as a filter by project."""
        Asset.objects.bulk_create([Asset(title=f"asset {number}") for number in range(30)])
        index()
        text = get(admin_client, q="thing", depth="8", o="1", pk__gt="0").text
        assert 'href="?depth=16&amp;o=1&amp;pk__gt=0&amp;q=thing">Show more' in text
        assert 'href="?depth=8&amp;pk__gt=0&amp;q=thing">Sort by relevance' in text
        assert 'href="?pk__gt=0">Clear search' in text
        assert 'action="mmsearch-example/?depth=8&amp;o=1&amp;pk__gt=0&amp;q=thing"' in text

    def test_nonsense_is_said_with_a_way_on(self, admin_client, assets):
        distant()
        response = get(admin_client, q="asdf qwerty")
        assert titles(response) == []
        assert "Nothing is close enough." in response.text
        assert 'href="?nearest=1&amp;q=asdf+qwerty"' in response.text
        assert len(titles(get(admin_client, q="asdf qwerty", nearest="1"))) == 3

    def test_a_file_name_is_found_below_any_floor(self, admin_client, assets):
        distant()
        assert titles(get(admin_client, q="green.png")) == ["green thing"]

    def test_show_more_doubles_the_depth(self, admin_client, assets):
        Asset.objects.bulk_create([Asset(title=f"asset {number}") for number in range(30)])
        index()
        response = get(admin_client, q="thing", depth="8")
        assert 'href="?depth=16&amp;q=thing">Show more' in response.text
        assert get(admin_client, q="thing", depth="16").context["cl"].result_count > 8
        assert "Show more" not in get(admin_client, q="thing", depth="999999").text

    def test_words_answer_while_no_embedder_does(self, admin_client, assets, monkeypatch, caplog):
        def refuse(*args, **kwargs):
            raise EmbedderUnavailable("Embedder 'default' has no weights.")

        monkeypatch.setattr(type(embedders["default"]), "embed_texts", refuse)
        monkeypatch.setattr(type(embedders["default"]), "embed_images", refuse)
        response = get(admin_client, q="green")
        assert titles(response) == ["green thing"]
        assert "Search by meaning is not available now." in response.text
        assert "has no weights" not in response.text
        assert "has no weights" in caplog.text
        posted = admin_client.post(f"{URL}mmsearch-example/", {"picture": SimpleUploadedFile("m.png", encoded("red"))})
        assert "Search by meaning is not available now." in admin_client.get(posted.url).text

    def test_words_answer_while_the_vectors_are_another_embedders(self, admin_client, assets, caplog):
        Space.objects.update(signature="starter:former@1#/32")
        response = get(admin_client, q="green")
        assert titles(response) == ["green thing"]
        assert "Search by meaning is not available now." in response.text
        assert "former@1" not in response.text
        assert "--reembed" in caplog.text

    def test_what_users_write_is_escaped(self, admin_client, assets):
        Asset.objects.update(title="<script>x</script>")
        State.objects.update(status="failed", message="<script>y</script>")
        assert "<script>" not in re.sub(r"<script src=.*?></script>|<script id=.*?</script>", "", get(
            admin_client, q="<script>z</script>").text)  # fmt: skip


class TestPicture:
    def post(self, client, data, query=""):
        return client.post(f"{URL}mmsearch-example/{query}", {"picture": SimpleUploadedFile("mine.png", data)})

    def test_becomes_part_of_the_address(self, admin_client, assets):
        response = self.post(admin_client, encoded("red"), "?kind__exact=image")
        assert response.url.startswith(f"{URL}?kind__exact=image&example=")
        page = admin_client.get(response.url)
        assert titles(page)[0] == "red thing"
        assert "Nearest to this picture." in page.text
        shown = html.unescape(re.search(r'src="(mmsearch-example/[^"]*)"', page.text)[1])
        assert admin_client.get(URL + shown).headers["Content-Type"] == "image/webp"

    def test_a_file_that_is_none_is_said(self, admin_client, assets, settings):
        response = self.post(admin_client, b"text")
        assert "This file is no picture that can be read." in admin_client.get(response.url).text
        response = admin_client.post(f"{URL}mmsearch-example/?kind__exact=image")
        assert "Choose a picture" in admin_client.get(response.url).text
        settings.MMSEARCH = {**settings.MMSEARCH, "MAX_PIXELS": 100}
        response = self.post(admin_client, encoded("red"))
        assert "is too large" in admin_client.get(response.url).text

    def test_forged_and_expired_keys(self, admin_client, assets):
        for key in ("1", "1:x", "\0"):
            assert "is not kept any more" in get(admin_client, example=key).text
        url = self.post(admin_client, encoded("red")).url
        Example.objects.update(expires_at="2020-01-01T00:00Z")
        assert "is not kept any more" in admin_client.get(url).text

    def test_more_like_this(self, admin_client, assets):
        response = get(admin_client, like=assets["red"].pk)
        assert sorted(titles(response)) == ["blue thing", "green thing"]
        assert "Most like “red thing”." in response.text
        assert "does not exist" in get(admin_client, like="999").text
        assert "does not exist" in get(admin_client, like="x").text

    def test_what_is_not_indexed_is_like_nothing(self, admin_client, assets):
        new = Asset.objects.create(title="new")
        assert "because it is not indexed." in get(admin_client, like=new.pk).text
        assert get(admin_client).text.count("More like this") == 3


class TestRows:
    def test_thumbnails(self, admin_client, assets):
        page = get(admin_client)
        addresses = re.findall(r'mmsearch-picture" src="([^"]*)"', page.text)
        assert len(addresses) == 3
        response = admin_client.get(addresses[0])
        assert response.headers["Content-Type"] == "image/webp"
        assert "private" in response.headers["Cache-Control"]
        assert "immutable" in response.headers["Cache-Control"]
        assert admin_client.get(addresses[0].replace("thumbnail/", "thumbnail/9")).status_code == 404

    def test_a_file_without_a_picture_has_a_sign_for_now(self, admin_client, assets):
        asset = assets["red"]
        asset.file.storage.delete(asset.file.name)
        response = admin_client.get(f"{URL}mmsearch-thumbnail/{asset.pk}/{asset.thumbnail_version}/")
        assert response.url.endswith("mmsearch/no-picture.svg")
        assert "max-age=300" in response.headers["Cache-Control"]
        assert "immutable" not in response.headers["Cache-Control"]

    def test_states(self, admin_client, assets):
        visual = Space.objects.get(model="library.asset", field="visual")
        State.objects.filter(space=visual, object_id=str(assets["red"].pk)).update(
            status="failed", error_class="CorruptFile", message="It is cut short."
        )
        Asset.objects.create(title="new")
        text = get(admin_client).text
        assert text.count(">indexed<") == 2
        assert '<b>failed</b> <span title="visual: CorruptFile">It is cut short.</span>' in text
        assert text.count(">waiting<") == 1
        assert titles(get(admin_client, indexing="failed")) == ["red thing"]
        index()
        assert titles(get(admin_client, indexing="waiting")) == []

    def test_waiting_filter(self, admin_client, assets):
        Asset.objects.create(title="new")
        assert titles(get(admin_client, indexing="waiting")) == ["new"]
        index()
        assets["red"].save()
        assets["green"].title = "greener thing"
        assets["green"].save()
        assert titles(get(admin_client, indexing="waiting")) == ["greener thing"]
        Mark.objects.create(space=Space.objects.get(model="library.asset", field="words"))
        assert len(titles(get(admin_client, indexing="waiting"))) == 4

    def test_counts_of_the_filter(self, admin_client, assets):
        Asset.objects.create(title="new")
        State.objects.filter(object_id=str(assets["red"].pk)).update(status="failed")
        for parameters in ({}, {"q": "thing", "nearest": "1"}):
            text = get(admin_client, _facets="True", **parameters).text
            assert "Failed (1)" in text
            assert f"Waiting ({0 if parameters else 1})" in text

    def test_counts_beside_filters_search_once(self, admin_client, assets, monkeypatch):
        monkeypatch.setattr(AssetAdmin, "date_hierarchy", None)
        parameters = {"q": "thing", "nearest": "1", "_facets": "True"}
        with CaptureQueriesContext(connection) as statements:
            text = get(admin_client, **parameters).text
        assert len([statement for statement in statements if "mm_candidates" in statement["sql"]]) == 1
        assert "green (1)" in text
        text = get(admin_client, **parameters, category="green").text
        assert "green (1)" in text
        assert "blue (1)" in text
        assert "Best 1 of 1." in text

    def test_retry(self, admin_client, assets):
        red = assets["red"]
        State.objects.update(status="failed")
        Mark.objects.all().delete()
        data = {"action": "retry_indexing", "_selected_action": [red.pk]}
        response = admin_client.post(f"{URL}?q=red.png", data, follow=True)
        assert "1 item will be indexed again." in response.text
        assert len(titles(get(admin_client, indexing="failed"))) == 2
        index()
        assert {state.status for state in State.objects.filter(object_id=str(red.pk))} == {"ready"}
        assert State.objects.filter(status="failed").count() == 4

    def test_a_page_of_a_hundred_takes_ten_statements(self, admin_client, monkeypatch):
        """What the site's own filters and hierarchy ask comes on top, as everywhere in the admin."""
        monkeypatch.setattr(AssetAdmin, "list_filter", ["kind"])
        monkeypatch.setattr(AssetAdmin, "date_hierarchy", None)
        monkeypatch.setattr(AssetAdmin, "mmsearch_judging", False)
        Asset.objects.bulk_create([Asset(title=f"asset {number}", category="x") for number in range(120)])
        index()
        like = {"like": Asset.objects.first().pk, "nearest": "1", "depth": "200"}
        wide = {"q": "asset", "nearest": "1", "depth": "200"}
        for parameters in ({}, {"q": "asset 7"}, like, wide, {**wide, "view": "grid"}):
            with CaptureQueriesContext(connection) as statements:
                response = get(admin_client, **parameters)
            assert len(titles(response)) == 100
            assert len(statements) <= 10
        searches = [statement for statement in statements if "mm_candidates" in statement["sql"]]
        assert len(searches) == 1

    def test_fields_that_are_held_back(self, admin_client, assets):
        said = "Indexing of visual is held back by an operator."
        assert said not in get(admin_client).text
        lanes.change(target(embedding_fields(Asset)["visual"]), ["backfill"], paused=True)
        response = get(admin_client)
        assert response.text.count("is held back by an operator") == 1
        assert f'title="backfill paused">{said}' in response.text
        lanes.change(target(embedding_fields(Asset)["visual"]), ["live"], per_minute=600)
        assert f'title="backfill paused; live 600 a minute">{said}' in get(admin_client).text


class TestViews:
    def test_the_grid_is_kept_wherever_one_goes(self, admin_client, assets):
        Asset.objects.bulk_create([Asset(title=f"asset {number}", category="x") for number in range(120)])
        index()
        response = get(
            admin_client, q="thing", nearest="1", view="grid", kind__exact="other", depth="110", o="1", p="2"
        )
        assert "mmsearch-grid" in response.text
        links = [html.unescape(link) for link in re.findall(r'(?:href|action)="([^"]*\?[^"]*)"', response.text)]
        listed = [link for link in links if link.startswith(("?", "mmsearch-example/"))]
        assert len(listed) > 30
        other = "?depth=110&kind__exact=other&nearest=1&o=1&p=2&q=thing&view=list"
        assert [link for link in listed if "view=grid" not in link] == [other]
        assert '<input type="hidden" name="view" value="grid">' in response.text
        assert "view%3Dgrid" in next(link for link in links if "/change/" in link)

    def test_the_site_chooses_what_comes_first(self, admin_client, assets, monkeypatch):
        assert "mmsearch-grid" not in get(admin_client, view="other").text
        monkeypatch.setattr(AssetAdmin, "mmsearch_view", "grid", raising=False)
        assert "mmsearch-grid" in get(admin_client).text
        assert "mmsearch-grid" not in get(admin_client, view="list").text

    def test_without_pictures_there_is_a_list_alone(self, admin_client, assets, monkeypatch):
        monkeypatch.setattr(AssetAdmin, "mmsearch_thumbnail", "", raising=False)
        text = get(admin_client, view="grid").text
        assert "mmsearch-grid" not in text
        assert "mmsearch-views" not in text
        assert "mmsearch-picture" not in text.replace('id="mmsearch-picture"', "")


class TestPermissions:
    @pytest.fixture
    def hidden(self, assets, monkeypatch):
        """The site hides what is blue."""
        own = AssetAdmin.get_queryset
        monkeypatch.setattr(
            AssetAdmin, "get_queryset", lambda self, request: own(self, request).exclude(category="blue")
        )
        return assets["blue"]

    def test_hidden_rows_are_not_found_counted_or_similar(self, admin_client, assets, hidden):
        url = f"{URL}mmsearch-example/"
        posted = admin_client.post(url, {"picture": SimpleUploadedFile("b.png", encoded("blue"))}).url
        pages = [get(admin_client, q="blue.png", nearest="1"), get(admin_client, like=assets["red"].pk)]
        for page in [*pages, admin_client.get(posted)]:
            assert "blue thing" not in titles(page)
        assert "Best 2 of 2." in pages[0].text
        assert "does not exist" in get(admin_client, like=hidden.pk).text
        version = hidden.thumbnail_version
        assert admin_client.get(f"{URL}mmsearch-thumbnail/{hidden.pk}/{version}/").status_code == 404

    def test_who_may_only_view_may_search_and_not_retry(self, client, assets):
        user = User.objects.create_user("viewer", is_staff=True)
        user.user_permissions.add(Permission.objects.get(content_type__app_label="library", codename="view_asset"))
        client.force_login(user)
        response = get(client, q="red.png")
        assert titles(response)[0] == "red thing"
        assert "retry_indexing" not in response.text

    def test_who_may_not_view_gets_nothing(self, client, assets):
        client.force_login(User.objects.create_user("other", is_staff=True))
        assert client.get(URL).status_code == 403
        assert client.post(f"{URL}mmsearch-example/").status_code == 403
        red = assets["red"]
        assert client.get(f"{URL}mmsearch-thumbnail/{red.pk}/{red.thumbnail_version}/").status_code == 404


def test_nothing_inline_and_nothing_from_elsewhere(admin_client, assets):
    text = get(admin_client, q="red").text
    ours = text[text.index('class="mmsearch"') : text.index("</table>")]
    assert "<script" not in ours
    assert not re.search(r"\sstyle=|\son\w+=", ours)
    assert "http://" not in ours
    assert "https://" not in ours

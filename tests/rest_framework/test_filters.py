import pytest

from example_project.library.models import Asset
from mmsearch_django.embedders.registry import embedders
from mmsearch_django.exceptions import EmbedderUnavailable
from mmsearch_django.models import Space
from tests.rest_framework.conftest import get, titles

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.rest_framework.urls")]


def test_ranks_and_says_why(client, assets):
    answer = get(client, search="green thing", fields="words")["results"]
    assert answer[0]["title"] == "green thing"
    assert answer[0]["score"] == 1.0
    assert answer[0]["match"]["words"]["rank"] == 1
    assert answer[0]["closeness"] == pytest.approx(1, abs=1e-3)


def test_without_a_search_nothing_changes(client, assets):
    answer = get(client, search=" ")["results"]
    assert answer[0]["title"] == "red thing"
    assert (answer[0]["score"], answer[0]["match"]) == (None, None)


def test_pages_are_those_of_one_window(client, assets, admin_user):
    client.force_authenticate(admin_user)
    first = get(client, search="green thing", fields="words")
    second = client.get(first["next"]).json()
    assert first["count"] == 4
    assert len(set(titles(first)) | set(titles(second))) == 4


def test_options(client, assets):
    Space.objects.update(floors={"text": {"zero": 0, "floor": 0.99, "one": 1.01}})
    assert titles(get(client, search="green thing", min_closeness=0.5)) == ["green thing"]
    assert len(titles(get(client, search="nothing", nearest="true", fields="words", depth=1))) == 1
    assert titles(get(client, search="nothing")) == []
    assert titles(get(client, search="green thing", weights="words:1,visual:0"))[0] == "green thing"


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"search": "a" * 1001}, "search"),
        ({"search": "a\0b"}, "search"),
        ({"search": "a", "fields": "sight"}, "fields"),
        ({"search": "a", "weights": "words:heavy"}, "weights"),
        ({"search": "a", "weights": "words"}, "weights"),
        ({"search": "a", "min_closeness": "2"}, "min_closeness"),
        ({"search": "a", "min_closeness": "nan"}, "min_closeness"),
        ({"search": "a", "depth": "0"}, "depth"),
        ({"search": "a", "nearest": "perhaps"}, "nearest"),
        ({"example": "forged"}, "example"),
        ({"avoid": "people"}, "search"),
    ],
)
def test_bad_parameters_are_named(client, assets, parameters, field):
    assert field in get(client, 400, **parameters)


@pytest.mark.parametrize(("retry_after", "said"), [(None, "30"), (89.5, "90")])
def test_no_embedder_is_503_and_says_when_to_come_back(client, assets, monkeypatch, caplog, retry_after, said):
    def refuse(*args, **kwargs):
        raise EmbedderUnavailable("Embedder 'default' has no weights.", retry_after=retry_after)

    monkeypatch.setattr(type(embedders["default"]), "embed_texts", refuse)
    response = client.get("/assets/", {"search": "never asked before"})
    assert response.status_code == 503
    assert response.headers["Retry-After"] == said
    assert response.json() == {"detail": "Search by meaning is not available now."}
    assert "has no weights" in caplog.text


def test_vectors_of_another_embedder_are_503_and_say_what_to_run(client, assets):
    Space.objects.filter(model="library.asset", field="words").update(signature="starter:former@1#/32")
    detail = get(client, 503, search="red")["detail"]
    assert "library.Asset --field words --reembed" in detail
    assert "starter:former@1#/32" in detail
    assert get(client, search="red", fields="visual")["report"]["degraded"] == []


@pytest.mark.parametrize(
    ("weights", "field"), [("words:nan", "weights"), ("words:0,visual:0", "weights"), ("sight:1", "weights")]
)
def test_weights_that_cannot_be(client, assets, weights, field):
    assert list(get(client, 400, search="a", weights=weights)) == [field]


def test_nothing_close_enough_is_said_with_a_way_to_the_nearest(client, assets):
    Space.objects.update(floors={"text": {"zero": 0, "floor": 0.99, "one": 1.01}})
    answer = get(client, search="nothing")
    assert answer["report"]["message"] == "Nothing is close enough."
    assert answer["report"]["noise"] == 3
    nearest = client.get(answer["report"]["nearest"]).json()
    assert nearest["count"] == 3
    assert nearest["report"]["message"] == ""


def test_no_candidates_is_said(client, assets):
    Asset.objects.all().delete()
    assert get(client, search="thing")["report"]["message"] == "Nothing passes the filters."


def test_a_list_that_is_not_searched_has_no_report(client, assets):
    assert "report" not in get(client)


def test_rows_link_to_themselves_and_to_what_is_similar(client, assets):
    row = get(client, search="green thing", fields="words")["results"][0]
    assert client.get(row["links"]["self"]).json()["title"] == "green thing"
    assert "green thing" not in titles(client.get(row["links"]["similar"]).json())


def test_any_view_that_lists_can_search(client, assets):
    """Without a viewset there are no links, without pages no report."""
    [first, *_] = get(client, path="/plain/", search="green thing", fields="words")
    assert (first["title"], first["links"]) == ("green thing", {})


def test_the_browsable_api_has_a_box_to_search_by(client, assets):
    page = client.get("/assets/", {"search": "green thing"}, headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert 'name="search"' in page.text
    assert 'value="green thing"' in page.text

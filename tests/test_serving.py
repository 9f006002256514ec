"""A site whose embedder is a server: what its users and its index see while the server is away, and after."""

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from example_project.library.models import Asset as Picture
from mmsearch_django.embedders import engines
from mmsearch_django.embedders.forwarding import CircuitBreaker
from mmsearch_django.embedders.registry import embedders
from mmsearch_django.exceptions import EmbedderUnavailable
from mmsearch_django.fields import embedding_fields
from mmsearch_django.indexing import status
from mmsearch_django.indexing.targets import target
from mmsearch_django.models import Mark, State
from mmsearch_django.queryset import report
from tests.embedding_server import EmbeddingServer, serving
from tests.indexing.conftest import embed_all, make, state_of
from tests.models import Asset

pytestmark = pytest.mark.django_db


@pytest.fixture
def server():
    with serving(EmbeddingServer(dimensions=32)) as started:
        yield started


@pytest.fixture
def words(db):
    """The text field of assets; nothing is marked."""
    Mark.objects.all().delete()
    return target(embedding_fields(Asset)["words"])


@pytest.fixture
def site(settings, monkeypatch, server):
    """Asks the server for what the dummy would give."""
    monkeypatch.setattr(engines, "_engines", {})
    monkeypatch.setattr(embedders, "_made", {})
    settings.MMSEARCH = {
        "QUERY_CACHE": None,
        "EMBEDDERS": {
            **settings.MMSEARCH["EMBEDDERS"],
            "default": {
                "BACKEND": "mmsearch_django.embedders.http.HttpEmbedder",
                "OPTIONS": {"url": server.url, "protocol": "infinity", "behind": "model", "retries": 0, "timeout": 2},
            },
            "model": {"BACKEND": "mmsearch_django.embedders.dummy.DummyEmbedder", "OPTIONS": {"dimensions": 32}},
        },
    }


def later():
    """As if the time had passed for which nothing is asked."""
    embedders["default"].breaker = CircuitBreaker()
    State.objects.update(not_before=None)


class TestIndexing:
    def test_a_server_that_wants_to_be_left_alone_is(self, site, server, words):
        [asset] = make("red")
        server.respond = lambda handler, inputs: handler.send(429, b"", Retry_After="120")
        with pytest.raises(EmbedderUnavailable):
            embed_all(words)
        state = state_of(words, asset)
        assert (state.status, state.attempts, state.retries, state.lease_until) == ("pending", 0, 0, None)
        assert 100 < (state.not_before - timezone.now()).total_seconds() < 121
        assert not status.claimable(words)
        assert embed_all(words) == {}
        assert len(server.requests) == 1
        server.respond = None
        later()
        assert embed_all(words) == {"ready": 1}

    def test_a_server_that_is_away_fails_nobody(self, site, server, words):
        make("red", "blue")
        server.respond = lambda handler, inputs: handler.send(503, b"")
        with pytest.raises(EmbedderUnavailable):
            embed_all(words)
        assert set(State.objects.values_list("status", "attempts", "lease_until")) == {("pending", 0, None)}
        server.respond = None
        later()
        assert embed_all(words) == {"ready": 2}

    @pytest.mark.parametrize(("code", "ends"), [(400, "failed"), (500, "pending")])
    def test_what_it_cannot_embed_is_set_aside_alone(self, site, server, words, code, ends):
        assets = make(*(f"asset {number}" for number in range(31)), "poison")
        embedders["default"].warm_up()
        server.requests.clear()
        server.respond = lambda handler, inputs: "poison" in inputs and handler.send(code, b"I cannot read this")
        assert embed_all(words) == {"ready": 31, ends: 1}
        state = state_of(words, assets[-1])
        assert (state.error_class, "I cannot read this" in state.message) == ("InputRefused", True)
        assert len(server.requests) < 20


class TestSearching:
    @pytest.fixture(autouse=True)
    def _indexed(self, site, words):
        make("a red car", "a blue car")
        embed_all(words)

    def test_what_a_worker_indexed_is_found_through_the_server(self, settings):
        found = [[row.pk, row.score] for row in Asset.objects.search("red", floor=None)]
        assert len(found) == 2
        settings.MMSEARCH["EMBEDDERS"]["default"] = settings.MMSEARCH["EMBEDDERS"]["model"]
        here = Asset.objects.search("red", floor=None)
        assert found == [[row.pk, pytest.approx(row.score, abs=1e-6)] for row in here]

    @pytest.mark.parametrize("code", [400, 401, 404, 429, 500, 503])
    def test_while_it_is_away_the_admin_searches_words(self, server, admin_client, code):
        Picture.objects.create(title="red", file="red.png")
        server.respond = lambda handler, inputs: handler.send(code, b"secrets of the house")
        page = admin_client.get("/admin/library/asset/", {"q": "red"})
        assert page.context["cl"].result_count == 1
        assert "Search by meaning is not available now." in page.text
        assert "secrets" not in page.text

    @pytest.mark.urls("tests.rest_framework.urls")
    @pytest.mark.parametrize("code", [400, 401, 404, 429, 500, 503])
    def test_and_the_api_says_when_to_come_back(self, server, client, code):
        server.respond = lambda handler, inputs: handler.send(code, b"secrets of the house", Retry_After="70")
        answer = client.get("/assets/", {"search": "red"})
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == ("70" if code in (429, 503) else "30")
        assert answer.json() == {"detail": "Search by meaning is not available now."}

    def test_a_leg_that_can_be_asked_still_answers(self, settings, server, monkeypatch):
        server.respond = lambda handler, inputs: handler.send(500, b"")
        visual = Asset._meta.get_field("visual").related_model.embedding_field
        monkeypatch.setattr(visual, "alias", "model")
        found = Asset.objects.search("red", floor=None)
        assert report(found).degraded == ("words",)


def test_checks_need_no_server(site, server):
    call_command("check")
    assert server.requests == []


def test_the_selftest_measures_the_server(site, server, capsys):
    call_command("mmsearch_selftest", "--seconds", "0")
    said = capsys.readouterr().out
    assert "'default': dummy:@#/32" in said
    assert " ms each" in said
    server.respond = lambda handler, inputs: handler.send(503, b"")
    later()
    with pytest.raises(CommandError, match="answered with 503"):
        call_command("mmsearch_selftest", "--seconds", "0")

import pytest

from mmsearch_django.embedders import engines
from mmsearch_django.embedders.http import HttpEmbedder, client
from tests.embedding_server import DIMENSIONS, EmbeddingServer, serving


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    monkeypatch.setattr(engines, "_engines", {})
    monkeypatch.setattr(client, "PAUSE", 0.001)


@pytest.fixture
def server():
    with serving(EmbeddingServer()) as started:
        yield started


@pytest.fixture
def embedder(server):
    """Makes one that asks the server; it has passed its self-test, unless told otherwise."""

    def make(*, tested=True, **options):
        made = HttpEmbedder(
            "remote",
            model="toy",
            options={"url": server.url, "protocol": "infinity", "dimensions": DIMENSIONS, "timeout": 1, **options},
        )
        if tested:
            engines._engines[engines._key(made)] = made.load()
        return made

    return make

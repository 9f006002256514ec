import pytest

from mmsearch_django.embedders.registry import embedders
from mmsearch_django.testing import EmbedderContract
from tests.embedding_server import EmbeddingServer, serving


@pytest.fixture(scope="module", autouse=True)
def served():
    """By the tests' default model."""
    with serving(EmbeddingServer(dimensions=embedders["default"].dimensions)) as server:
        TestContract.config = {
            "BACKEND": "mmsearch_django.embedders.http.HttpEmbedder",
            "OPTIONS": {"url": server.url, "protocol": "infinity", "behind": "default"},
        }
        yield


class TestContract(EmbedderContract):
    tolerance = 1e-5

from tests.indexing.conftest import words  # noqa: F401

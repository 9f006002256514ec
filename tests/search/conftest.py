import pytest

from tests.search.truth import Library


@pytest.fixture
def library(db):
    return Library(260)

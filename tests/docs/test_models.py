"""The page of models is made from what embedders declare, and leaves none out."""

import pytest

from docs import cards
from mmsearch_django.embedders.hub import is_commercial

CARDS = [pytest.param(backend, card, id=card.name) for backend in cards.backends() for card in backend.cards]


@pytest.mark.parametrize("backend", cards.backends(), ids=lambda backend: backend.__name__)
def test_every_embedder_declares_what_it_runs(backend):
    assert vars(backend).get("cards") or backend.runs_any, (
        f"{backend.__name__} needs cards: see mmsearch_django.embedders.cards.Card."
    )


@pytest.mark.parametrize(("backend", "card"), CARDS)
def test_a_card_is_of_an_embedder_that_can_be_made(backend, card):
    embedder = cards.configured(backend, card)
    line = cards.row(card, embedder)
    assert line[0] == card.name
    assert line[2].startswith(str(embedder.dimensions))
    assert set(line[1].split(" and ")) == embedder.modalities
    if embedder.checkpoint is not None and embedder.checkpoint.licence:  # The others' are read from the hub.
        assert card.licence == embedder.checkpoint.licence
        forbidden = {message.id for message in embedder.check()} & {"mmsearch.I001"}
        assert bool(forbidden) is not is_commercial(card.licence)


def test_the_page_has_every_backend_and_model():
    page = cards.page()
    for backend in cards.backends():
        assert f"`{backend.__module__}.{backend.__qualname__}`" in page
        assert all(f"| {card.name} |" in page for card in backend.cards)

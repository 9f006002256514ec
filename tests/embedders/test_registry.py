import pytest

from mmsearch_django.embedders.dummy import DummyEmbedder
from mmsearch_django.embedders.registry import embedders
from mmsearch_django.exceptions import ConfigurationError

DUMMY = "mmsearch_django.embedders.dummy.DummyEmbedder"


def configure(settings, **aliases):
    settings.MMSEARCH = {"EMBEDDERS": aliases}


def test_by_alias(settings):
    configure(settings, small={"BACKEND": DUMMY, "MODEL": "m", "REVISION": "r", "OPTIONS": {"dimensions": 8}})
    embedder = embedders["small"]
    assert isinstance(embedder, DummyEmbedder)
    assert (embedder.alias, embedder.model, embedder.revision, embedder.dimensions) == ("small", "m", "r", 8)
    assert list(embedders) == ["small"]
    assert len(embedders) == 1


def test_made_once_while_its_settings_stay(settings):
    configure(settings, small={"BACKEND": DUMMY})
    first = embedders["small"]
    assert embedders["small"] is first
    configure(settings, small={"BACKEND": DUMMY, "OPTIONS": {"dimensions": 8}})
    assert embedders["small"] is not first
    assert embedders["small"].dimensions == 8


def test_an_unknown_alias_names_the_known_ones(settings):
    configure(settings, small={"BACKEND": DUMMY})
    with pytest.raises(ConfigurationError, match=r"no embedder 'big'.*configured: 'small'"):
        embedders["big"]
    configure(settings)
    with pytest.raises(ConfigurationError, match="configured: none"):
        embedders["big"]


@pytest.mark.parametrize("config", [{}, {"BACKEND": "nowhere.Embedder"}, {"BACKEND": "mmsearch_django.nothing"}])
def test_a_backend_that_cannot_be_imported(settings, config):
    configure(settings, small=config)
    with pytest.raises(ConfigurationError, match=r"\['small'\]\['BACKEND'\] must be the dotted path"):
        embedders["small"]

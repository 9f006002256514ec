"""A site whose web processes ask a worker: the model behind needs a library that they may lack."""

from tests.settings import *  # noqa: F403

MMSEARCH = {
    "QUERY_CACHE": None,
    "EMBEDDERS": {
        "default": {
            "BACKEND": "mmsearch_django.embedders.celery.CeleryEmbedder",
            "OPTIONS": {"behind": "model"},
        },
        "model": {"BACKEND": "tests.serving.RuntimeEmbedder", "OPTIONS": {"dimensions": 32}},
    },
}

"""A site whose files and texts kill what reads them, on servers that go away."""

import os

from tests import settings
from tests.settings import *  # noqa: F403

MMSEARCH = {
    "EMBEDDERS": {
        **settings.MMSEARCH["EMBEDDERS"],
        "default": {"BACKEND": "tests.chaos.deadly.DeadlyEmbedder", "OPTIONS": {"dimensions": 32}},
    },
    "LEASE_SECONDS": int(os.environ.get("CHAOS_LEASE", 3)),
    "WORKERS": int(os.environ.get("CHAOS_WORKERS", 3)),
}
STORAGES = {
    "default": {"BACKEND": "tests.chaos.deadly.FlakyStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
if "CHAOS_CHECKPOINT" in os.environ:
    MMSEARCH["EMBEDDERS"]["default"] = {
        "BACKEND": "tests.embedders.test_sentence_transformers.Tiny",
        "MODEL": os.environ["CHAOS_CHECKPOINT"],
        "OPTIONS": {"dimensions": 32},
    }

"""The tests' models on a site that fails: see tests.chaos.faults. Its database and broker are the drill's own."""

from mmsearch_django.conf import BEAT_SCHEDULE
from tests.settings import *  # noqa: F403
from tests.settings import DATA, MMSEARCH

MEDIA_ROOT = DATA / "media"
STORAGES = {"default": {"BACKEND": "tests.chaos.faults.Storage"}}
EMBEDDER = {"BACKEND": "tests.chaos.faults.Embedder", "OPTIONS": {"dimensions": 32}}
MMSEARCH = {**MMSEARCH, "EMBEDDERS": {"default": EMBEDDER}, "BATCH_SIZE": 8, "LEASE_SECONDS": 2}
CELERY_BROKER_URL = f"redis+socket://{DATA / 'redis.sock'}"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BEAT_SCHEDULE = {
    name: {**entry, "schedule": 1.0, "options": {"expires": 5}} for name, entry in BEAT_SCHEDULE.items()
}
CELERY_WORKER_HIJACK_ROOT_LOGGER = False

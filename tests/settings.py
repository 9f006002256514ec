import os
import tempfile
from pathlib import Path

import dj_database_url

DATA = Path(os.environ.get("TEST_DATA", Path(tempfile.gettempdir()) / f"mmsearch-tests-{os.getuid()}"))
DATA.mkdir(parents=True, exist_ok=True)

if "DATABASE_URL" not in os.environ:
    from example_project.postgres import embedded_url

    os.environ["DATABASE_URL"] = embedded_url(DATA / "postgres")

DATABASES = {"default": dj_database_url.config()}
SECRET_KEY = "tests"
USE_TZ = True
TIME_ZONE = "Europe/Vienna"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "mmsearch_django",
    "tests",
]
MEDIA_ROOT = DATA / "media"
MMSEARCH = {
    "EMBEDDERS": {
        "default": {"BACKEND": "mmsearch_django.embedders.dummy.DummyEmbedder", "OPTIONS": {"dimensions": 32}},
    },
}

"""A site of one model, whose vectors are made up."""

import os
from pathlib import Path

import dj_database_url

DATA = Path(os.environ.get("BENCHMARK_DATA") or Path(__file__).resolve().parent.parent / ".benchmark_data").resolve()
DIMENSIONS = int(os.environ.get("BENCHMARK_DIMENSIONS", "384"))

if not os.environ.get("DATABASE_URL"):
    from example_project.postgres import embedded_url

    DATABASES = {"default": dj_database_url.parse(embedded_url(DATA / "postgres"))}
else:
    DATABASES = {"default": dj_database_url.config()}

INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "mmsearch_django", "benchmarks"]
MIGRATION_MODULES = {"benchmarks": None}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
SECRET_KEY = "benchmarks"
MMSEARCH = {
    "EMBEDDERS": {
        "default": {
            "BACKEND": "mmsearch_django.embedders.dummy.DummyEmbedder",
            "OPTIONS": {"dimensions": DIMENSIONS},
        },
        "starter": {"BACKEND": "mmsearch_django.embedders.starter.StarterEmbedder"},
    },
}

"""Settings of the example project. The environment decides what it stands on:

DATABASE_URL        a Postgres with pgvector; without it one is started from a wheel
CELERY_BROKER_URL   a broker such as redis://localhost; without it a folder serves as one
EXAMPLE_DATA        where database, media, cache and logs are kept (.example_data)
EXAMPLE_DEBUG       1 for Django's debug pages
"""

import os
import secrets
from pathlib import Path

import dj_database_url

from mmsearch_django.conf import BEAT_SCHEDULE

BASE_DIR = Path(__file__).resolve().parent
DATA = Path(os.environ.get("EXAMPLE_DATA") or BASE_DIR.parent / ".example_data").resolve()
for folder in ("media", "cache", "logs", "broker/queue", "broker/control"):
    (DATA / folder).mkdir(parents=True, exist_ok=True)


def made_once(path: Path) -> str:
    """The secret in the file. Whoever comes first makes it."""
    try:
        with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(50))
    except FileExistsError:
        pass
    return path.read_text()


SECRET_KEY = made_once(DATA / "secret_key")
DEBUG = os.environ.get("EXAMPLE_DEBUG") == "1"
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]

# Search

MMSEARCH = {
    "EMBEDDERS": {
        "default": {"BACKEND": "mmsearch_django.embedders.starter.StarterEmbedder"},
    },
    # A demo is stopped at any moment, and what its worker had in hand should not wait for minutes.
    "LEASE_SECONDS": 30,
}

INSTALLED_APPS = [
    "example_project.library",
    "mmsearch_django",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]

# Postgres

if not os.environ.get("DATABASE_URL"):
    from example_project.postgres import embedded_url

    DATABASES = {"default": dj_database_url.parse(embedded_url(DATA / "postgres"))}
else:
    DATABASES = {"default": dj_database_url.config()}

# Celery

CELERY_BROKER_URL = os.environ.get("CELERY_BROKER_URL") or "filesystem://"
if CELERY_BROKER_URL == "filesystem://":
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(DATA / "broker/queue"),
        "data_folder_out": str(DATA / "broker/queue"),
        "control_folder": str(DATA / "broker/control"),
        "polling_interval": 0.2,
    }
CELERY_BEAT_SCHEDULE = {**BEAT_SCHEDULE}
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA / "celerybeat-schedule")
CELERY_WORKER_HIJACK_ROOT_LOGGER = False

# Django's usual

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ROOT_URLCONF = "example_project.urls"
WSGI_APPLICATION = "example_project.wsgi.application"
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
CACHES = {
    "default": {
        # Shared by the site, its worker and commands, so that a query is embedded once.
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
        "LOCATION": DATA / "cache",
        "OPTIONS": {"MAX_ENTRIES": 10_000},
    },
}
REST_FRAMEWORK = {
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.PageNumberPagination",
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.DjangoModelPermissionsOrAnonReadOnly"],
    "DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.ScopedRateThrottle"],
    "DEFAULT_THROTTLE_RATES": {"mmsearch": "60/min"},
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "PAGE_SIZE": 24,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Library",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,  # Files are addresses in answers, and content in requests.
}
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
STATIC_URL = "static/"
MEDIA_URL = "media/"
MEDIA_ROOT = DATA / "media"

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
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
USE_TZ = True
TIME_ZONE = "Europe/Vienna"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "mmsearch_django",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "example_project.library",
    "tests",
]
# The library's own migrations name the dimensions of the starter embedder.
MIGRATION_MODULES = {"library": None}
ROOT_URLCONF = "example_project.urls"
MIDDLEWARE = [
    "tests.policy.strict",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
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
REST_FRAMEWORK = {
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.PageNumberPagination",
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.DjangoModelPermissionsOrAnonReadOnly"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "PAGE_SIZE": 2,
}
SPECTACULAR_SETTINGS = {"SERVE_INCLUDE_SCHEMA": False, "COMPONENT_SPLIT_REQUEST": True}
STATIC_URL = "static/"
MEDIA_URL = "media/"
MEDIA_ROOT = DATA / "media"
MMSEARCH = {
    "WORKERS": int(os.environ.get("TEST_WORKERS", 2)),
    "EMBEDDERS": {
        "default": {"BACKEND": "mmsearch_django.embedders.dummy.DummyEmbedder", "OPTIONS": {"dimensions": 32}},
        "next": {
            "BACKEND": "mmsearch_django.embedders.dummy.DummyEmbedder",
            "MODEL": "next",
            "OPTIONS": {"dimensions": 48},
        },
    },
}

from importlib.util import find_spec

from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate, pre_migrate
from django.utils.translation import gettext_lazy as _


class MmsearchConfig(AppConfig):
    name = "mmsearch_django"
    verbose_name = _("Multimodal search")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from mmsearch_django import checks  # noqa: F401 - registers them
        from mmsearch_django.triggers.receivers import create_extension, install_triggers

        pre_migrate.connect(create_extension, sender=self)
        post_migrate.connect(install_triggers, sender=self)
        if find_spec("celery"):
            from mmsearch_django import tasks

            tasks.connect()
        if apps.is_installed("drf_spectacular"):
            from mmsearch_django.rest_framework import schema  # noqa: F401 - registers itself

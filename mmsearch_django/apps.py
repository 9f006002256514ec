from django.apps import AppConfig


class MmsearchConfig(AppConfig):
    name = "mmsearch_django"
    verbose_name = "Multimodal search"
    default_auto_field = "django.db.models.BigAutoField"

"""Search in Django's admin: ``class AssetAdmin(SearchAdminMixin, admin.ModelAdmin)``."""

from mmsearch_django.admin.filters import IndexingFilter
from mmsearch_django.admin.mixins import SearchAdminMixin

__all__ = ["IndexingFilter", "SearchAdminMixin"]

from django.contrib import admin
from library.models import Asset
from mmsearch_django.admin import IndexingFilter, SearchAdminMixin


@admin.register(Asset)
class AssetAdmin(SearchAdminMixin, admin.ModelAdmin):
    list_display = ["title", "caption"]
    list_filter = [IndexingFilter]
    search_fields = ["file", "title"]

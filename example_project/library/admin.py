from django.contrib import admin

from example_project.library.models import Asset, Collection, Tag
from mmsearch_django.admin import IndexingFilter, SearchAdminMixin


@admin.register(Asset)
class AssetAdmin(SearchAdminMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["title", "kind", "category", "licence", "created_at"]
    list_filter = ["kind", "category", "licence", IndexingFilter, "collections", "tags"]
    search_fields = ["file", "title", "caption"]
    date_hierarchy = "created_at"
    filter_horizontal = ["collections", "tags"]
    mmsearch_judging = True


admin.site.register(Collection, search_fields=["name"])
admin.site.register(Tag, search_fields=["name"])

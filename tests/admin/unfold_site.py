"""The URLs of a site whose admin is django-unfold's."""

from django.urls import path
from unfold.admin import ModelAdmin
from unfold.sites import UnfoldAdminSite

from example_project.library.admin import AssetAdmin as StockAssetAdmin
from example_project.library.models import Asset
from mmsearch_django.admin import IndexingFilter, SearchAdminMixin


class AssetAdmin(SearchAdminMixin, ModelAdmin):
    list_display = StockAssetAdmin.list_display
    list_filter = ["kind", "category", IndexingFilter]
    search_fields = StockAssetAdmin.search_fields


site = UnfoldAdminSite(name="admin")
site.register(Asset, AssetAdmin)
urlpatterns = [path("admin/", site.urls)]

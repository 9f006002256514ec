from typing import Any

from django.contrib import admin
from django.db import models
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from mmsearch_django.indexing import status


class IndexingFilter(admin.SimpleListFilter):
    """How far the indexing of an asset has come: put it into ``list_filter``."""

    title = _("indexing")
    parameter_name = "indexing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("waiting", _("Not indexed yet")), ("failed", _("Failed"))]

    def queryset(self, request: HttpRequest, queryset: "models.QuerySet[Any]") -> "models.QuerySet[Any]":
        if self.value() == "failed":
            return queryset.filter(status.failed(queryset.model))
        if self.value() == "waiting":
            return queryset.filter(status.waiting(queryset.model))
        return queryset

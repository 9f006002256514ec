from typing import Any

from django.contrib import admin
from django.db import models
from django.http import HttpRequest
from django.utils.translation import pgettext_lazy

from mmsearch_django.indexing import status

CONDITIONS = {"waiting": status.waiting, "failed": status.failed}


class IndexingFilter(admin.SimpleListFilter):
    """How far the indexing of an asset has come: put it into ``list_filter``."""

    title = pgettext_lazy("mmsearch", "indexing")
    parameter_name = "indexing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("waiting", pgettext_lazy("mmsearch", "Waiting")), ("failed", pgettext_lazy("mmsearch", "Failed"))]

    def queryset(self, request: HttpRequest, queryset: "models.QuerySet[Any]") -> "models.QuerySet[Any]":
        return self._chosen(queryset, self.value())

    def get_facet_counts(self, pk_attname: str, filtered_qs: "models.QuerySet[Any]") -> dict[str, Any]:
        """By condition alone: Django's own would search once more for each choice."""
        rows = filtered_qs.model._base_manager.all()
        return {
            f"{number}__c": models.Count(pk_attname, filter=models.Q(pk__in=self._chosen(rows, value)))
            for number, (value, _label) in enumerate(self.lookup_choices)
        }

    @staticmethod
    def _chosen(rows: "models.QuerySet[Any]", value: str | None) -> "models.QuerySet[Any]":
        condition = CONDITIONS.get(value or "")
        return rows.filter(condition(rows.model)) if condition else rows

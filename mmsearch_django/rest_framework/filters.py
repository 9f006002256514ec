"""Search as a filter backend: what the view's queryset holds is ranked, in any view that lists."""

from typing import Any

from django.db import models
from rest_framework.filters import BaseFilterBackend
from rest_framework.request import Request

from mmsearch_django.exceptions import EmptyQuery
from mmsearch_django.queryset import search
from mmsearch_django.rest_framework.errors import as_responses
from mmsearch_django.rest_framework.serializers import SearchParameters
from mmsearch_django.search import examples


class SearchFilter(BaseFilterBackend):
    """``?search=a red car&example=...&fields=visual``. Put it after the backends that filter.

    Override ``get_parameters`` to take them from elsewhere, ``get_options`` to fix or limit what can be asked.
    """

    def filter_queryset(self, request: Request, queryset: "models.QuerySet[Any]", view: Any) -> "models.QuerySet[Any]":
        """The queryset, searched if the address asks for it. Raises what ``errors`` describes."""
        asked = self.get_parameters(request, view)
        text, key, avoid = (asked.get(name, "").strip() for name in ("search", "example", "avoid"))
        if not text and not key:
            if avoid:
                with as_responses():
                    raise EmptyQuery("avoid needs something to search for: give search or example.")
            return queryset
        with as_responses():
            image = examples.find(key) if key else None
            return search(queryset, text or None, image=image, avoid=avoid or None, **self.get_options(asked, view))

    def get_parameters(self, request: Request, view: Any) -> dict[str, Any]:
        """The checked parameters. Raises ValidationError with a message for each that is wrong."""
        parameters = SearchParameters(data=request.query_params)
        parameters.is_valid(raise_exception=True)
        checked: dict[str, Any] = parameters.validated_data
        return checked

    def get_options(self, asked: dict[str, Any], view: Any) -> dict[str, Any]:
        """How to search, as arguments of ``search()``."""
        options = {name: asked[name] for name in ("fields", "weights", "min_closeness", "depth") if asked.get(name)}
        return options | ({"floor": None} if asked["nearest"] else {})

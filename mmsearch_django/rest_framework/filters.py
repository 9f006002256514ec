"""Search as a filter backend: what the view's queryset holds is ranked, in any view that lists."""

from typing import Any

from django.db import models
from django.template import loader
from rest_framework.exceptions import ValidationError
from rest_framework.filters import BaseFilterBackend
from rest_framework.request import Request

from mmsearch_django.exceptions import EmptyQuery
from mmsearch_django.queryset import search, similar_to
from mmsearch_django.rest_framework.errors import as_responses
from mmsearch_django.rest_framework.serializers import SearchParameters
from mmsearch_django.search import examples
from mmsearch_django.search.query import MAX_DEPTH

TERMS = ("search", "example", "avoid")
OPTIONS = ("fields", "weights", "min_closeness", "depth")


class SearchFilter(BaseFilterBackend):
    """``?search=a red car&example=...&fields=visual``. Put it after the backends that filter.

    Override ``get_parameters`` to take them from elsewhere, ``get_options`` to fix or limit what can be asked.
    """

    template = "rest_framework/filters/search.html"

    def filter_queryset(self, request: Request, queryset: "models.QuerySet[Any]", view: Any) -> "models.QuerySet[Any]":
        """The queryset, searched if the address asks for it. Raises what ``errors`` describes."""
        asked = self.get_parameters(request, view)
        options = self.get_options(asked, view)
        like = getattr(view, "like", None)
        with as_responses():
            if like is not None:
                _refuse_terms(asked)
                return similar_to(queryset, like, **options)
            text, key, avoid = (asked.get(name, "").strip() for name in TERMS)
            if text or key:
                image = examples.find(key) if key else None
                return search(queryset, text or None, image=image, avoid=avoid or None, **options)
            if avoid:
                raise EmptyQuery("avoid needs something to search for: give search or example.")
        return queryset

    def get_parameters(self, request: Request, view: Any) -> dict[str, Any]:
        """The checked parameters. Raises ValidationError with a message for each that is wrong."""
        parameters = SearchParameters(data=request.query_params)
        parameters.is_valid(raise_exception=True)
        checked: dict[str, Any] = parameters.validated_data
        return checked

    def get_options(self, asked: dict[str, Any], view: Any) -> dict[str, Any]:
        """How to search, as arguments of ``search()``."""
        options = {name: asked[name] for name in OPTIONS if asked.get(name)}
        return options | ({"floor": None} if asked["nearest"] else {})

    # The browsable API and the schema

    def to_html(self, request: Request, queryset: "models.QuerySet[Any]", view: Any) -> str:
        """A box to search by, in the browsable API."""
        term = request.query_params.get("search", "").replace("\0", "")
        return loader.get_template(self.template).render({"param": "search", "term": term})

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """OpenAPI parameters of an operation that is searched."""
        action = getattr(view, "action", None)
        if action == "search":  # They are in the body.
            return []
        names = [*(() if action == "similar" else TERMS), *OPTIONS, "nearest"]
        return [{"name": name, "in": "query", "required": False, **PARAMETERS[name]} for name in names]


def _refuse_terms(asked: dict[str, Any]) -> None:
    given = [name for name in TERMS if asked.get(name)]
    if given:
        raise ValidationError({name: ["similar/ ranks by the object alone: leave this out."] for name in given})


_text = {"type": "string", "maxLength": 1000}
PARAMETERS: dict[str, dict[str, Any]] = {
    "search": {"description": "A text to search by.", "schema": _text},
    "example": {
        "description": "The key of a picture to search by, as a POST to search/ answered it.",
        "schema": {"type": "string", "maxLength": 200},
    },
    "avoid": {"description": "A text to turn away from. It excludes nothing.", "schema": _text},
    "fields": {
        "description": "The embedding fields to ask, with commas; default: all that can answer.",
        "schema": {"type": "array", "items": {"type": "string"}},
        "style": "form",
        "explode": False,
    },
    "weights": {
        "description": "Weights of fields in the fusion, 1 where not named: `visual:1,words:0.5`.",
        "schema": {"type": "string", "pattern": r"^\w+:[0-9.]+(,\w+:[0-9.]+)*$"},
    },
    "min_closeness": {
        "description": "Leave out what is less close than this.",
        "schema": {"type": "number", "minimum": 0, "maximum": 1},
    },
    "depth": {
        "description": "How many rows each field ranks, and so how many can be found at all.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_DEPTH},
    },
    "nearest": {
        "description": "Show the nearest even where nothing is close enough.",
        "schema": {"type": "boolean", "default": False},
    },
}

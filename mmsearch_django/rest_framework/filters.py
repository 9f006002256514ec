"""Search as a filter backend: what the view's queryset holds is ranked, in any view that lists."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import models
from django.http import QueryDict
from django.template import loader
from rest_framework.exceptions import ValidationError
from rest_framework.filters import BaseFilterBackend
from rest_framework.request import Request, clone_request

from mmsearch_django.exceptions import EmptyQuery
from mmsearch_django.queryset import search
from mmsearch_django.rest_framework.errors import as_responses
from mmsearch_django.rest_framework.serializers import MAX_TEXT, SearchParameters
from mmsearch_django.search import examples
from mmsearch_django.search.query import MAX_DEPTH
from mmsearch_django.search.terms import MAX_TERMS

TERMS = ("search", "example", "like", "avoid", "avoid_example", "unlike")
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
        with as_responses():
            if getattr(view, "like", None) is not None:
                _refuse_terms(asked)
                return search(queryset, like=view.like, **options)
            plus, minus = self.get_terms(asked, view)
            if any(plus.values()):
                return search(queryset, **plus, avoid=minus, **options)
            if minus:
                raise EmptyQuery("What to avoid needs something to search for: give search, example or like.")
        return queryset

    def get_parameters(self, request: Request, view: Any) -> dict[str, Any]:
        """The checked parameters. Raises ValidationError with a message for each that is wrong."""
        parameters = SearchParameters(data=request.query_params)
        parameters.is_valid(raise_exception=True)
        checked: dict[str, Any] = parameters.validated_data
        return checked

    def get_terms(self, asked: dict[str, Any], view: Any) -> tuple[dict[str, Any], list[Any]]:
        """What to be near to, as arguments of ``search()``, and what to turn away from."""
        plus = {
            "text": asked.get("search", "").strip() or None,
            "image": [examples.find(key) for key in asked.get("example", [])],
            "like": list(visible(view, asked, "like")),
        }
        minus = [text] if (text := asked.get("avoid", "").strip()) else []
        minus += [examples.find(key) for key in asked.get("avoid_example", [])]
        return plus, [*minus, *visible(view, asked, "unlike")]

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


def visible(view: Any, asked: dict[str, Any], parameter: str) -> Iterator[models.Model]:
    """The objects that a parameter names. Raises ValidationError for what is not there or not to be seen.

    What the address filters is meant for what is found; what the view hides cannot be asked by either.
    """
    keys = asked.get(parameter, [])
    if not keys:
        return
    with asking(view, request_at(view.request, view.request.path, QueryDict())):
        rows = view.filter_queryset(view.get_queryset())
    for key in keys:
        try:
            obj = rows.filter(pk=key).first()
        except (ValueError, DjangoValidationError):
            obj = None
        if obj is None:
            raise ValidationError({parameter: [f"There is no {key!r}, or not for you to see."]})
        yield obj


@contextmanager
def asking(view: Any, request: Request) -> Iterator[None]:
    """Let the view answer another request for a while."""
    asked = view.request
    view.request = request
    try:
        yield
    finally:
        view.request = asked


def request_at(request: Request, path: str, query: QueryDict) -> Request:
    """The same person's GET of another address of this site."""
    http: Any = copy(request._request)
    http.method, http.path, http.GET = "GET", path, query
    http.META = {**http.META, "REQUEST_METHOD": "GET", "QUERY_STRING": query.urlencode()}
    clone = clone_request(request, "GET")
    clone._request = http
    return clone


def _refuse_terms(asked: dict[str, Any]) -> None:
    given = [name for name in TERMS if asked.get(name)]
    if given:
        raise ValidationError({name: ["similar/ ranks by the object alone: leave this out."] for name in given})


_text = {"type": "string", "maxLength": MAX_TEXT}
_names = {"schema": {"type": "array", "items": {"type": "string"}}, "style": "form", "explode": False}
_keys = {**_names, "schema": {"type": "array", "items": {"type": "string"}, "maxItems": MAX_TERMS}}
PARAMETERS: dict[str, dict[str, Any]] = {
    "search": {"description": "A text to search by.", "schema": _text},
    "example": {
        "description": "Keys of pictures to search by, as a POST to search/ answered them.",
        **_keys,
    },
    "like": {"description": "Keys of rows to be near to; they are not found themselves.", **_keys},
    "avoid": {"description": "A text to turn away from. It excludes nothing.", "schema": _text},
    "avoid_example": {"description": "Keys of pictures to turn away from.", **_keys},
    "unlike": {"description": "Keys of rows to turn away from; they are not found themselves.", **_keys},
    "fields": {
        "description": "The embedding fields to ask, with commas; default: all that can answer.",
        **_names,
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

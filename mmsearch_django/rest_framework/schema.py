"""OpenAPI of searched viewsets, for drf-spectacular; loaded where it is installed as an app."""

from typing import TYPE_CHECKING, Any

from drf_spectacular.extensions import OpenApiSerializerFieldExtension, OpenApiViewExtension
from drf_spectacular.plumbing import ResolvedComponent, get_doc
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse

from mmsearch_django.rest_framework.judging import JudgementSerializer, JudgeViewSetMixin
from mmsearch_django.rest_framework.mixins import SearchViewSetMixin
from mmsearch_django.rest_framework.serializers import PictureSearch, ReportSerializer, TextSearch

if TYPE_CHECKING:
    from drf_spectacular.openapi import AutoSchema

    class Base(AutoSchema):
        view: Any
else:
    Base = object

Schema = dict[str, Any]

ERRORS_OF = {"list": (400, 503), "search": (400, 413, 415, 503), "similar": (400, 404, 409)}
"""Statuses by action; the actions are those that search."""
ERRORS = {
    400: ("A parameter is wrong; the body names it.", {"weights": ["The weight of 'words' must be 0 or more."]}),
    404: ("There is no such object, or not for you to see.", {"detail": "Not found."}),
    409: ("The object has no vector yet.", {"detail": "library.Asset 7 has no vector yet in visual."}),
    413: ("The picture has too many bytes or pixels.", {"detail": "photo.jpg has more than 178,956,970 pixels."}),
    415: ("The file is no picture that can be read.", {"detail": "letter.png is no picture."}),
    503: (
        "No embedder can answer now; Retry-After says when to come back.",
        {"detail": "Search by meaning is not available now."},
    ),
}
MESSAGE = {
    "message": {"type": "string", "description": "Why nothing was found, in words; empty if something was."},
    "nearest": {"type": "string", "format": "uri", "nullable": True, "description": "Shows the nearest anyway."},
}
ANSWER = {
    "example": {"type": "string", "nullable": True, "description": "The key of the picture that was searched by."},
    "examples": {"type": "array", "items": {"type": "string"}, "description": "The keys of all, if they are several."},
    "address": {"type": "string", "format": "uri", "description": "The plain GET that answers the same."},
}
REQUESTS = [
    OpenApiExample("By a text", {"text": "a red car", "fields": ["visual"], "min_closeness": 0.5}, request_only=True),
    OpenApiExample(
        "By a part of a kept picture", {"example": ["7:kJx0v"], "crop": [0.1, 0.2, 0.6, 0.9]}, request_only=True
    ),
]
FOUND: dict[str, Any] = {
    "count": 1,
    "next": None,
    "previous": None,
    "results": [
        {"score": 0.98, "closeness": 0.83, "match": {"visual": {"rank": 1, "similarity": 0.34, "closeness": 0.83}}}
    ],
    "report": {
        "legs": {"visual": "exact"},
        "candidates": 155,
        "pending": 0,
        "noise": 118,
        "complete": True,
        "degraded": [],
        "milliseconds": 2.7,
        "message": "",
        "nearest": None,
    },
    "example": "7:kJx0v",
    "examples": ["7:kJx0v"],
    "address": "https://example.org/api/assets/?example=7%3AkJx0v",
}
"""Every property that an answer of ours may have; the site's own fields of a row are not known here."""


class SearchViewSetExtension(OpenApiViewExtension):  # type: ignore[no-untyped-call]
    target_class = "mmsearch_django.rest_framework.mixins.SearchViewSetMixin"
    match_subclasses = True

    def view_replacement(self) -> Any:
        view: Any = self.target
        # A viewset with both mixins matches one extension only.
        ours = [schema for mixin, schema in SCHEMAS.items() if issubclass(view, mixin)]
        schema = type("SearchSchema", (*ours, type(view.schema)), {})
        return type(view.__name__, (view,), {"schema": schema()})


class JudgeViewSetExtension(SearchViewSetExtension):  # type: ignore[no-untyped-call]
    target_class = "mmsearch_django.rest_framework.judging.JudgeViewSetMixin"


class PictureFieldExtension(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    """Without it a file is an address, unless COMPONENT_SPLIT_REQUEST is set."""

    target_class = "mmsearch_django.rest_framework.serializers.PictureField"

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> Schema:
        return {"type": "string", "format": "binary"}


class SearchSchemaMixin(Base):
    """Adds to the site's own schema class what searches take and answer."""

    @property
    def searched(self) -> bool:
        return self.view.action in ERRORS_OF

    def get_operation_id(self) -> str:
        name = super().get_operation_id()
        # Else they are called after their methods: search_create, similar_retrieve.
        return name.rpartition("_")[0] if self.view.action in ("search", "similar") else name

    def get_description(self) -> str:  # type: ignore[override]
        if self.view.action == "list":
            return "The rows; with search or example those that match best, best first."
        description = super().get_description()
        # What is written there is for whoever writes the view.
        return "" if description == get_doc(SearchViewSetMixin) else description

    def get_filter_backends(self) -> list[Any]:
        return list(self.view.filter_backends) if self.searched else super().get_filter_backends()

    def get_request_serializer(self) -> Any:
        if self.view.action != "search":
            return super().get_request_serializer()
        return {"application/json": TextSearch, "multipart/form-data": PictureSearch}

    def get_response_serializers(self) -> Any:
        if not self.searched:
            return super().get_response_serializers()
        # What 200 holds depends on the paginator: see get_operation.
        return {200: {"type": "object"}, **{code: _error(code) for code in ERRORS_OF[self.view.action]}}

    def get_override_parameters(self) -> Any:
        parameters = list(super().get_override_parameters())
        if self.view.action == "search":
            parameters.append(_header("Content-Location", "The address of the same results.", 200))
        if 503 in ERRORS_OF.get(self.view.action, ()):
            parameters.append(_header("Retry-After", "Seconds until it is worth asking again.", 503))
        return parameters

    def get_examples(self) -> list[OpenApiExample]:
        examples = list(super().get_examples())
        return examples + REQUESTS if self.view.action == "search" else examples

    def get_operation(self, *args: Any, **kwargs: Any) -> Schema | None:
        operation = super().get_operation(*args, **kwargs)
        if operation is None or not self.searched:
            return operation
        for answer in operation["responses"]["200"]["content"].values():
            answer |= self._found()
        if self.view.action == "similar" and self.view.paginator:
            operation["parameters"] += self.view.paginator.get_schema_operation_parameters(self.view)
        return operation

    def _found(self) -> Schema:
        """Rows; where they are paged, with a report; what a POST answers names its address, too."""
        row = self.resolve_serializer(_row_serializer(self.view), "response")
        rows = {"type": "array", "items": row.ref}
        paginator, posted = self.view.paginator, self.view.action == "search"
        if not (paginator or posted):
            return {"schema": rows}
        page = paginator.get_paginated_response_schema(rows) if paginator else {"properties": {"results": rows}}
        properties = {
            **page["properties"],
            **({"report": self._report()} if paginator else {}),
            **(ANSWER if posted else {}),
        }
        component = ResolvedComponent(  # type: ignore[no-untyped-call]
            name=f"{'' if paginator else 'Unpaged'}{row.name}{'Answer' if posted else 'Page'}",
            type=ResolvedComponent.SCHEMA,
            schema={**page, "type": "object", "properties": properties},
            object=(type(self.view), posted),
        )
        self.registry.register_on_missing(component)
        example = {name: value for name, value in FOUND.items() if name in properties}
        return {"schema": component.ref, "examples": {"Found": {"value": example}}}

    def _report(self) -> Schema:
        report = self.resolve_serializer(ReportSerializer(), "response").ref
        return {
            "allOf": [report, {"type": "object", "properties": MESSAGE}],
            "description": "How the search was answered; left out where nothing was searched for.",
        }


class JudgeSchemaMixin(Base):
    """Adds what ``judge/`` takes and answers."""

    def get_operation_id(self) -> str:
        name = super().get_operation_id()
        return name.rpartition("_")[0] if self.view.action == "judge" else name

    def get_description(self) -> str:  # type: ignore[override]
        description = super().get_description()
        return "" if description == get_doc(JudgeViewSetMixin) else description

    def get_request_serializer(self) -> Any:
        return JudgementSerializer if self.view.action == "judge" else super().get_request_serializer()

    def get_response_serializers(self) -> Any:
        if self.view.action != "judge":
            return super().get_response_serializers()
        return {200: JudgementSerializer, **{code: _error(code) for code in (400, 404)}}


SCHEMAS: dict[type, type] = {SearchViewSetMixin: SearchSchemaMixin, JudgeViewSetMixin: JudgeSchemaMixin}
"""By mixin of a viewset what describes it."""


def _row_serializer(view: Any) -> Any:
    """What lists rows: a POST is answered as a list."""
    asked = view.action
    view.action = "list" if asked == "search" else asked
    try:
        return view.get_serializer_class()(context={"view": view, "request": view.request})
    finally:
        view.action = asked


def _error(code: int) -> OpenApiResponse:
    description, example = ERRORS[code]
    # A body that cannot be parsed has a detail, too.
    schema: Schema = {"type": "object", "properties": {"detail": {"type": "string"}}}
    if code == 400:
        schema["additionalProperties"] = {"type": "array", "items": {"type": "string"}}
    return OpenApiResponse(schema, description, [OpenApiExample(str(code), example)])


def _header(name: str, description: str, code: int) -> OpenApiParameter:
    return OpenApiParameter(name, str, OpenApiParameter.HEADER, description=description, response=[code])

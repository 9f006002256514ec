"""Search for a viewset: by a posted picture, and by an object's own vectors."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django.db import models
from django.http import QueryDict
from django.utils.translation import gettext as _
from rest_framework.decorators import action
from rest_framework.request import Request, clone_request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from mmsearch_django.queryset import report
from mmsearch_django.rest_framework.errors import as_responses
from mmsearch_django.rest_framework.filters import asking, request_at
from mmsearch_django.rest_framework.serializers import PictureSearch, ReportSerializer
from mmsearch_django.search import examples

if TYPE_CHECKING:
    from rest_framework.mixins import ListModelMixin
    from rest_framework.viewsets import GenericViewSet

    class Base(ListModelMixin, GenericViewSet[Any]): ...
else:
    Base = object


class SearchViewSetMixin(Base):
    """Adds ``POST search/`` and ``GET <pk>/similar/`` to a viewset that lists with ``SearchFilter``.

    The view's own queryset, permissions, filters, pagination, versioning and throttles decide; ``throttle_scope`` of
    the picture search is ``mmsearch``: with ScopedRateThrottle, set a rate for it. Pages of a search carry a
    ``report``: how it was answered, and in words why nothing was found.
    """

    throttle_scope: str | None = None
    like: models.Model | None = None
    """The object that ``similar/`` ranks by."""
    report: dict[str, Any] | None = None
    """How the search of this request was answered."""

    @action(detail=False, methods=["post"], url_path="search", throttle_scope="mmsearch")
    def search(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Search by a text, a picture, or both; the address's own filters hold.

        Answers the first page of the plain GET whose address is in ``address`` and in ``Content-Location``: it can be
        kept, and ``next`` leads on from it. A picture is kept for a while; ``example`` is the key that stands for it.
        """
        asked = PictureSearch(data=request.data)
        asked.is_valid(raise_exception=True)
        query = request.query_params.copy()
        for name, values in (asked.as_query() | self.keep_pictures(asked.validated_data)).items():
            query.setlist(name, values)
        with self._as_list(query):
            address = self.request.build_absolute_uri()
            found = self.list(self.request, *args, **kwargs)
        body = found.data if isinstance(found.data, dict) else {"results": found.data}
        keys = query.getlist("example")
        body |= {"example": keys[0] if keys else None, "examples": keys, "address": address}
        return Response(body, headers={"Content-Location": address})

    def keep_pictures(self, asked: dict[str, Any]) -> dict[str, list[str]]:
        """The keys of all pictures that a POST asks by, those of old and those it brought."""
        model = self.get_queryset().model
        crop = asked.get("crop")
        keys = {}
        with as_responses():
            for parameter, uploads in {"example": "image", "avoid_example": "avoid_image"}.items():
                box = crop if parameter == "example" else None
                pictures = [examples.find(key) for key in asked.get(parameter, [])] + asked.get(uploads, [])
                keys[parameter] = [examples.key_of(examples.keep(model, each, box)) for each in pictures]
        return {parameter: kept for parameter, kept in keys.items() if kept}

    @action(detail=True, methods=["get"])
    def similar(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """What is nearest to this object, without it."""
        self.like = self.get_object()
        return self.list(request)

    def check_permissions(self, request: Request) -> None:
        """To search is to read, though a picture has to be posted: who may list may search."""
        super().check_permissions(clone_request(request, "GET") if self.action == "search" else request)

    def filter_queryset(self, queryset: "models.QuerySet[Any]") -> "models.QuerySet[Any]":
        if self.action != "similar" or self.like is not None:
            return super().filter_queryset(queryset)
        # The object to find more of is looked up: what the address filters is meant for what is found.
        with asking(self, request_at(self.request, self.request.path, QueryDict())):
            return super().filter_queryset(queryset)

    def paginate_queryset(self, queryset: Any) -> Any:
        page = super().paginate_queryset(queryset)
        if page is not None:
            self.report = self.get_report(queryset, page)
        return page

    def get_paginated_response(self, data: Any) -> Response:
        response = super().get_paginated_response(data)
        if self.report is not None and isinstance(response.data, dict):
            response.data["report"] = self.report
        return response

    def get_report(self, queryset: "models.QuerySet[Any]", page: Any) -> dict[str, Any] | None:
        """What a page of a search says about the search; None if nothing was searched for."""
        answered = report(queryset, page)
        if answered is None:
            return None
        message, nearest = "", None
        if not page and answered.noise:
            message = _("Nothing is close enough.")
            nearest = replace_query_param(self.request.build_absolute_uri(), "nearest", "true")
        elif not page:
            message = _("Nothing passes the filters.")
        serializer = ReportSerializer(answered)
        return {**serializer.data, "message": message, "nearest": nearest}

    # A POST is answered by the GET of the address that it leads to.

    @contextmanager
    def _as_list(self, query: QueryDict) -> Iterator[None]:
        address = self.reverse_action("list", kwargs=self.kwargs)
        # Versioning by query parameter writes the version into addresses that it reverses.
        for name, value in QueryDict(urlsplit(address).query).lists():
            query.setlistdefault(name, value)
        asked = self.action
        self.action = "list"
        try:
            with asking(self, request_at(self.request, urlsplit(address).path, query)):
                yield
        finally:
            self.action = asked

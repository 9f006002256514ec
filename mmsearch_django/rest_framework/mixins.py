"""Search for a viewset: by a posted picture, and by an object's own vectors."""

from typing import Any
from urllib.parse import urlencode

from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request, clone_request
from rest_framework.response import Response

from mmsearch_django.queryset import similar_to
from mmsearch_django.rest_framework.errors import as_responses
from mmsearch_django.rest_framework.serializers import SearchRequest
from mmsearch_django.search import examples


class SearchViewSetMixin:
    """Adds ``POST search/`` and ``GET <pk>/similar/`` to a viewset that lists with ``SearchFilter``.

    The view's own queryset, permissions, filters, pagination and throttles decide; ``throttle_scope`` of the picture
    search is ``mmsearch``: with ScopedRateThrottle, set a rate for it.
    """

    throttle_scope: str | None = None

    def check_permissions(self, request: Request) -> None:
        """To search is to read, though a picture has to be posted: who may list may search."""
        view: Any = super()
        view.check_permissions(clone_request(request, "GET") if self.action == "search" else request)  # type: ignore[attr-defined]

    @action(detail=False, methods=["post"], url_path="search", throttle_scope="mmsearch")
    def search(self, request: Request) -> Response:
        """Answers 303 with the address of the results, which is a plain GET: it can be paged and kept.

        A picture is kept for a while; ``example`` in the body and in the address is its key.
        """
        asked = SearchRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        parameters = {**request.query_params.dict(), **_flat(asked.validated_data)}
        if upload := asked.validated_data.get("image"):
            with as_responses():
                kept = examples.keep(self.get_queryset().model, upload)  # type: ignore[attr-defined]
            parameters["example"] = examples.key_of(kept)
        address = f"{self.reverse_action('list')}?{urlencode(parameters)}"  # type: ignore[attr-defined]
        body = {"example": parameters.get("example"), "results": address}
        return Response(body, status=status.HTTP_303_SEE_OTHER, headers={"Location": address})

    @action(detail=True, methods=["get"])
    def similar(self, request: Request, **kwargs: Any) -> Response:
        """What is nearest to this object, without it."""
        view: Any = self
        obj = view.get_object()
        with as_responses():
            found = similar_to(view.filter_queryset(view.get_queryset()), obj)
        page = view.paginate_queryset(found)
        serializer = view.get_serializer(found if page is None else page, many=True)
        return Response(serializer.data) if page is None else view.get_paginated_response(serializer.data)


def _flat(asked: dict[str, Any]) -> dict[str, str]:
    """Parameters as an address holds them."""
    flat: dict[str, str] = {}
    for name in ("search", "example", "avoid", "min_closeness", "depth"):
        if name in asked:
            flat[name] = str(asked[name])
    if asked["nearest"]:
        flat["nearest"] = "true"
    if "fields" in asked:
        flat["fields"] = ",".join(asked["fields"])
    if "weights" in asked:
        flat["weights"] = ",".join(f"{name}:{weight!r}" for name, weight in asked["weights"].items())
    return flat

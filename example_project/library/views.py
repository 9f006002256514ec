from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from django.core.files.storage import default_storage
from django.core.paginator import Page, Paginator
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from example_project.library.forms import PictureForm, SearchForm
from example_project.library.models import Asset
from mmsearch_django.exceptions import EmbedderError, ExampleGone, MmsearchError, QueryError
from mmsearch_django.media import thumbnails
from mmsearch_django.search import examples

PAGE = 24
SHOWN_IN_PLACE = ("image/jpeg", "image/png", "image/webp", "image/gif", "image/avif", "video/", "audio/")


def search(request: HttpRequest) -> HttpResponse:
    """The page for everybody. A picture is posted, kept, and then part of the address like all else."""
    picture_form = PictureForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and picture_form.is_valid():
        try:
            key = examples.key_of(examples.keep(Asset, picture_form.cleaned_data["upload"]))
        except QueryError as error:
            picture_form.add_error("upload", str(error))
        else:
            kept = {name: value for name, value in request.GET.items() if name not in ("q", "like", "nearest", "page")}
            return redirect(f"{request.path}?{urlencode({**kept, 'picture': key})}")
    form = SearchForm(request.GET)
    context: dict[str, Any] = {"form": form, "picture_form": picture_form}
    status = HTTPStatus.BAD_REQUEST if picture_form.errors or not form.is_valid() else HTTPStatus.OK
    if form.is_valid():
        try:
            context |= {"page": found(form, request.GET.get("page"))}
        except MmsearchError as error:
            form.add_error(None, str(error))
            away = isinstance(error, EmbedderError)
            status = HTTPStatus.SERVICE_UNAVAILABLE if away else HTTPStatus.BAD_REQUEST
    return render(request, "library/search.html", context, status=status)


def found(form: SearchForm, number: str | None) -> Page[Asset]:
    return Paginator(form.results(), PAGE).get_page(number)


@require_safe
def thumbnail(request: HttpRequest, pk: int, version: str) -> HttpResponse:
    return thumbnails.response(get_object_or_404(Asset, pk=pk).file, version, private=False)


@require_safe
@cache_control(private=True, max_age=3600)
def example(request: HttpRequest, key: str) -> HttpResponse:
    """What a picture or sketch that is searched by looks like. Only its signed key finds it."""
    try:
        kept = examples.find(key)
    except ExampleGone as error:
        raise Http404(str(error)) from error
    return HttpResponse(bytes(kept.picture), content_type="image/webp")


@require_safe
def original(request: HttpRequest, name: str) -> FileResponse:
    """An asset's file. What a browser could run as a page of this site is only offered to be saved."""
    if not Asset.objects.filter(file=name).exists():
        raise Http404
    try:
        response = FileResponse(default_storage.open(name))
    except OSError as error:
        raise Http404 from error
    if not response.headers["Content-Type"].startswith(SHOWN_IN_PLACE):
        response.headers["Content-Disposition"] = "attachment"
    return response

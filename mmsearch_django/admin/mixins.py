"""What a ModelAdmin gains: one box that finds by meaning and by words, pictures to search by, and the state of rows."""

from typing import TYPE_CHECKING, Any, Literal

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext, pgettext, pgettext_lazy

from mmsearch_django.admin.asked import EXAMPLE_VAR, with_picture
from mmsearch_django.admin.changelist import SearchChangeList, searching
from mmsearch_django.admin.columns import Match
from mmsearch_django.admin.errors import in_words
from mmsearch_django.admin.judging import JudgingAdminMixin
from mmsearch_django.exceptions import MmsearchError, QueryError
from mmsearch_django.fields import embedding_fields
from mmsearch_django.indexing import renewal
from mmsearch_django.indexing.targets import target
from mmsearch_django.media import thumbnails
from mmsearch_django.search import examples
from mmsearch_django.signals import marked

if TYPE_CHECKING:
    Base = admin.ModelAdmin[Any]
else:
    Base = object


class SearchAdminMixin(JudgingAdminMixin, Base):
    """Put it before ``admin.ModelAdmin``. ``search_fields``, ``list_filter``, permissions and actions work as ever."""

    change_list_template = "admin/mmsearch/change_list.html"
    actions = ["retry_indexing"]
    mmsearch_thumbnail: str | None = None
    """The file field that pictures are shown of; None takes the one of the first picture field, "" shows none."""
    mmsearch_view: Literal["list", "grid"] = "list"
    """How the list is shown to those who have not chosen."""

    @property
    def media(self) -> Any:
        from django.forms import Media

        return super().media + Media(
            css={"all": ["mmsearch/admin.css"]}, js=["mmsearch/pictures.js", "mmsearch/crop.js"]
        )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[SearchChangeList]:
        return searching(super().get_changelist(request, **kwargs))

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist = super().get_changelist_instance(request)
        request.mmsearch_changelist = changelist  # type: ignore[attr-defined]
        return changelist

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """The site's own columns; after the first what it looks like, why it was found, and how far it is indexed."""
        first, *others = super().get_list_display(request)
        picture = ["mmsearch_picture"] if self.thumbnail_field else []
        # The link to the object stays with the site's first column.
        return [first, *picture, Match(request), "mmsearch_state", *others]

    # Columns

    @property
    def thumbnail_field(self) -> str | None:
        if self.mmsearch_thumbnail is not None:
            return self.mmsearch_thumbnail or None
        pictures = (f for f in embedding_fields(self.model).values() if f.source.modality == "image")
        return next((f.source.columns(f.model)[0].name for f in pictures), None)

    @admin.display(description=pgettext_lazy("mmsearch", "picture"))
    def mmsearch_picture(self, obj: Any) -> SafeString | str:
        file = getattr(obj, self.thumbnail_field or "", None)
        if not file:
            return ""
        return format_html(
            '<img class="mmsearch-picture" src="{}" alt="{}" loading="lazy">',
            self._url("thumbnail", obj.pk, thumbnails.version(file)),
            str(obj),
        )

    @admin.display(description=pgettext_lazy("mmsearch", "state"))
    def mmsearch_state(self, obj: Any) -> SafeString | str:
        states = getattr(obj, "mmsearch_states", [])
        if failed := [state for state in states if state.status == "failed"]:
            reasons = format_html_join("", ' <span title="{}: {}">{}</span>', (
                (state.field, state.error_class, state.message) for state in failed
            ))  # fmt: skip
            return format_html(
                '<span class="mmsearch-failed"><b>{}</b>{}</span>', pgettext("mmsearch", "failed"), reasons
            )
        if any(state.status == "pending" for state in states):
            return format_html('<span class="mmsearch-waiting">{}</span>', pgettext("mmsearch", "waiting"))
        ready = any(state.status == "ready" for state in states)
        return pgettext("mmsearch", "indexed") if ready else pgettext("mmsearch", "skipped")

    # Actions

    @admin.action(description=_("Index selected %(verbose_name_plural)s again"), permissions=["change"])
    def retry_indexing(self, request: HttpRequest, queryset: "models.QuerySet[Any]") -> None:
        keys = [str(key) for key in queryset.values_list("pk", flat=True)]
        for field in embedding_fields(self.model).values():
            renewal.retry(target(field, queryset.db), keys)
        marked.send(sender=self.model, using=queryset.db)
        told = ngettext("%d item will be indexed again.", "%d items will be indexed again.", len(keys))
        self.message_user(request, told % len(keys), messages.SUCCESS)

    # Views

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        ours = [
            path("mmsearch-example/", wrap(self.example_view), name=self._name("example")),
            path(
                "mmsearch-thumbnail/<path:pk>/<str:version>/",
                wrap(self.thumbnail_view, cacheable=True),
                name=self._name("thumbnail"),
            ),
        ]
        return [*ours, *super().get_urls()]

    def example_view(self, request: HttpRequest) -> HttpResponse:
        """Keeps a posted picture and goes to what it finds; or shows the thumbnail of one that is kept."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return self._kept_picture(request)
        query: QueryDict = request.GET
        upload = request.FILES.get("picture")
        if upload or "part_of" in request.POST:
            try:
                query = with_picture(request.GET, self.model, request.POST, upload)
            except MmsearchError as error:
                self.message_user(request, in_words(error), messages.ERROR)
        else:
            self.message_user(request, _("Choose a picture to search by."), messages.WARNING)
        opts = self.model._meta
        listed = reverse(f"admin:{opts.app_label}_{opts.model_name}_changelist", current_app=self.admin_site.name)
        return HttpResponseRedirect(f"{listed}?{query.urlencode()}")

    def _kept_picture(self, request: HttpRequest) -> HttpResponse:
        try:
            example = examples.find(request.GET.get(EXAMPLE_VAR, ""))
        except QueryError as error:
            raise Http404(str(error)) from error
        return HttpResponse(bytes(example.picture), content_type="image/webp")

    def thumbnail_view(self, request: HttpRequest, pk: str, version: str) -> HttpResponse:
        obj = self.get_object(request, pk)
        if obj is None or not self.has_view_or_change_permission(request, obj):
            raise Http404
        return thumbnails.response(getattr(obj, self.thumbnail_field or "", None), version, private=True)

    def _name(self, view: str) -> str:
        return f"{self.model._meta.app_label}_{self.model._meta.model_name}_mmsearch_{view}"

    def _url(self, view: str, *arguments: Any) -> str:
        return reverse(f"admin:{self._name(view)}", args=arguments, current_app=self.admin_site.name)

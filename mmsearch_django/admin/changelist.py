"""The change list of a search: Django's own, with the rows ranked, and what a page says about them."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from django.contrib.admin.views.main import ORDER_VAR, PAGE_VAR, SEARCH_VAR, ChangeList
from django.db import models
from django.http import HttpRequest
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, pgettext_lazy

from mmsearch_django.admin import asked
from mmsearch_django.admin.asked import Asked
from mmsearch_django.admin.errors import in_words
from mmsearch_django.exceptions import EmbedderError, MmsearchError
from mmsearch_django.fields import searched_fields
from mmsearch_django.indexing import status
from mmsearch_django.models import Example
from mmsearch_django.queryset import report, search
from mmsearch_django.search import hits
from mmsearch_django.search.query import MAX_DEPTH
from mmsearch_django.search.report import Report

VIEW_VAR = "view"
# Short words have a context, since the catalogues of all apps are one: a site's own "list" may be another.
VIEWS = {"list": pgettext_lazy("mmsearch", "List"), "grid": pgettext_lazy("mmsearch", "Grid")}


@dataclass(frozen=True)
class Chip:
    """A picture or a row that is asked by, as the page shows it."""

    minus: bool
    label: str
    picture: SafeString | str
    key: str
    """Of a picture that was posted; empty of a row."""
    without_url: str


class SearchChangeList(ChangeList):
    """Ranks by meaning what Django has filtered. Without a question it is Django's own list."""

    model_admin: Any

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        found: dict[str, Any] = super().get_filters_params(params)
        return {name: value for name, value in found.items() if name not in (*asked.OUR_VARS, VIEW_VAR)}

    @cached_property
    def asked(self) -> Asked:
        return asked.read(self.request.GET, lambda key: self.model_admin.get_object(self.request, key))

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> "models.QuerySet[Any]":
        self.request = request
        if not self.asked:
            return super().get_queryset(request, exclude_parameters)
        term, self.query = self.query, ""  # Django filters and sorts; the text is ours.
        try:
            rows = super().get_queryset(request, exclude_parameters)
        finally:
            self.query = term
        try:
            found = self._ranked(rows)
        except MmsearchError as error:
            return self._unranked(request, exclude_parameters, rows, error)
        if ORDER_VAR in self.params:
            found = found.order_by(*rows.query.order_by)
        if "queryset" in vars(self):  # Counts beside filters ask again, most of them for the same rows.
            hits.share_window(found, self.queryset)
        return found

    def _ranked(self, rows: "models.QuerySet[Any]") -> "models.QuerySet[Any]":
        return search(rows, keywords=self._keywords(), **self.asked.options)

    def _keywords(self) -> models.Q | None:
        """The rows that the ModelAdmin's own search finds."""
        if not (self.asked.text and self.search_fields):
            return None
        admin = self.model_admin
        named, _may_repeat = admin.get_search_results(self.request, admin.get_queryset(self.request), self.asked.text)
        return models.Q(pk__in=named.order_by().values("pk"))

    def _unranked(
        self, request: HttpRequest, exclude_parameters: Any, rows: "models.QuerySet[Any]", error: MmsearchError
    ) -> "models.QuerySet[Any]":
        """Words find words while no embedder serves; what cannot be answered finds nothing. Either is said."""
        if (said := in_words(error)) not in self.asked.errors:
            self.asked.errors.append(said)
        if isinstance(error, EmbedderError) and self.asked.text:
            return super().get_queryset(request, exclude_parameters)
        return rows.none()

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self._add_states()

    def _add_states(self) -> None:
        """One statement for the page, however many rows it has."""
        rows = list(self.result_list)
        found = status.of_objects(self.model, [row.pk for row in rows], self.queryset.db)
        for row in rows:
            row.mmsearch_states = found.get(str(row.pk), [])

    # What the page says

    @cached_property
    def report(self) -> Report | None:
        if not self.asked or self.asked.errors:
            return None
        return report(self.queryset, self.result_list)

    @property
    def candidates(self) -> str:
        """How many were searched, as people write numbers."""
        report = self.report
        if report is None:
            return ""
        if report.candidates <= report.candidates_limit:
            return str(number_format(report.candidates, force_grouping=True))
        return gettext("more than %s") % number_format(report.candidates_limit, force_grouping=True)

    @property
    def held(self) -> dict[str, str]:
        """What operators hold back, by field."""
        return status.held_fields(self.model, self.queryset.db)

    @property
    def ranked(self) -> bool:
        return self.report is not None

    @property
    def sorted_by_column(self) -> bool:
        return ORDER_VAR in self.params

    # How it is shown

    @property
    def view(self) -> str:
        """``list`` or ``grid``. The grid is the same table, laid out as cards: so all that works on its rows does."""
        if not self.shows_pictures:
            return "list"
        asked = self.request.GET.get(VIEW_VAR)
        return str(asked if asked in VIEWS else self.model_admin.mmsearch_view)

    @property
    def shows_pictures(self) -> bool:
        return self.model_admin.thumbnail_field is not None

    @property
    def views(self) -> list[tuple[str, str, bool]]:
        """Label, address and whether it is the current one."""
        page = {PAGE_VAR: str(self.page_num)} if self.page_num > 1 else {}
        return [
            (str(label), self.get_query_string({VIEW_VAR: name, **page}), name == self.view)
            for name, label in VIEWS.items()
        ]

    # Addresses. Parameters are taken out by setting them to None: ``remove=`` takes all that begin alike, and with "o"
    # and "p" a site's filters by owner and project.

    @property
    def by_relevance_url(self) -> str:
        return self.get_query_string({ORDER_VAR: None})

    @property
    def nearest_url(self) -> str:
        return self.get_query_string({asked.NEAREST_VAR: "1"})

    @property
    def without_search(self) -> str:
        """The list under the same filters."""
        return self.get_query_string(dict.fromkeys([SEARCH_VAR, ORDER_VAR, *asked.OUR_VARS]))

    @property
    def more_url(self) -> str | None:
        """Twice as deep; None where there is no more to see."""
        if self.report is None or self.report.complete or not self.result_count or self.asked.depth >= MAX_DEPTH:
            return None
        return self.get_query_string({asked.DEPTH_VAR: str(min(2 * self.asked.depth, MAX_DEPTH))})

    @property
    def chips(self) -> list[Chip]:
        """What is asked by besides the text, each with the address of the same search without it."""
        chips = []
        for name, terms in self.asked.terms.items():
            for value, term in terms.items():
                others = [other for other in terms if other != value]
                minus = name in asked.AWAY_VARS
                chips.append(
                    Chip(
                        minus=minus,
                        label=_label(term, minus=minus),
                        picture=self._picture(term, value),
                        key=value if isinstance(term, Example) else "",
                        without_url=self.get_query_string({name: others or None}),
                    )
                )
        return chips

    def _picture(self, term: Example | models.Model, value: str) -> SafeString | str:
        if not isinstance(term, Example):
            picture: SafeString | str = self.model_admin.mmsearch_picture(term)
            return picture
        address = f"mmsearch-example/?{urlencode({asked.EXAMPLE_VAR: value})}"
        return format_html('<img src="{}" alt="{}">', address, gettext("the picture that is searched by"))

    @property
    def kept(self) -> list[tuple[str, str]]:
        """Filters and pictures, which a new text leaves as they are."""
        gone = {SEARCH_VAR, PAGE_VAR, ORDER_VAR, *asked.OUR_VARS} - {*asked.PICTURE_VARS}
        lists = self.request.GET.lists()
        return [(name, str(value)) for name, values in lists if name not in gone for value in values]

    @property
    def finds_pictures(self) -> bool:
        return any("image" in field.embedder.modalities for field in searched_fields(self.model).values())

    def like_url(self, obj: Any) -> str:
        """More like this one alone."""
        gone = dict.fromkeys([SEARCH_VAR, ORDER_VAR, *asked.OUR_VARS])
        return self.get_query_string({**gone, asked.LIKE_VAR: str(obj.pk)})

    def refined_url(self, obj: Any, *, like: bool) -> str:
        """The same search, and towards this one or away from it."""
        name, other = (asked.LIKE_VAR, asked.UNLIKE_VAR) if like else (asked.UNLIKE_VAR, asked.LIKE_VAR)
        key = str(obj.pk)
        opposite = [value for value in self.asked.terms[other] if value != key]
        return self.get_query_string({name: [*self.asked.terms[name], key], other: opposite or None})

    @property
    def same_search(self) -> str:
        return self.get_query_string()


def searching(base: type[ChangeList]) -> type[SearchChangeList]:
    """Django's change list, or a theme's, made to search."""
    if issubclass(base, SearchChangeList):
        return base
    return SearchChangeList if base is ChangeList else type("SearchChangeList", (SearchChangeList, base), {})


def _label(term: Example | models.Model, *, minus: bool) -> str:
    if isinstance(term, Example):
        return gettext("Not like this picture.") if minus else gettext("Nearest to this picture.")
    return (gettext("Not like “%s”.") if minus else gettext("Most like “%s”.")) % term

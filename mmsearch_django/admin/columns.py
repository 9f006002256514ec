"""The column of the change list that says how close a row is and why it was found, and leads to more like it."""

from typing import Any

from django.http import HttpRequest
from django.utils.formats import number_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, pgettext, pgettext_lazy

CLOSENESS = (
    '<span class="mmsearch-close">'
    '<meter min="0" max="1" value="{value}" aria-label="{label}" title="{label}"></meter> {shown}</span>'
)


class Match:
    """A callable of ``list_display``. It knows its request, and so the change list that it stands in."""

    short_description = pgettext_lazy("mmsearch", "match")

    def __init__(self, request: HttpRequest) -> None:
        self.request = request
        self.__name__ = "mmsearch_match"

    def __call__(self, obj: Any) -> SafeString:
        changelist = self.request.mmsearch_changelist  # type: ignore[attr-defined]
        if not changelist.ranked:
            parts = [self._more(obj, changelist)]
        else:
            parts = [self._closeness(obj), self._why(obj), self._more(obj, changelist), self._refine(obj, changelist)]
        return format_html_join("", "{}", ((part,) for part in parts))

    @staticmethod
    def _closeness(obj: Any) -> SafeString | str:
        if obj.closeness is None:
            return ""
        shown = number_format(obj.closeness, 2)
        label = pgettext("mmsearch", "closeness")
        return format_html(CLOSENESS, value=f"{obj.closeness:.2f}", shown=shown, label=label)

    @staticmethod
    def _why(obj: Any) -> SafeString:
        keywords = pgettext("mmsearch", "keywords")
        legs = ((keywords if leg == "keywords" else leg, hit["rank"]) for leg, hit in obj.match.items())
        return format_html('<span class="mmsearch-why">{}</span>', format_html_join(" ", "<span>{} #{}</span>", legs))

    @staticmethod
    def _more(obj: Any, changelist: Any) -> SafeString | str:
        if not _comparable(obj):
            return ""
        return format_html(
            '<a class="mmsearch-more" href="{}">{}</a>', changelist.like_url(obj), gettext("More like this")
        )

    @staticmethod
    def _refine(obj: Any, changelist: Any) -> SafeString | str:
        """Towards this one, or away from it."""
        if not _comparable(obj):
            return ""
        signs = (
            ("+", gettext("and like this"), changelist.refined_url(obj, like=True)),
            ("−", gettext("but not like this"), changelist.refined_url(obj, like=False)),
        )
        links = format_html_join(
            "", '<a href="{2}" title="{1}" aria-label="{1}: {3}">{0}</a>', ((*sign, str(obj)) for sign in signs)
        )
        return format_html('<span class="mmsearch-refine">{}</span>', links)


def _comparable(obj: Any) -> bool:
    return any(state.status == "ready" for state in obj.mmsearch_states)

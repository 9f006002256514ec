"""Two buttons on each row, by which people say whether it is relevant to the text that found it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from mmsearch_django.admin.asked import Asked
from mmsearch_django.evaluation import judging
from mmsearch_django.exceptions import QueryError
from mmsearch_django.models import Judgement

if TYPE_CHECKING:
    Base = admin.ModelAdmin[Any]
else:
    Base = object

BUTTONS = {
    "relevant": (Judgement.Grade.RELEVANT, _("relevant")),
    "not_relevant": (Judgement.Grade.NOT_RELEVANT, _("not relevant")),
}
"""By their name in the form: the grade that they give, and what they say."""
WITHDRAW = "withdraw"
"""The name of a button that is pressed."""


class JudgingAdminMixin(Base):
    """Part of ``SearchAdminMixin``. Who may view a row may judge it."""

    mmsearch_judging = False
    """Whether people can say of the rows that a text finds if they are relevant: see docs/evaluating.md."""

    @property
    def media(self) -> Any:
        from django.forms import Media

        return super().media + Media(css={"all": ["mmsearch/judging.css"]} if self.mmsearch_judging else {})

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist: Any = super().get_changelist_instance(request)
        if self.mmsearch_judging and (text := judged_text(changelist.asked)):
            keys = [row.pk for row in changelist.result_list]
            given = judging.grades(self.model, text, keys, user=request.user)
            address = f"{self._address('mmsearch_judge')}{_query(request)}"
            changelist.judging = Judging(text, given, address)
            columns = changelist.list_display
            changelist.list_display = [Judged(c, changelist.judging) if _is_found(c) else c for c in columns]
        return changelist

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.judge_view)
        return [path("mmsearch-judge/", view, name=self._view_name("mmsearch_judge")), *super().get_urls()]

    def judge_view(self, request: HttpRequest) -> HttpResponse:
        """Keeps what was said of a row, and leads back to it on the page that the button was on."""
        if not self.mmsearch_judging:
            raise Http404
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        pressed = next((name for name in BUTTONS if name in request.POST), WITHDRAW)
        obj = self.get_object(request, request.POST.get(pressed, ""))
        if obj is None or not self.has_view_or_change_permission(request, obj):
            raise Http404
        text = request.POST.get("text", "").replace("\0", "")
        try:
            if pressed == WITHDRAW:
                judging.withdraw(obj, text, user=request.user)
            else:
                judging.judge(obj, text, relevant=BUTTONS[pressed][0] > 0, user=request.user)
        except QueryError as error:
            self.message_user(request, str(error), messages.ERROR)
        return HttpResponseRedirect(f"{self._address('changelist')}{_query(request)}#{quote(anchor(obj))}")

    def _view_name(self, view: str) -> str:
        return f"{self.model._meta.app_label}_{self.model._meta.model_name}_{view}"

    def _address(self, view: str) -> str:
        return reverse(f"admin:{self._view_name(view)}", current_app=self.admin_site.name)


@dataclass(frozen=True)
class Judging:
    """What is judged on a page."""

    text: str
    given: Mapping[str, int]
    """The current user's grades by object id."""
    address: str
    """Where the form sends them."""

    def buttons(self, obj: Any) -> SafeString:
        """They belong to a form that stands outside of the list's own, since forms cannot be nested."""
        given = self.given.get(str(obj.pk))
        buttons = format_html_join(
            "",
            '<button form="mmsearch-judge" name="{}" value="{}" aria-pressed="{}">{}</button>',
            (
                (WITHDRAW if given == grade else name, obj.pk, "true" if given == grade else "false", says)
                for name, (grade, says) in BUTTONS.items()
            ),
        )
        return format_html(
            '<div class="mmsearch-judge" role="group" id="{}" aria-label="{}">{}</div>', anchor(obj), str(obj), buttons
        )


class Judged:
    """The column that says why a row was found, with buttons; one of its own would renumber those to sort by."""

    def __init__(self, found: Any, judging: Judging) -> None:
        self.found = found
        self.judging = judging
        self.short_description = found.short_description
        self.__name__ = found.__name__

    def __call__(self, obj: Any) -> SafeString:
        return format_html("{}{}", self.found(obj), self.judging.buttons(obj))


def _is_found(column: Any) -> bool:
    return getattr(column, "__name__", "") == "mmsearch_match"


def judged_text(asked: Asked) -> str:
    """The text that rows are judged for; empty where pictures or objects are part of what was asked."""
    return "" if any(asked.terms.values()) else asked.text


def anchor(obj: Any) -> str:
    return f"mmsearch-judge-{obj.pk}"


def _query(request: HttpRequest) -> str:
    return f"?{request.GET.urlencode()}"

from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from example_project.library.models import Asset, Collection, Tag
from mmsearch_django.exceptions import ExampleGone
from mmsearch_django.models import Example
from mmsearch_django.search import examples

CHOICES = ("category", "licence")
FILTERS = ("kind", *CHOICES, "collection", "tag")


class SearchForm(forms.Form):
    """What the page's address says: what to look for, and among which assets."""

    q = forms.CharField(
        label="Find",
        required=False,
        max_length=1000,
        widget=forms.TextInput(attrs={"type": "search", "placeholder": "a windmill beside a canal"}),
    )
    picture = forms.CharField(required=False, widget=forms.HiddenInput)
    like = forms.ModelChoiceField(Asset.objects.all(), required=False, widget=forms.HiddenInput)
    nearest = forms.BooleanField(required=False, widget=forms.HiddenInput)
    kind = forms.ChoiceField(required=False)
    category = forms.ChoiceField(required=False)
    licence = forms.ChoiceField(required=False)
    collection = forms.ModelChoiceField(Collection.objects.all(), required=False, empty_label="any")
    tag = forms.ModelChoiceField(Tag.objects.all(), required=False, empty_label="any")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["kind"].choices = [("", "any"), *Asset.Kind.choices]  # type: ignore[attr-defined]
        for name in CHOICES:
            values = Asset.objects.exclude(**{name: ""}).order_by(name).values_list(name, flat=True).distinct()
            self.fields[name].choices = [("", "any"), *((value, value) for value in values)]  # type: ignore[attr-defined]

    def clean_picture(self) -> Example | None:
        try:
            return examples.find(self.cleaned_data["picture"]) if self.cleaned_data["picture"] else None
        except ExampleGone as error:
            raise ValidationError(str(error)) from error

    def results(self) -> "QuerySet[Asset]":
        """The assets asked for: best first if there is something to look for, else the newest first.

        Raises MmsearchError if the search cannot be answered.
        """
        asked = self.cleaned_data
        rows: Any = Asset.objects.filter(**self._filters())
        how: dict[str, Any] = {"floor": None} if asked["nearest"] else {}
        if asked["like"]:
            rows = rows.similar_to(asked["like"], **how)
        elif asked["q"] or asked["picture"]:
            rows = rows.search(asked["q"] or None, image=asked["picture"], **how)
        else:
            rows = rows.order_by("-created_at", "-pk")
        return cast("QuerySet[Asset]", rows)

    @property
    def filter_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in FILTERS]

    def _filters(self) -> dict[str, Any]:
        lookups = {"collection": "collections", "tag": "tags"}
        return {lookups.get(name, name): self.cleaned_data[name] for name in FILTERS if self.cleaned_data[name]}


class PictureForm(forms.Form):
    """A picture to search by."""

    upload = forms.FileField(label="Or find by a picture", widget=forms.FileInput(attrs={"accept": "image/*"}))

"""What a request may ask, and what a result says about itself."""

import json
from typing import Any, TypedDict

from django.urls import NoReverseMatch
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from mmsearch_django.search.query import MAX_DEPTH
from mmsearch_django.search.terms import MAX_TERMS

MAX_TEXT = 1000
LINKS = {"self": "detail", "similar": "similar"}
"""Names of links and of the actions that they lead to."""


class FlatErrors(serializers.Field[Any, Any, Any, Any]):
    """Says what is wrong inside a value in one list of messages, as of any other field."""

    def to_internal_value(self, data: Any) -> Any:
        try:
            return super().to_internal_value(data)
        except serializers.ValidationError as error:
            if not isinstance(error.detail, dict):
                raise
            inner = error.detail.items()
            raise serializers.ValidationError([f"{name}: {told}" for name, all_ in inner for told in all_]) from None


class SeveralField(FlatErrors, serializers.ListField):
    """A list; in an address also one string with commas, anywhere also one value alone."""

    def get_value(self, dictionary: Any) -> Any:
        value = super().get_value(dictionary)
        parts = [value] if isinstance(value, str | int) and not isinstance(value, bool) else value
        if isinstance(parts, list) and all(isinstance(part, str) for part in parts):
            return [name for part in parts for name in part.split(",") if name]
        return parts


class NamesField(SeveralField):
    """Names of fields, or keys."""

    child = serializers.CharField(max_length=200)


class BoxField(SeveralField):
    """Left, top, right and bottom as shares of a picture, from 0 to 1."""

    child = serializers.FloatField(min_value=0, max_value=1)

    def __init__(self, **options: Any) -> None:
        super().__init__(min_length=4, max_length=4, **options)


class WeightsField(FlatErrors, serializers.DictField):
    """Weights by field; in an address ``visual:1,words:0.5``, in a form that or JSON."""

    child = serializers.FloatField(min_value=0)

    def get_value(self, dictionary: Any) -> Any:
        value = dictionary.get(self.field_name, serializers.empty)
        if not isinstance(value, str):
            return value
        if value.startswith("{"):
            try:
                return json.loads(value)
            except ValueError:
                return value
        return {name: weight for name, _, weight in (part.partition(":") for part in value.split(",") if part)}


class FilesField(FlatErrors, serializers.ListField):
    """Files of a form."""


class PictureField(serializers.FileField):
    """A file that is searched by. It may be anything: what is no picture is a 415, not a 400."""


class Options(serializers.Serializer[Any]):
    """What an address and a posted body have in common: examples to be near to or to turn away from, and how."""

    example = NamesField(required=False, max_length=MAX_TERMS)
    like = NamesField(required=False, max_length=MAX_TERMS)
    avoid = serializers.CharField(required=False, allow_blank=True, max_length=MAX_TEXT)
    avoid_example = NamesField(required=False, max_length=MAX_TERMS)
    unlike = NamesField(required=False, max_length=MAX_TERMS)
    fields_ = NamesField(required=False)
    weights = WeightsField(required=False)
    min_closeness = serializers.FloatField(min_value=0, max_value=1, required=False)
    depth = serializers.IntegerField(min_value=1, max_value=MAX_DEPTH, required=False)
    nearest = serializers.BooleanField(required=False, default=False)
    """Without a floor."""

    def get_fields(self) -> dict[str, Any]:
        # A serializer's own attribute is called so.
        return {name.rstrip("_"): field for name, field in super().get_fields().items()}


class SearchParameters(Options):
    """What an address may ask. Parameters that are not named here are none of ours."""

    search = serializers.CharField(required=False, allow_blank=True, max_length=MAX_TEXT)


class TextSearch(Options):
    """What a body without a file may ask: give ``text``, ``example`` (keys of pictures), ``like`` (keys of rows)."""

    text = serializers.CharField(required=False, allow_blank=True, max_length=MAX_TEXT)
    crop = BoxField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not any((attrs.get("text", "").strip(), attrs.get("image"), attrs.get("example"), attrs.get("like"))):
            told = _("Give text, image, example or like: there is nothing to find.")
            raise serializers.ValidationError({"text": [told]})
        if attrs.get("crop") and len([*attrs.get("image", []), *attrs.get("example", [])]) != 1:
            raise serializers.ValidationError({"crop": [_("Give one image or example to crop.")]})
        return attrs

    def as_query(self) -> dict[str, list[str]]:
        """What was asked, as the parameters of an address."""
        asked = self.validated_data
        query = {name: list(asked.get(name, [])) for name in ("example", "like", "avoid_example", "unlike")}
        query |= {name: [asked.get(ours, "").strip()] for name, ours in {"search": "text", "avoid": "avoid"}.items()}
        query |= {name: [repr(asked[name])] for name in ("min_closeness", "depth") if name in asked}
        query["fields"] = [",".join(asked.get("fields", []))]
        query["weights"] = [",".join(f"{name}:{weight!r}" for name, weight in asked.get("weights", {}).items())]
        query["nearest"] = ["true" if asked["nearest"] else ""]
        return {name: values for name, values in query.items() if any(values)}


class PictureSearch(TextSearch):
    """What a form may ask: the same, and pictures."""

    image = FilesField(child=PictureField(), required=False, write_only=True, max_length=MAX_TERMS)
    avoid_image = FilesField(child=PictureField(), required=False, write_only=True, max_length=MAX_TERMS)


class Hit(TypedDict):
    """Why one field found a row."""

    rank: int
    similarity: float
    closeness: float | None


class MatchSerializer(serializers.Serializer[Any]):
    """With what a search says of each row: null where nothing was searched for.

    Mix it into a serializer of your model. ``links`` leads to the row and to what is similar, where the viewset has
    such actions.
    """

    score = serializers.SerializerMethodField()
    closeness = serializers.SerializerMethodField()
    match = serializers.SerializerMethodField()
    links = serializers.SerializerMethodField()

    def get_score(self, obj: Any) -> float | None:
        """From 0 to 1: the order, and no more."""
        return getattr(obj, "score", None)

    def get_closeness(self, obj: Any) -> float | None:
        """From 0 to 1: how near the row is in its best field; 0.5 at the floor."""
        return getattr(obj, "closeness", None)

    def get_match(self, obj: Any) -> dict[str, Hit] | None:
        """Why it was found, by field."""
        return getattr(obj, "match", None)

    def get_links(self, obj: Any) -> dict[str, str]:
        """Addresses of the row itself and of what is similar."""
        view: Any = self.context.get("view")
        if not hasattr(view, "reverse_action"):
            return {}
        key = {view.lookup_url_kwarg or view.lookup_field: getattr(obj, view.lookup_field)}
        links = {}
        for name, action in LINKS.items():
            try:
                links[name] = view.reverse_action(action, kwargs={**view.kwargs, **key})
            except NoReverseMatch:
                continue
        return links


class ReportSerializer(serializers.Serializer[Any]):
    """How a search was answered."""

    legs = serializers.DictField(child=serializers.ChoiceField(["exact", "ann"]))
    candidates = serializers.IntegerField(help_text="Rows that pass the filters, as far as was counted.")
    pending = serializers.IntegerField(help_text="Candidates that are still being indexed.")
    noise = serializers.IntegerField(help_text="Rows left out as not close enough.")
    complete = serializers.BooleanField(help_text="No row that matches was cut off or is still being indexed.")
    degraded = serializers.ListField(child=serializers.CharField(), help_text="Fields that could not answer.")
    milliseconds = serializers.FloatField()

"""What a request may ask, and what a result says about itself."""

from typing import Any

from rest_framework import serializers

from mmsearch_django.search.query import MAX_DEPTH

MAX_TEXT = 1000


class NamesField(serializers.ListField):
    """A list of names; in an address, one string with commas."""

    child = serializers.CharField(max_length=100)

    def get_value(self, dictionary: Any) -> Any:
        value = super().get_value(dictionary)
        parts = [value] if isinstance(value, str) else value
        if isinstance(parts, list) and all(isinstance(part, str) for part in parts):
            return [name for part in parts for name in part.split(",") if name]
        return value


class WeightsField(serializers.DictField):
    """Weights by field; in an address ``visual:1,words:0.5``."""

    child = serializers.FloatField(min_value=0)

    def get_value(self, dictionary: Any) -> Any:
        value = dictionary.get(self.field_name, serializers.empty)
        if isinstance(value, str):
            return {name: weight for name, _, weight in (part.partition(":") for part in value.split(",") if part)}
        return value


class SearchParameters(serializers.Serializer[Any]):
    """What an address may ask. Parameters that are not named here are none of ours."""

    search = serializers.CharField(required=False, allow_blank=True, max_length=MAX_TEXT)
    example = serializers.CharField(required=False, max_length=200)
    avoid = serializers.CharField(required=False, allow_blank=True, max_length=MAX_TEXT)
    fields_ = NamesField(required=False)
    weights = WeightsField(required=False)
    min_closeness = serializers.FloatField(min_value=0, max_value=1, required=False)
    depth = serializers.IntegerField(min_value=1, max_value=MAX_DEPTH, required=False)
    nearest = serializers.BooleanField(required=False, default=False)
    """Without a floor."""

    def get_fields(self) -> dict[str, Any]:
        # A serializer's own attribute is called so.
        return {name.rstrip("_"): field for name, field in super().get_fields().items()}


class SearchRequest(SearchParameters):
    """What a POST may ask: the same, and a picture."""

    image = serializers.FileField(required=False)


class MatchSerializer(serializers.Serializer[Any]):
    """Mix into a serializer of your model: what a search says of each row; null where nothing was searched for."""

    score = serializers.SerializerMethodField()
    closeness = serializers.SerializerMethodField()
    match = serializers.SerializerMethodField()

    def get_score(self, obj: Any) -> float | None:
        return getattr(obj, "score", None)

    def get_closeness(self, obj: Any) -> float | None:
        return getattr(obj, "closeness", None)

    def get_match(self, obj: Any) -> dict[str, Any] | None:
        return getattr(obj, "match", None)

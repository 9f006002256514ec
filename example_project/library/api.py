"""The library for programs: what visitors may see they may search; who may add assets may upload them."""

from typing import Any

from rest_framework import mixins, routers, serializers, viewsets

from example_project.library.importing import kind_of
from example_project.library.models import Asset
from mmsearch_django.indexing import status
from mmsearch_django.rest_framework.filters import SearchFilter
from mmsearch_django.rest_framework.mixins import SearchViewSetMixin
from mmsearch_django.rest_framework.serializers import MatchSerializer

FILTERS = ("kind", "category", "licence")


class AssetSerializer(MatchSerializer, serializers.ModelSerializer[Asset]):
    class Meta:
        model = Asset
        fields = ["id", "file", "title", "caption", *FILTERS, "created_at", "score", "closeness", "match"]
        read_only_fields = ["kind"]


class AssetDetailSerializer(AssetSerializer):
    """With how far the indexing of each field has come."""

    indexing = serializers.SerializerMethodField()

    class Meta(AssetSerializer.Meta):
        fields = [*AssetSerializer.Meta.fields, "indexing"]

    def get_indexing(self, obj: Asset) -> dict[str, str]:
        states = status.of_objects(Asset, [obj.pk], "default").get(str(obj.pk), [])
        return {state.field: state.message or state.status for state in states}


class AssetFilters(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(Asset.Kind.choices, required=False, allow_blank=True)
    category = serializers.CharField(required=False, allow_blank=True)
    licence = serializers.CharField(required=False, allow_blank=True)


class AssetViewSet(
    SearchViewSetMixin,
    mixins.CreateModelMixin,
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    viewsets.GenericViewSet[Asset],
):
    filter_backends = [SearchFilter]

    def get_queryset(self) -> Any:
        filters = AssetFilters(data=self.request.query_params)
        filters.is_valid(raise_exception=True)
        asked = {name: value for name, value in filters.validated_data.items() if value}
        return Asset.objects.filter(**asked).order_by("-pk")

    def get_serializer_class(self) -> type[AssetSerializer]:
        return AssetDetailSerializer if self.action in ("retrieve", "create") else AssetSerializer

    def perform_create(self, serializer: Any) -> None:
        file = serializer.validated_data.get("file")
        serializer.save(kind=kind_of(file.name) if file else Asset.Kind.OTHER)


router = routers.DefaultRouter()
router.register("assets", AssetViewSet, basename="asset")
urlpatterns = router.urls

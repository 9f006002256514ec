"""The library for programs: what visitors may see they may search; who may add assets may upload them."""

from typing import Any, TypedDict

from django.urls import path
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.views import SpectacularAPIView
from rest_framework import mixins, routers, serializers, viewsets

from example_project.library.importing import kind_of
from example_project.library.models import Asset
from mmsearch_django.indexing import status
from mmsearch_django.rest_framework.filters import SearchFilter
from mmsearch_django.rest_framework.judging import JudgeViewSetMixin
from mmsearch_django.rest_framework.mixins import SearchViewSetMixin
from mmsearch_django.rest_framework.serializers import MatchSerializer


class AssetSerializer(MatchSerializer, serializers.ModelSerializer[Asset]):
    """An asset and, where it was searched for, why it was found."""

    class Meta:
        model = Asset
        fields = [
            "id",
            "file",
            "title",
            "caption",
            "kind",
            "category",
            "licence",
            "created_at",
            *MatchSerializer().fields,
        ]
        read_only_fields = ["kind"]


class Indexing(TypedDict):
    """How far the indexing of a field has come: pending, ready, failed or skipped; if it failed, why."""

    status: str
    message: str


class AssetDetailSerializer(AssetSerializer):
    """With how far the indexing of each field has come."""

    indexing = serializers.SerializerMethodField()

    class Meta(AssetSerializer.Meta):
        fields = [*AssetSerializer.Meta.fields, "indexing"]

    def get_indexing(self, obj: Asset) -> dict[str, Indexing]:
        states = status.of_objects(Asset, [obj.pk], "default").get(str(obj.pk), [])
        return {state.field: {"status": state.status, "message": state.message} for state in states}


class AssetViewSet(
    SearchViewSetMixin,
    JudgeViewSetMixin,
    mixins.CreateModelMixin,
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    viewsets.GenericViewSet[Asset],
):
    """The assets of the library."""

    queryset = Asset.objects.order_by("-pk")
    filter_backends = [DjangoFilterBackend, SearchFilter]
    filterset_fields = ["kind", "category", "licence", "collections", "tags"]

    def get_serializer_class(self) -> type[AssetSerializer]:
        return AssetDetailSerializer if self.action in ("retrieve", "create") else AssetSerializer

    def perform_create(self, serializer: Any) -> None:
        file = serializer.validated_data.get("file")
        serializer.save(kind=kind_of(file.name) if file else Asset.Kind.OTHER)


router = routers.DefaultRouter()
router.register("assets", AssetViewSet, basename="asset")
urlpatterns = [path("schema/", SpectacularAPIView.as_view(), name="schema"), *router.urls]

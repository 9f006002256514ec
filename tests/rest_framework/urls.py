"""The same assets behind viewsets of every kind: paged, nested, versioned, unpaged; and behind a plain view."""

from django.urls import include, path
from rest_framework import generics, routers, serializers, viewsets
from rest_framework.pagination import LimitOffsetPagination
from rest_framework.versioning import QueryParameterVersioning, URLPathVersioning

from example_project.library.models import Asset
from mmsearch_django.rest_framework.filters import SearchFilter
from mmsearch_django.rest_framework.mixins import SearchViewSetMixin
from mmsearch_django.rest_framework.serializers import MatchSerializer


class AssetSerializer(MatchSerializer, serializers.ModelSerializer):
    class Meta:
        model = Asset
        fields = ["id", "title", "category", "score", "closeness", "match", "links"]


class AssetViewSet(SearchViewSetMixin, viewsets.ReadOnlyModelViewSet):
    serializer_class = AssetSerializer
    filter_backends = [SearchFilter]

    def get_queryset(self):
        """Visitors see nothing that is blue."""
        rows = Asset.objects.order_by("pk")
        return rows if self.request.user.is_staff else rows.exclude(category="blue")


class ByCategory(AssetViewSet):
    pagination_class = LimitOffsetPagination

    def get_queryset(self):
        return super().get_queryset().filter(category=self.kwargs["category"])


class Unpaged(AssetViewSet):
    pagination_class = None


class InPath(AssetViewSet):
    versioning_class = URLPathVersioning


class InQuery(AssetViewSet):
    versioning_class = QueryParameterVersioning


class Plain(generics.ListAPIView):
    queryset = Asset.objects.order_by("pk")
    serializer_class = AssetSerializer
    filter_backends = [SearchFilter]
    pagination_class = None


router = routers.DefaultRouter()
router.register("assets", AssetViewSet, basename="asset")
router.register("unpaged", Unpaged, basename="unpaged")
router.register("in-query", InQuery, basename="in-query")
nested = routers.SimpleRouter(trailing_slash=False)
nested.register("assets", ByCategory, basename="category")
versioned = routers.SimpleRouter()
versioned.register("assets", InPath, basename="versioned")
urlpatterns = [
    *router.urls,
    path("categories/<str:category>/", include(nested.urls)),
    path("<str:version>/", include(versioned.urls)),
    path("plain/", Plain.as_view()),
]
urlpatterns.insert(0, urlpatterns.pop())

from django_filters.rest_framework import DjangoFilterBackend
from library.models import Asset
from mmsearch_django.rest_framework.filters import SearchFilter
from mmsearch_django.rest_framework.mixins import SearchViewSetMixin
from mmsearch_django.rest_framework.serializers import MatchSerializer
from rest_framework import routers, serializers, viewsets


class AssetSerializer(MatchSerializer, serializers.ModelSerializer):
    class Meta:
        model = Asset
        fields = ["id", "file", "title", "score", "closeness", "match", "links"]


class AssetViewSet(SearchViewSetMixin, viewsets.ReadOnlyModelViewSet):
    queryset = Asset.objects.order_by("-pk")
    serializer_class = AssetSerializer
    filter_backends = [DjangoFilterBackend, SearchFilter]
    filterset_fields = ["title"]


router = routers.DefaultRouter()
router.register("assets", AssetViewSet)
urlpatterns = router.urls

from rest_framework import routers, serializers, viewsets

from example_project.library.models import Asset
from mmsearch_django.rest_framework.filters import SearchFilter
from mmsearch_django.rest_framework.mixins import SearchViewSetMixin
from mmsearch_django.rest_framework.serializers import MatchSerializer


class AssetSerializer(MatchSerializer, serializers.ModelSerializer):
    class Meta:
        model = Asset
        fields = ["id", "title", "category", "score", "closeness", "match"]


class AssetViewSet(SearchViewSetMixin, viewsets.ReadOnlyModelViewSet):
    serializer_class = AssetSerializer
    filter_backends = [SearchFilter]

    def get_queryset(self):
        """Visitors see nothing that is blue."""
        rows = Asset.objects.order_by("pk")
        return rows if self.request.user.is_staff else rows.exclude(category="blue")


router = routers.DefaultRouter()
router.register("assets", AssetViewSet, basename="asset")
urlpatterns = router.urls

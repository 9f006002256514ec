"""Judgements of what a search found, through a viewset."""

from typing import TYPE_CHECKING, Any

from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.parsers import JSONParser
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from mmsearch_django.evaluation import judging
from mmsearch_django.rest_framework.serializers import MAX_TEXT

if TYPE_CHECKING:
    from rest_framework.viewsets import GenericViewSet

    Base = GenericViewSet[Any]
else:
    Base = object


class JudgementSerializer(serializers.Serializer[Any]):
    """Whether an object is relevant to a text; null if nothing is said, or no longer."""

    text = serializers.CharField(max_length=MAX_TEXT)
    relevant = serializers.BooleanField(allow_null=True)


class JudgeViewSetMixin(Base):
    """Adds ``POST <pk>/judge/`` to a viewset: what the logged-in user says, in place of what they said before.

    The view's own permissions decide as for any POST, and its queryset which objects there are to judge; whoever is
    not logged in is refused whatever they say.
    """

    # In a form what is left out and what is null look the same, and null withdraws.
    @action(detail=True, methods=["post"], parser_classes=[JSONParser])
    def judge(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Say whether the object is relevant to a text that it was searched by; null takes it back."""
        if not IsAuthenticated().has_permission(request, self):
            self.permission_denied(request)
        obj = self.get_object()
        said = JudgementSerializer(data=request.data)
        said.is_valid(raise_exception=True)
        text, relevant = said.validated_data["text"], said.validated_data["relevant"]
        if relevant is None:
            text = judging.withdraw(obj, text, user=request.user)
        else:
            text = judging.judge(obj, text, relevant=relevant, user=request.user)
        return Response({"text": text, "relevant": relevant})

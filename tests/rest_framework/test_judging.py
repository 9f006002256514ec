import json

import pytest
from django.contrib.auth.models import Permission, User
from rest_framework import routers
from rest_framework.permissions import AllowAny

from example_project.library.models import Asset
from mmsearch_django.evaluation.judging import grades
from mmsearch_django.models import Judgement
from mmsearch_django.rest_framework.judging import JudgeViewSetMixin
from tests.rest_framework.urls import AssetViewSet


class Judged(JudgeViewSetMixin, AssetViewSet):
    """Visitors and users see nothing that is blue."""

    permission_classes = [AllowAny]


class OfStaff(Judged):
    permission_classes = AssetViewSet.permission_classes


router = routers.DefaultRouter()
router.register("assets", Judged, basename="asset")
router.register("of-staff", OfStaff, basename="of-staff")
urlpatterns = router.urls

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


@pytest.fixture
def user(client):
    user = User.objects.create_user("ada")
    client.force_authenticate(user)
    return user


def say(client, asset, status=200, path="assets", **said):
    response = client.post(f"/{path}/{asset.pk}/judge/", json.dumps(said), content_type="application/json")
    assert response.status_code == status, response.content
    return response.json()


def test_the_newest_of_each_user_stays_and_null_withdraws(client, user, assets):
    red = assets["red"]
    for relevant in (True, False, None):
        assert say(client, red, text=" a  red thing", relevant=relevant) == {
            "text": "a red thing",
            "relevant": relevant,
        }
        assert grades(Asset, "a red thing", [red.pk], user=user) == (
            {} if relevant is None else {str(red.pk): int(relevant)}
        )


def test_two_judges(client, user, assets):
    say(client, assets["red"], text="red", relevant=True)
    client.force_authenticate(User.objects.create_user("ben"))
    say(client, assets["red"], text="red", relevant=False)
    assert list(Judgement.objects.order_by("pk").values_list("judge__username", "grade")) == [("ada", 1), ("ben", 0)]


def test_who_is_not_logged_in_is_refused_whatever_the_view_allows(client, assets):
    assert client.get(f"/assets/{assets['red'].pk}/").status_code == 200
    assert say(client, assets["red"], 403, text="red", relevant=True)["detail"]
    assert not Judgement.objects.exists()


def test_the_views_own_permissions_decide_as_for_any_post(client, user, assets):
    say(client, assets["red"], 403, path="of-staff", text="red", relevant=True)
    user.user_permissions.add(Permission.objects.get(content_type__app_label="library", codename="add_asset"))
    client.force_authenticate(User.objects.get(pk=user.pk))
    say(client, assets["red"], path="of-staff", text="red", relevant=True)


def test_a_hidden_row_cannot_be_judged(client, user, assets):
    say(client, assets["blue"], 404, text="blue", relevant=True)
    user.is_staff = True
    say(client, assets["blue"], text="blue", relevant=True)
    assert Judgement.objects.count() == 1


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"relevant": True}, "text"),
        ({"text": " ", "relevant": True}, "text"),
        ({"text": "a\0b", "relevant": True}, "text"),
        ({"text": "\ud800", "relevant": True}, "text"),
        ({"text": "a" * 1001, "relevant": True}, "text"),
        ({"text": ["red"], "relevant": True}, "text"),
        ({"text": "red"}, "relevant"),
        ({"text": "red", "relevant": "perhaps"}, "relevant"),
        ({"text": "red", "relevant": [1]}, "relevant"),
    ],
)
def test_what_is_wrong_is_named(client, user, assets, said, field):
    assert set(say(client, assets["red"], 400, **said)) == {field}
    assert not Judgement.objects.exists()


def test_a_form_is_refused_since_what_it_leaves_out_would_withdraw(client, user, assets):
    response = client.post(f"/assets/{assets['red'].pk}/judge/", {"text": "red"}, format="multipart")
    assert response.status_code == 415

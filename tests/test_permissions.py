"""What a site hides has no influence on what it answers: over random permissions, requests and both faces, an answer is
the same as if the hidden rows were not there at all."""

import pytest
from django.core.files.base import ContentFile
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.filters import BaseFilterBackend
from rest_framework.test import APIClient

from example_project.library.admin import AssetAdmin
from example_project.library.api import AssetViewSet
from example_project.library.models import Asset, Tag
from tests.colours import encoded, index, picture

pytestmark = pytest.mark.django_db
COLOURS = ["red", "green", "blue", "grey", "pink", "cyan", "gold", "navy"]
numbers = st.integers(0, len(COLOURS) - 1)
keys = st.integers(1, len(COLOURS))
filters = st.fixed_dictionaries({}, optional={"kind": st.sampled_from(["image", "video"]), "tags": keys})
options = st.fixed_dictionaries({}, optional={"depth": st.integers(1, 10), "nearest": st.just(True)})


class Rollback(Exception):
    pass


@pytest.fixture
def library(settings, tmp_path):
    """Assets with the number of their colour as key, each with its own and the next one's tag."""
    settings.MEDIA_ROOT = tmp_path
    tags = [Tag.objects.create(pk=number, name=colour) for number, colour in enumerate(COLOURS, 1)]
    for number, colour in enumerate(COLOURS, 1):
        asset = Asset(pk=number, title=f"{colour} thing", kind="video" if number % 3 == 0 else "image")
        asset.file.save(f"{colour}.png", ContentFile(encoded(colour)))
        asset.tags.set([tags[number - 1], tags[number % len(tags)]])
    index()


@pytest.fixture
def visible(monkeypatch):
    """The keys that may be seen, which differ from one example to the next. Tags bring rows more than once."""
    keys = set(range(1, len(COLOURS) + 1))

    def allowed(rows):
        return rows.filter(tags__in=Tag.objects.all(), pk__in=keys).distinct()

    class MayBeSeen(BaseFilterBackend):
        def filter_queryset(self, request, queryset, view):
            return queryset.filter(pk__in=keys)

    monkeypatch.setattr(AssetAdmin, "list_per_page", 3)
    all_of_admin = AssetAdmin.get_queryset
    monkeypatch.setattr(AssetAdmin, "get_queryset", lambda self, request: allowed(all_of_admin(self, request)))
    monkeypatch.setattr(
        AssetViewSet,
        "filter_backends",
        [*AssetViewSet.filter_backends[:1], MayBeSeen, *AssetViewSet.filter_backends[1:]],
    )
    return keys


def every_page(address, asked):
    """What the API says, from the first page to the last."""
    client = APIClient()
    response = client.get(address, asked)
    answers = []
    while True:
        answer = response.json()
        answer.get("report", {}).pop("milliseconds", None)
        answers.append((response.status_code, answer))
        if not answer.get("next"):
            return answers
        response = client.get(answer["next"])


def change_list(client, asked):
    """What the admin says, page by page."""
    told, number = [], 1
    while True:
        changelist = client.get("/admin/library/asset/", {**asked, "p": number}).context["cl"]
        rows = [(row.pk, getattr(row, "score", None), getattr(row, "match", None)) for row in changelist.result_list]
        said = changelist.report
        counted = said and (said.candidates, said.pending, said.noise, said.complete)
        told.append((rows, changelist.result_count, changelist.asked.errors, counted))
        number += 1
        if number > changelist.paginator.num_pages:
            return told


def as_if_gone(ask, hidden):
    """What is answered where the hidden rows do not exist."""
    try:
        with transaction.atomic():
            Asset.objects.filter(pk__in=hidden).delete()
            answer = ask()
            raise Rollback
    except Rollback:
        return answer


def show(visible, shown):
    """Let these numbers be seen; returns the keys that may not."""
    everything = set(range(1, len(COLOURS) + 1))
    visible.clear()
    visible.update(number + 1 for number in shown)
    return everything - visible


def key_of(number):
    """Somebody who sees everything searched by the asset's own picture."""
    answer = APIClient().post("/api/assets/search/", {"image": picture(COLOURS[number])})
    return answer.json()["example"]


examples = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@examples
@given(
    shown=st.sets(numbers),
    query=st.one_of(
        st.builds(lambda number: {"search": f"{COLOURS[number]} thing"}, numbers),
        st.builds(lambda number: {"example": number}, numbers),
        st.builds(lambda number: {"similar": number}, numbers),
        st.builds(lambda like, unlike: {"like": like, "unlike": unlike}, keys, keys),
    ),
    filters=filters,
    options=options,
)
def test_api(library, visible, shown, query, filters, options):
    address = f"/api/assets/{query['similar'] + 1}/similar/" if "similar" in query else "/api/assets/"
    asked = {**filters, **options, **{name: query[name] for name in query if name in ("search", "like", "unlike")}}
    if "example" in query:
        asked["example"] = key_of(query["example"])
    hidden = show(visible, shown)

    answers = every_page(address, asked)
    assert answers == as_if_gone(lambda: every_page(address, asked), hidden)
    found = [row["id"] for _, answer in answers for row in answer.get("results", [])]
    assert set(found) <= visible
    assert len(found) == len(set(found)) == answers[0][1].get("count", 0)
    if "similar" in query and query["similar"] + 1 in hidden:
        assert answers[0][0] == 404
    if {query.get("like"), query.get("unlike")} & hidden:
        assert answers[0][0] == 400


@examples
@given(
    shown=st.sets(numbers),
    query=st.one_of(
        st.builds(lambda number: {"q": f"{COLOURS[number]} thing"}, numbers),
        st.builds(lambda number: {"q": f"{COLOURS[number]}.png"}, numbers),
        st.builds(lambda number: {"example": number}, numbers),
        st.builds(lambda number: {"like": number + 1}, numbers),
    ),
    filters=filters,
    options=options,
)
def test_admin(library, visible, admin_client, shown, query, filters, options):
    lookups = {"kind": "kind__exact", "tags": "tags__id__exact"}
    asked = {**query, **options, **{lookups[name]: value for name, value in filters.items()}}
    if "example" in query:
        asked["example"] = key_of(query["example"])
    hidden = show(visible, shown)

    pages = change_list(admin_client, asked)
    assert pages == as_if_gone(lambda: change_list(admin_client, asked), hidden)
    found = [key for rows, *_ in pages for key, *_ in rows]
    assert set(found) <= visible
    assert len(found) == len(set(found)) == pages[0][1]
    if query.get("like") in hidden:
        assert "does not exist" in pages[0][2][0]

"""Closeness and floors, on a library whose similarities are known in numpy."""

import numpy as np
import pytest
from django.db import connection
from PIL import Image

from mmsearch_django.embedders.calibration import Calibration
from mmsearch_django.embedders.registry import embedders
from mmsearch_django.exceptions import QueryError
from mmsearch_django.models import Space
from mmsearch_django.search.closeness import closeness_sql
from tests.models import Asset

TEXT = "something that nobody wrote"


def calibrate(kind="text", **anchors):
    for name, (zero, floor, one) in anchors.items():
        Space.objects.filter(model="tests.asset", field=name).update(
            floors={kind: Calibration(zero, floor, one).as_dict(), "vectors": 260}
        )


def similarities(library, name):
    [query] = embedders["default"].embed_texts([TEXT], query=True)
    return {key: float(query @ (v / np.linalg.norm(v))) for key, v in library.vectors[name].items()}


def expected(similarity, zero, floor, one):
    return float(np.interp(similarity, [zero, floor, one], [0, 0.5, 1]))


def search(**options):
    return Asset.objects.search(TEXT, **{"depth": 1000, **options})


@pytest.mark.django_db
@pytest.mark.parametrize("similarity", [-0.5, 0.1, 0.15, 0.2, 0.45, 0.7, 0.9])
def test_closeness_is_interpolated_between_the_three(similarity):
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {closeness_sql('s', 'c')} FROM (VALUES (%s::float8)) AS x(s),"
            " (VALUES (0.1::float8, 0.2::float8, 0.7::float8)) AS c(zero, floor, one)",
            [similarity],
        )
        assert cursor.fetchone()[0] == pytest.approx(expected(similarity, 0.1, 0.2, 0.7))


def test_each_field_drops_what_is_below_its_own_floor(library):
    calibrate(visual=(0.0, 0.2, 0.8), words=(0.0, 0.1, 0.8))
    visual, words = similarities(library, "visual"), similarities(library, "words")
    found = {asset.pk: asset for asset in search()}
    assert set(found) == {k for k, s in visual.items() if s >= 0.2} | {k for k, s in words.items() if s >= 0.1}
    for key, asset in found.items():
        parts = []
        if visual.get(key, 0) >= 0.2:
            parts.append(expected(visual[key], 0.0, 0.2, 0.8))
            assert asset.match["visual"]["closeness"] == pytest.approx(parts[-1], abs=2e-3)
        else:
            assert "visual" not in asset.match
        if words.get(key, 0) >= 0.1:
            parts.append(expected(words[key], 0.0, 0.1, 0.8))
        assert asset.closeness == pytest.approx(max(parts), abs=2e-3)
        assert asset.closeness >= 0.5 - 1e-3


def test_ranks_are_those_without_a_floor(library):
    bare = {asset.pk: asset.match for asset in search()}
    calibrate(visual=(0.0, 0.1, 0.8), words=(0.0, 0.1, 0.8))
    for asset in search():
        for leg, hit in asset.match.items():
            assert hit["rank"] == bare[asset.pk][leg]["rank"]


def test_the_report_says_what_was_left_out(library):
    calibrate(visual=(0.0, 0.99, 1.0), words=(0.0, 0.99, 1.0))
    found = search(depth=100)
    assert list(found) == []
    assert found.count() == 0
    ranked = set(search(depth=100, floor=None).values_list("pk", flat=True))
    assert found.report.noise == len(ranked)
    assert found.report.complete
    assert f"{len(ranked)} not close enough" in str(found.report)


def test_complete_when_the_floor_and_not_the_depth_ended_the_list(library):
    calibrate(visual=(0.0, 0.3, 0.8))
    passing = sum(similarity >= 0.3 for similarity in similarities(library, "visual").values())
    assert search(fields=["visual"], depth=passing + 1).report.complete
    assert not search(fields=["visual"], depth=passing).report.complete


def test_no_floor_returns_all(library):
    calibrate(visual=(0.0, 0.99, 1.0), words=(0.0, 0.99, 1.0))
    assert search(floor=None).count() == len(library.vectors["visual"])
    assert search(floor=None).report.noise == 0


def test_raw_vectors_have_none(library):
    calibrate(visual=(0.0, 0.99, 1.0))
    found = Asset.objects.search(vector=library.query, fields=["visual"], depth=1000)
    assert found.count() == len(library.vectors["visual"])
    first = found[0]
    assert first.closeness == pytest.approx(first.match["visual"]["similarity"])
    assert found.filter(closeness__gte=0).count() == found.count()


def test_a_picture_has_floors_of_its_own(library):
    from PIL import Image

    calibrate(kind="image", visual=(0.0, 0.99, 1.0))
    picture = Image.new("RGB", (8, 8), "red")
    assert Asset.objects.search(image=picture).count() == 0
    assert Asset.objects.search(image=picture, floor=None).count() > 0
    assert search(fields=["visual"]).count() > 0


def test_similar_to_counts_as_the_kind_of_each_field(library):
    some = Asset.objects.get(pk=next(iter(library.vectors["visual"])))
    assert Asset.objects.similar_to(some).count() > 0
    calibrate(kind="image", visual=(0.0, 0.99, 1.0))
    calibrate(kind="text", words=(0.0, 0.99, 1.0))
    assert Asset.objects.similar_to(some).count() == 0
    assert Asset.objects.similar_to(some, floor=None).count() > 0


def test_what_the_embedder_ships_serves_until_a_space_has_learnt(library, monkeypatch):
    shipped = {("text", "image"): Calibration(0.0, 0.99, 1.0)}
    monkeypatch.setattr(type(embedders["default"]), "calibrations", shipped)
    assert search(fields=["visual"]).count() == 0
    assert search(fields=["words"]).count() > 0
    calibrate(visual=(-0.9, -0.8, 1.0))
    assert search(fields=["visual"]).count() > 0


def test_min_closeness(library):
    calibrate(visual=(0.0, 0.1, 0.5), words=(0.0, 0.1, 0.5))
    closenesses = dict(search().values_list("pk", "closeness"))
    for least in (0.6, 0.8):
        found = search(min_closeness=least)
        assert {asset.pk for asset in found} == {key for key, closeness in closenesses.items() if closeness >= least}
        assert found.count() == len(found)
    assert search(min_closeness=0.8).count() == search().filter(closeness__gte=0.8).count()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"floor": 0.3}, "floor must be 'learnt', or None for no floor; not 0.3"),
        ({"min_closeness": 2}, "min_closeness must be a number from 0 to 1, not 2"),
        ({"min_closeness": "0.5"}, "min_closeness must be a number from 0 to 1"),
        ({"min_closeness": float("nan")}, "min_closeness must be a number from 0 to 1, not nan"),
    ],
)
def test_bad_limits(options, message):
    with pytest.raises(QueryError, match=message):
        search(**options)


def test_a_query_of_several_kinds_is_calibrated_as_its_vector_was_made(library):
    picture = Image.new("RGB", (64, 48), "red")
    text, image = (0.0, 0.1, 0.5), (0.2, 0.4, 0.9)
    learnt = {kind: Calibration(*anchors).as_dict() for kind, anchors in {"text": text, "image": image}.items()}
    Space.objects.filter(model="tests.asset", field="visual").update(floors=learnt)
    [t], [p] = embedders["default"].embed_texts([TEXT], query=True), embedders["default"].embed_images([picture])
    length = np.linalg.norm(t + 2 * p)
    zero, floor, one = ((a + 2 * b) / length for a, b in zip(text, image, strict=True))
    found = search(image=[picture, picture], fields=["visual"], floor=None)
    for asset in found:
        closeness = expected(asset.match["visual"]["similarity"], zero, floor, one)
        assert asset.closeness == pytest.approx(closeness, abs=1e-3)
    kept = {asset.pk for asset in found if asset.match["visual"]["similarity"] >= floor}
    assert {asset.pk for asset in search(image=[picture, picture], fields=["visual"])} == kept


def test_a_kind_that_is_not_calibrated_leaves_the_whole_without(library):
    calibrate(visual=(0.0, 0.1, 0.5))
    picture = Image.new("RGB", (64, 48), "red")
    for asset in search(image=picture, fields=["visual"]):
        assert asset.closeness == pytest.approx(max(asset.match["visual"]["similarity"], 0), abs=1e-3)

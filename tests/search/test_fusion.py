import pytest
from django.db import connection

from mmsearch_django.search import fusion


def test_first_in_every_leg_scores_one():
    assert fusion.score({"a": 1, "b": 1}, {"a": 1.0, "b": 0.5}) == pytest.approx(1)


def test_a_leg_that_did_not_return_the_item_gives_nothing():
    assert fusion.score({"a": 1}, {"a": 1.0, "b": 1.0}) == pytest.approx(0.5)


def test_the_sum_by_hand():
    assert fusion.score({"a": 3, "b": 10}, {"a": 2.0, "b": 1.0}) == pytest.approx((2 / 63 + 1 / 70) / (3 / 61))


def test_sql_and_python_agree(db):
    formula = fusion.score_sql("weight", "rank", "3.0::float8")
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {formula} FROM (VALUES (2.0::float8, 3), (1.0, 10)) AS hit(weight, rank)")
        assert cursor.fetchone()[0] == pytest.approx(fusion.score({"a": 3, "b": 10}, {"a": 2.0, "b": 1.0}))

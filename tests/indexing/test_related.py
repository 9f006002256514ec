"""What is embedded of related rows, and what happens when these change."""

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from mmsearch_django.fields import embedding_fields
from mmsearch_django.indexing import claims, sweep
from mmsearch_django.indexing.targets import target
from mmsearch_django.models import Mark
from tests.indexing.conftest import embed_all, engine, vector_of
from tests.models import Note, Story, Tag, Team

pytestmark = pytest.mark.django_db


@pytest.fixture
def stories():
    Mark.objects.all().delete()
    return target(embedding_fields(Story)["words"])


@pytest.fixture
def story():
    story = Story.objects.create(title="A story", team=Team.objects.create(name="harbour"))
    story.tags.add(*[Tag.objects.create(name=name) for name in ("zebra", "apple")])
    Note.objects.create(story=story, text="seen at dusk")
    Story.objects.create(title="Another", parent=story)
    return story


def has_vector_of(story, text):
    return np.allclose(np.asarray(Story.objects.get(pk=story.pk).words.vector), vector_of(text), atol=1e-3)


def unseen(sql):
    with connection.cursor() as cursor:
        cursor.execute(
            f"SET CONSTRAINTS ALL IMMEDIATE; SET LOCAL session_replication_role = replica; {sql};"
            "SET LOCAL session_replication_role = origin"
        )


def test_values_of_all_relations_are_embedded(stories, story):
    assert embed_all(stories) == {"ready": 2}
    assert has_vector_of(story, "A story\nharbour\nzebra\napple\nseen at dusk")
    assert has_vector_of(Story.objects.get(title="Another"), "Another\nA story")


def test_a_batch_asks_for_related_rows_once(stories):
    asked = []
    for count in (1, 30):
        Story.objects.bulk_create([Story(title=f"{count} {number}") for number in range(count)])
        claims.drain(stories)
        with CaptureQueriesContext(connection) as queries:
            assert embed_all(stories) == {"ready": count}
        asked.append(len(queries))
    assert asked[0] >= asked[1]  # The first also records the space's signature.


def test_a_change_is_embedded_and_nothing_else(stories, story, monkeypatch):
    embed_all(stories)
    embedded = []
    engine(monkeypatch, embedded.extend)
    Tag.objects.filter(name="apple").update(name="pear")
    embed_all(stories)
    assert embedded == ["A story\nharbour\nzebra\npear\nseen at dusk"]


def test_what_changes_nothing_is_not_embedded_again(stories, story, monkeypatch):
    embed_all(stories)
    engine(monkeypatch, lambda texts: pytest.fail(f"embedded {texts}"))
    same = Tag.objects.create(name="apple")
    Story.tags.through.objects.filter(tag__name="apple").update(tag=same)
    assert embed_all(stories) == {"ready": 1}


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE tests_tag SET name = 'new' WHERE name = 'zebra'",
        "DELETE FROM tests_story_tags",
        "UPDATE tests_team SET name = 'new'",
        "DELETE FROM tests_note",
        "INSERT INTO tests_tag (id, name) VALUES (999, 'x'); "
        "INSERT INTO tests_story_tags (story_id, tag_id) SELECT id, 999 FROM tests_story WHERE title = 'A story'",
    ],
)
def test_the_sweep_finds_what_no_trigger_saw(stories, story, sql):
    embed_all(stories)
    assert sweep.sweep_all(stories) == 0
    unseen(sql)
    assert sweep.sweep_all(stories) == 1
    embed_all(stories)
    assert sweep.sweep_all(stories) == 0

"""Writes to related tables mark the objects whose embedding fields read them."""

import pytest

from mmsearch_django.models import Mark, State
from tests.models import Note, Photo, Story, Tag, Team
from tests.triggers.sql import execute, keys, marked, space

pytestmark = pytest.mark.django_db


@pytest.fixture
def stories():
    """Three stories, nothing marked: the first has all kinds of relations, the last has none."""
    team, tag = Team.objects.create(name="us"), Tag.objects.create(name="red")
    first = Story.objects.create(title="first", team=team)
    second = Story.objects.create(title="second", parent=first)
    third = Story.objects.create(title="third")
    first.tags.add(tag)
    Note.objects.create(story=first, text="a note")
    Mark.objects.all().delete()
    return first, second, third


def words():
    return marked(Story, "words")


class TestToOne:
    def test_a_renamed_team_marks_its_stories(self, stories):
        Team.objects.update(name="them")
        assert words() == keys(stories[0])

    def test_another_team_marks_the_story(self, stories):
        Story.objects.filter(pk=stories[2].pk).update(team=Team.objects.get())
        assert words() == keys(stories[2])

    def test_a_deleted_team_marks_its_stories(self, stories):
        Team.objects.get().delete()
        assert words() == keys(stories[0])

    def test_a_title_marks_the_story_and_its_children(self, stories):
        Story.objects.filter(pk=stories[0].pk).update(title="new")
        assert words() == keys(*stories[:2])

    def test_the_file_of_a_cover(self, stories):
        cover = Photo.objects.create()
        Story.objects.filter(pk=stories[0].pk).update(cover=cover)
        Mark.objects.all().delete()
        Photo.objects.update(licence="cc0")
        assert not Mark.objects.exists()
        Photo.objects.update(file="x.jpg")
        assert marked(Story, "look") == keys(stories[0])
        assert words() == []


class TestToMany:
    def test_tags_that_come_and_go(self, stories):
        blue = Tag.objects.create(name="blue")
        assert words() == []
        stories[1].tags.add(blue)
        assert words() == keys(stories[1])
        stories[0].tags.clear()
        assert words() == keys(*stories[:2])

    def test_a_renamed_tag(self, stories):
        Tag.objects.update(name="crimson")
        assert words() == keys(stories[0])

    def test_a_deleted_tag(self, stories):
        Tag.objects.all().delete()
        assert words() == keys(stories[0])

    def test_a_link_that_is_moved_marks_both(self, stories):
        Story.tags.through.objects.update(story=stories[2])
        assert words() == keys(stories[0], stories[2])

    def test_notes(self, stories):
        Note.objects.update(text="changed")
        Note.objects.update(read=True)
        assert words() == keys(stories[0])
        Note.objects.create(story=stories[2], text="new")
        Note.objects.filter(story=stories[0])._raw_delete("default")
        assert words() == sorted(keys(stories[0], stories[0], stories[2]))

    def test_truncated_links_mark_all_that_were_embedded(self, stories):
        State.objects.create(space_id=space(Story, "words"), object_id=stories[0].pk, generation=1)
        execute("SET CONSTRAINTS ALL IMMEDIATE")
        execute("TRUNCATE tests_story_tags")
        assert words() == keys(stories[0])

    def test_one_tag_of_many_stories_is_a_bulk_load(self, stories):
        tag = Tag.objects.create(name="many")
        many = Story.objects.bulk_create([Story(title=str(number)) for number in range(1001)])
        links = [Story.tags.through(story=story, tag=tag) for story in many]
        Story.tags.through.objects.bulk_create(links)
        Mark.objects.all().delete()
        Tag.objects.filter(pk=tag.pk).update(name="renamed")
        assert marked(Story, "words", live=False) == keys(*many)
        Tag.objects.filter(name="red").update(name="renamed")
        assert marked(Story, "words", live=True) == keys(stories[0])

    def test_many_tags_after_one(self, stories):
        """Above fifty rows another branch of the function runs."""
        tags = Tag.objects.bulk_create([Tag(name=str(number)) for number in range(60)])
        stories[2].tags.add(*tags)
        Mark.objects.all().delete()
        Tag.objects.filter(pk=tags[0].pk).update(name="one")
        Tag.objects.update(name="all")
        assert set(words()) == set(keys(stories[0], stories[2]))


class TestNeverInTheWay:
    @pytest.mark.parametrize(
        "sql",
        [
            "ALTER TABLE tests_story_tags RENAME COLUMN tag_id TO label_id",
            "ALTER TABLE tests_story_tags RENAME TO tests_story_labels",
            "DROP TABLE tests_story_tags",
            "DROP TABLE mmsearch_django_state",
        ],
    )
    def test_a_table_on_the_way_that_is_altered_costs_only_its_marks(self, stories, sql):
        execute("UPDATE tests_tag SET name = 'warm'")
        Mark.objects.all().delete()
        execute("SET CONSTRAINTS ALL IMMEDIATE")
        execute(sql)
        execute("UPDATE tests_tag SET name = 'x'")
        execute("DELETE FROM tests_note")
        execute("TRUNCATE tests_note")
        assert keys(stories[0])[0] in words()

    def test_a_table_that_the_owner_may_not_read(self, stories):
        """As where migrations run as a role that does not own every table."""
        execute("CREATE ROLE mmsearch_owner")
        execute("GRANT ALL ON mmsearch_django_mark, tests_tag TO mmsearch_owner")
        execute("GRANT USAGE, CREATE ON SCHEMA public TO mmsearch_owner")
        execute("ALTER FUNCTION mmsearch_update_tests_tag() OWNER TO mmsearch_owner")
        execute("UPDATE tests_tag SET name = 'x'")
        assert words() == []

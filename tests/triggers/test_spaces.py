import pytest
from django.db import connection

from mmsearch_django import triggers
from mmsearch_django.fields import embedding_fields
from mmsearch_django.models import Space, State
from mmsearch_django.triggers.catalogue import SPACE_COMMENT
from tests.models import Asset, Clip, Foreign
from tests.triggers.sql import keys, marked, space

pytestmark = pytest.mark.django_db


class TestSpaces:
    def test_ids_are_those_of_the_fields(self):
        for model in (Asset, Clip, Foreign):
            for field in embedding_fields(model).values():
                assert space(model, field.name) == field.space_id

    def test_a_renamed_field_keeps_its_space_and_is_marked_under_it(self, unmarked):
        """As after RenameModel: the row still has the old label, the table still names the row."""
        before = space(Asset, "words")
        Space.objects.filter(pk=before).update(model="tests.old")
        assert triggers.install("default").failed == []
        assert space(Asset, "words") == before
        assert triggers.problems("default") == []

    def test_an_id_that_is_taken_is_left_to_its_owner(self, unmarked):
        mine = embedding_fields(Asset)["words"].space_id
        other = embedding_fields(Asset)["visual"]
        Space.objects.filter(pk=mine).delete()
        Space.objects.filter(pk=other.space_id).update(id=mine)
        triggers.install("default")
        assert space(Asset, "words") == mine + 1
        asset = Asset.objects.create(title="x")
        assert marked(Asset, "words") == marked(Asset, "visual") == keys(asset)

    def test_a_table_that_takes_the_name_of_a_dropped_one_brings_its_space(self, unmarked):
        """As after DeleteModel of what was replaced, and RenameModel of what replaces it."""
        gone, mine = space(Asset, "words"), 8
        Space.objects.create(id=mine, model="tests.asset", field="words2", signature="kept", serves=True)
        State.objects.create(space_id=gone, object_id="1", generation=1)
        State.objects.create(space_id=mine, object_id="1", generation=2, status="ready")
        with connection.cursor() as cursor:
            cursor.execute(f"COMMENT ON TABLE tests_asset_words IS '{SPACE_COMMENT}{mine}'")
        assert triggers.install("default").failed == []
        assert (space(Asset, "words"), Space.objects.get(pk=mine).signature) == (mine, "kept")
        assert [state.status for state in State.objects.all()] == ["ready"]
        assert triggers.problems("default") == []
        asset = Asset.objects.create(title="x")
        assert marked(Asset, "words") == keys(asset)

    def test_what_is_no_longer_declared_and_has_no_table_is_forgotten(self):
        Space.objects.create(id=7, model="tests.gone", field="look")
        State.objects.create(space_id=7, object_id="1", generation=1)
        triggers.install("default")
        assert not Space.objects.filter(pk=7).exists()
        assert not State.objects.filter(space=7).exists()

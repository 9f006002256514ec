import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection, models
from django.test.utils import isolate_apps
from pgvector.django import CosineDistance, HalfVectorField

from mmsearch_django.exceptions import ConfigurationError
from mmsearch_django.fields import EmbeddingField, all_embedding_fields, embedding_fields, searchable
from mmsearch_django.sources import TextSource
from tests.models import Asset, AssetProxy, Clip, Foreign, LongClip, Quiet


def vectors(model, name):
    return model._meta.get_field(name).related_model


class TestGeneratedModel:
    def test_is_an_ordinary_model_of_the_sites_app(self):
        visual = apps.get_model("tests", "AssetVisual")
        assert visual is vectors(Asset, "visual")
        assert visual._meta.db_table == "tests_asset_visual"
        assert visual._meta.default_permissions == ()
        assert isinstance(visual._meta.get_field("vector"), HalfVectorField)
        assert visual._meta.get_field("vector").dimensions == 32
        assert visual._meta.pk.name == "object"

    def test_leaves_the_media_table_alone(self):
        assert not {"visual", "words"} & {column.name for column in Asset._meta.local_concrete_fields}

    def test_the_migrations_hold_it_all(self, db):
        call_command("makemigrations", "--check", "--dry-run", verbosity=0)

    def test_has_the_key_type_of_its_model(self):
        assert vectors(Clip, "words")._meta.pk.db_type(connection) == "uuid"
        assert vectors(Foreign, "look")._meta.pk.db_type(connection) == "varchar(100)"

    def test_plain_django_reads_it(self, db):
        near, far, bare = (Asset.objects.create(title=title) for title in ("near", "far", "bare"))
        table = vectors(Asset, "visual")
        table.objects.create(object=near, vector=[1] * 32)
        table.objects.create(object=far, vector=[1] * 16 + [-1] * 16)
        assert list(Asset.objects.filter(visual__isnull=True)) == [bare]
        nearest = Asset.objects.exclude(visual=None).order_by(CosineDistance("visual__vector", [1] * 32))
        assert list(nearest) == [near, far]
        assert near.visual.embedded_at
        assert str(near.visual) == f"tests.Asset.visual of {near.pk}"

    def test_deleting_the_object_asks_nothing_of_it(self, db, django_assert_max_num_queries):
        clip = Clip.objects.create(caption="a")
        vectors(Clip, "words").objects.create(object=clip, vector=[1] * 32)
        assert clip.delete()[1].keys() == {"tests.Clip"}

    def test_rows_may_be_written_with_key_and_vector_alone(self, db):
        asset = Asset.objects.create(title="a")
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO tests_asset_visual (object_id, vector) VALUES (%s, %s)", [asset.pk, str([1.0] * 32)]
            )
        assert asset.visual.signature == ""

    @isolate_apps("tests")
    def test_long_names_are_cut_and_stay_distinct(self):
        class Long(models.Model):
            a_name_that_is_rather_long_for_a_column_of_this_table_one = EmbeddingField(TextSource("id"))
            a_name_that_is_rather_long_for_a_column_of_this_table_two = EmbeddingField(TextSource("id"))

            class Meta:
                app_label = "tests"
                db_table = "a_table_with_a_name_of_some_length"

        tables = {field.vectors._meta.db_table for field in embedding_fields(Long).values()}
        assert len(tables) == 2
        assert max(map(len, tables)) <= 63


class TestFieldsOfAModel:
    def test_own_fields(self):
        assert set(embedding_fields(Asset)) == {"visual", "words"}
        field = embedding_fields(Asset)["visual"]
        assert field.label == "tests.Asset.visual"
        assert repr(field) == "<EmbeddingField tests.Asset.visual: ImageSource('file') by 'default'>"

    def test_of_an_abstract_base(self):
        assert set(embedding_fields(Clip)) == {"words"}
        assert embedding_fields(Clip)["words"].model is Clip

    def test_none_takes_an_inherited_field_away(self):
        assert embedding_fields(Quiet) == {}

    def test_children_and_proxies_are_searched_by_their_parents(self):
        assert embedding_fields(LongClip) == embedding_fields(Clip)
        assert embedding_fields(AssetProxy) == embedding_fields(Asset)

    def test_of_a_model_that_cannot_be_changed(self):
        assert set(embedding_fields(Foreign)) == {"look"}
        assert vectors(Foreign, "look").__module__ == "tests.models"

    def test_all_of_them(self):
        labels = [field.label for field in all_embedding_fields()]
        assert {"tests.Asset.visual", "tests.Clip.words", "tests.Foreign.look"} <= set(labels)
        assert len(labels) == len(set(labels))

    def test_each_has_a_space_of_its_own(self):
        fields = list(all_embedding_fields())
        assert len({field.space_id for field in fields}) == len(fields)
        assert all(0 < field.space_id < 2**31 for field in fields)


class TestDeclaration:
    def test_wants_a_source(self):
        with pytest.raises(ConfigurationError, match="ImageSource"):
            EmbeddingField("file")

    def test_searchable_wants_a_field(self):
        with pytest.raises(ConfigurationError, match="at least one"):
            searchable(Foreign, app="tests")

    def test_dimensions_come_from_the_embedder_without_loading_it(self, settings):
        field = embedding_fields(Asset)["visual"]
        settings.MMSEARCH = {"EMBEDDERS": {"default": {"BACKEND": "mmsearch_django.embedders.starter.StarterEmbedder"}}}
        assert field.dimensions == 384
        settings.MMSEARCH = {}
        assert field.dimensions is None

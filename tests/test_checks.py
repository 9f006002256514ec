from copy import copy
from pathlib import Path

import pytest
from django.core.checks import Tags, run_checks
from django.db import OperationalError, connection

from mmsearch_django import checks
from mmsearch_django.fields import all_embedding_fields, embedding_fields
from mmsearch_django.models import Space
from mmsearch_django.sources import ImageSource, TextSource
from tests.models import Asset, Product, Story

VISUAL = Asset._meta.get_field("visual").related_model.embedding_field
OF_EMBEDDERS = {"mmsearch.E010", "mmsearch.I001", "mmsearch.W010", "mmsearch.W011"}
DUMMY = "mmsearch_django.embedders.dummy.DummyEmbedder"


def ids(found):
    return {message.id for message in found}


def static():
    return ids(checks.check_settings() + checks.check_fields())


def embedder(settings, alias="default", **config):
    settings.MMSEARCH = {"EMBEDDERS": {**settings.MMSEARCH["EMBEDDERS"], alias: config}}


class TestSettings:
    def test_a_sound_site_has_nothing_to_say(self):
        assert static() == set()

    def test_unknown_key(self, settings):
        settings.MMSEARCH = {**settings.MMSEARCH, "EMBEDERS": {}}
        [found] = checks.check_settings()
        assert found.id == "mmsearch.W001"
        assert "EMBEDERS" in found.msg

    def test_no_default_embedder(self, settings):
        settings.MMSEARCH = {"EMBEDDERS": {}}
        assert static() == {"mmsearch.E001", "mmsearch.E002"}

    def test_a_backend_that_cannot_be_imported(self, settings):
        embedder(settings, "other", BACKEND="no.such.Embedder")
        assert static() == {"mmsearch.E003"}
        embedder(settings, "other")
        assert static() == {"mmsearch.E003"}

    def test_an_embedders_own_checks_are_asked(self, settings, monkeypatch):
        monkeypatch.setattr("mmsearch_django.embedders.starter.weights.missing", lambda: [("It is gone.", "Get it.")])
        embedder(settings, "other", BACKEND="mmsearch_django.embedders.starter.StarterEmbedder")
        assert static() == {"mmsearch.E010"}


class TestReplacements:
    @pytest.fixture
    def declare(self, monkeypatch):
        """Product.words2 replaces something else, or reads something else."""
        fields = embedding_fields(Product)

        def declare(replaces="words", words=None, source=None):
            monkeypatch.setattr(fields["words2"], "replaces", replaces)
            monkeypatch.setattr(fields["words"], "replaces", words)
            monkeypatch.setattr(fields["words2"], "source", source or fields["words2"].source)
            return [(each.id, each.msg) for each in checks.check_fields()]

        return declare

    def test_unknown_field(self, declare):
        [found] = declare("sound")
        text = "tests.Product.words2 replaces 'sound', which tests.Product does not declare; it has words."
        assert found == ("mmsearch.E008", text)

    def test_itself(self, declare):
        [found] = declare("words2")
        assert found == ("mmsearch.E008", "tests.Product.words2 replaces 'words2', itself.")

    def test_a_chain(self, declare):
        first, second = declare(words="words2")
        assert first == ("mmsearch.E008", "tests.Product.words replaces 'words2', which itself replaces 'words'.")
        assert second == ("mmsearch.E008", "tests.Product.words2 replaces 'words', which itself replaces 'words2'.")

    def test_two_for_one(self, monkeypatch):
        fields = embedding_fields(Story)
        monkeypatch.setattr(fields["words"], "replaces", "look")
        found = [each.id for each in checks.check_fields()]
        assert found == ["mmsearch.E009"]
        third = copy(fields["look"])
        third.name, third.replaces = "third", "look"
        monkeypatch.setattr(checks, "embedding_fields", lambda model: {**fields, "third": third})
        [found] = [each for each in checks.check_fields() if each.id == "mmsearch.E008" and "Story" in each.msg]
        assert found.msg == "tests.Story.words replaces 'look', and so does 'third'."

    @pytest.mark.parametrize("source", [TextSource("name", "id"), ImageSource("name")])
    def test_another_source(self, declare, source):
        [text] = [msg for id, msg in declare(source=source) if id == "mmsearch.E009"]
        assert text == f"tests.Product.words2 reads {source!r}, but 'words', which it replaces, TextSource('name')."


class TestFields:
    def test_unknown_embedder(self, monkeypatch):
        monkeypatch.setattr(VISUAL, "alias", "nope")
        [found] = checks.check_fields()
        assert found.id == "mmsearch.E002"
        assert "tests.Asset.visual" in found.msg
        assert "'nope'" in found.msg

    @pytest.mark.parametrize(
        "source", [TextSource("nope"), TextSource("tags"), ImageSource("title"), TextSource("visual")]
    )
    def test_a_source_that_names_no_field(self, monkeypatch, source):
        monkeypatch.setattr(VISUAL, "source", source)
        assert static() == {"mmsearch.E004"}

    def test_a_model_with_a_score(self, monkeypatch):
        monkeypatch.setattr(Asset._meta.get_field("number"), "name", "score")
        assert static() == {"mmsearch.E005"}

    def test_an_embedder_of_another_modality(self, monkeypatch):
        monkeypatch.setattr("mmsearch_django.embedders.dummy.DummyEmbedder.modalities", frozenset({"text"}))
        assert static() == {"mmsearch.E006"}

    def test_too_many_dimensions(self, settings):
        embedder(settings, BACKEND=DUMMY, OPTIONS={"dimensions": 4001})
        assert static() == {"mmsearch.E007"}


@pytest.mark.django_db
class TestDatabases:
    def found(self):
        return ids(checks.check_databases(databases=["default"]))

    def test_a_migrated_site_has_nothing_to_say(self):
        assert self.found() == set()

    def test_only_the_databases_asked_for(self):
        assert checks.check_databases(databases=None) == []
        assert run_checks(tags=[Tags.database], databases=[]) == []

    def test_not_postgres(self, monkeypatch):
        monkeypatch.setattr(connection, "vendor", "sqlite")
        assert self.found() == {"mmsearch.E020"}

    @pytest.mark.parametrize(
        ("version", "expected"),
        [
            (None, {"mmsearch.E021"}),
            ((0, 7, 4), {"mmsearch.E021"}),
            ((0, 8, 0), {"mmsearch.W020"}),
            ((0, 8, 3), {"mmsearch.W020"}),
            ((0, 8, 4), set()),
            ((0, 10), set()),
            ((1, 0), set()),
        ],
    )
    def test_versions_of_pgvector(self, monkeypatch, version, expected):
        monkeypatch.setattr(checks, "pgvector_version", lambda using: version)
        assert self.found() == expected

    def test_the_version_is_read_from_the_server(self):
        with connection.cursor() as cursor:
            cursor.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
            [version] = cursor.fetchone()
        assert ".".join(map(str, checks.pgvector_version("default"))) == version

    def test_pgvector_out_of_sight(self):
        with connection.cursor() as cursor:
            cursor.execute("CREATE SCHEMA extensions")
            cursor.execute("ALTER EXTENSION vector SET SCHEMA extensions")
            [found] = checks.check_databases(databases=["default"])
            assert found.id == "mmsearch.E025"
            assert found.hint.startswith("Run: ALTER ROLE postgres SET search_path = ")
            cursor.execute("SET LOCAL search_path = public, extensions")
        assert self.found() == set()

    def test_a_router_that_keeps_our_tables_out(self, settings):
        settings.DATABASE_ROUTERS = [Router()]
        assert self.found() == {"mmsearch.E022"}

    def test_other_dimensions_than_migrated(self, settings):
        embedder(settings, BACKEND=DUMMY, OPTIONS={"dimensions": 48})
        assert self.found() == {"mmsearch.W024"}
        asset = Asset.objects.create(title="a")
        asset_visual = VISUAL.vectors.objects.create(object=asset, vector=[1.0] * 32)
        assert self.found() == {"mmsearch.W024", "mmsearch.E023"}
        asset_visual.delete()
        assert self.found() == {"mmsearch.W024"}

    def test_vectors_of_another_model(self):
        Space.objects.filter(model="tests.asset", field="visual").update(signature="other:model@1#/32")
        [found] = checks.check_databases(databases=["default"])
        assert found.id == "mmsearch.E024"
        assert "other:model@1#/32" in found.msg
        assert "mmsearch_index tests.Asset --field visual --reembed" in found.msg

    def test_vectors_of_a_former_preprocessing(self, monkeypatch):
        asset = Asset.objects.create(title="a")
        made = {"signature": VISUAL.embedder.signature.short, "preprocessing": VISUAL.embedder.preprocessing}
        VISUAL.vectors.objects.create(object=asset, vector=[1.0] * 32, **made)
        assert self.found() == set()
        monkeypatch.setattr(type(VISUAL.embedder), "preprocessing", 2)
        assert self.found() == {"mmsearch.W025"}

    def test_our_tables_are_missing(self):
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE mmsearch_django_state RENAME TO gone")
        assert self.found() == {"mmsearch.W021"}

    def test_triggers_are_missing(self):
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE tests_asset DISABLE TRIGGER USER")
        assert self.found() == {"mmsearch.W022"}

    def test_a_large_field_without_an_index(self):
        with connection.cursor() as cursor:
            cursor.execute("UPDATE pg_class SET reltuples = 10000 WHERE relname = 'tests_asset_visual'")
            assert self.found() == {"mmsearch.W023"}
            cursor.execute("CREATE INDEX ON tests_asset_visual USING hnsw (vector halfvec_cosine_ops)")
            cursor.execute("UPDATE pg_class SET reltuples = 10000 WHERE relname = 'tests_asset_visual'")
        assert self.found() == set()

    def test_before_the_first_migrate(self):
        with connection.cursor() as cursor:
            for field in all_embedding_fields():
                cursor.execute(f"DROP TABLE {field.vectors._meta.db_table}")
        assert self.found() == set()


class Router:
    def allow_migrate(self, db, app_label, **hints):
        return False if app_label == "mmsearch_django" else None


def test_a_database_that_is_down_is_not_an_error_of_ours(monkeypatch):
    def refuse(using):
        raise OperationalError("down")

    monkeypatch.setattr(checks, "pgvector_version", refuse)
    assert checks.check_databases(databases=["default"]) == []


def test_every_id_has_a_meaning_and_is_used():
    source = Path(checks.__file__).read_text()
    for id in checks.MEANINGS:
        assert source.count(id) + (id in OF_EMBEDDERS) >= 2, id

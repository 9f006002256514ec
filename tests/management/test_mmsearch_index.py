import sys
import threading
from types import SimpleNamespace

import pytest
from django.core.files.base import ContentFile
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import F

from mmsearch_django.embedders.dummy import DummyEmbedder, DummyEngine
from mmsearch_django.exceptions import CorruptFile, EmbedderUnavailable, StorageUnavailable
from mmsearch_django.fields import embedding_fields
from mmsearch_django.indexing import hnsw, sweep
from mmsearch_django.indexing.status import status
from mmsearch_django.indexing.targets import target
from mmsearch_django.models import Space
from tests.colours import encoded
from tests.indexing.conftest import switch
from tests.models import Asset, Clip


@pytest.fixture
def words(transactional_db):
    return target(embedding_fields(Asset)["words"])


def index(*labels, **options):
    call_command("mmsearch_index", *labels, **{"verbosity": 0, **options})


def failing(monkeypatch, words, error):
    def read(instance):
        raise error

    monkeypatch.setattr(words.field.source, "read", read)


def unseen(sql):
    with connection.cursor() as cursor:
        cursor.execute(f"SET session_replication_role = replica; {sql}; SET session_replication_role = origin")


def test_it_embeds_everything(words, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    unseen("INSERT INTO tests_asset (title) SELECT 'asset ' || n FROM generate_series(1, 70) n")
    Clip.objects.create(caption="a")
    index(verbosity=1)
    assert (status(words).ready, status(words).total) == (70, 70)
    assert Clip.objects.get().words
    captured = capsys.readouterr()
    assert "tests.Asset.words: 100%" in captured.err
    assert "tests.Asset.words rows:" in captured.err
    assert captured.out == ""


def test_it_is_quiet(words, capsys, monkeypatch):
    Asset.objects.create(title="a")
    index(verbosity=1)  # Where no terminal shows a bar.
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    index(verbosity=0)
    assert capsys.readouterr() == ("", "")


def test_only_what_is_asked_for(words):
    Asset.objects.create(title="a")
    Clip.objects.create(caption="a")
    index("tests.Asset", field="words")
    assert status(words).ready == 1
    assert not Clip.objects.filter(words__isnull=False).exists()
    assert not Asset.objects.filter(visual__isnull=False).exists()


def test_files_replaced_under_the_same_name(transactional_db, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    asset = Asset.objects.create(file=ContentFile(encoded("red"), name="a.png"))
    index()
    before = Asset.objects.get().visual.embedded_at
    (tmp_path / asset.file.name).write_bytes(encoded("blue"))
    index()
    assert Asset.objects.get().visual.embedded_at == before
    index(check_files=True)
    assert Asset.objects.get().visual.embedded_at > before


def test_an_unknown_field(words):
    with pytest.raises(CommandError, match=r"There are no embedding field 'look' in tests\.Asset"):
        index("tests.Asset", field="look")


def test_failed_assets_are_told_and_no_failure(words, monkeypatch, capsys):
    Asset.objects.create(title="a")
    failing(monkeypatch, words, CorruptFile("cut short"))
    index("tests.Asset", field="words")
    assert capsys.readouterr().err == "tests.Asset.words: 1 failed with CorruptFile\n"


def test_failed_assets_are_tried_again_when_asked(words, monkeypatch):
    Asset.objects.create(title="a")
    with monkeypatch.context() as patch:
        failing(patch, words, CorruptFile("cut short"))
        index()
    index()
    assert status(words).failed == 1
    index(retry_failed=True)
    assert (status(words).failed, status(words).ready) == (0, 1)


def test_failed_assets_of_one_error_class_are_tried_again(words, monkeypatch):
    corrupt, odd = Asset.objects.create(title="corrupt"), Asset.objects.create(title="odd")
    errors = {corrupt.title: CorruptFile("cut short"), odd.title: LookupError("of a site's own source")}
    with monkeypatch.context() as patch:

        def read(instance):
            raise errors[instance.title]

        patch.setattr(words.field.source, "read", read)
        index("tests.Asset", field="words")
    index("tests.Asset", retry_failed=True, error_classes=["StorageUnavailable"])
    assert status(words).errors == {"CorruptFile": 1, "LookupError": 1}
    index("tests.Asset", retry_failed=True, error_classes=["LookupError", "EmptyFile"])
    assert status(words).errors == {"CorruptFile": 1}
    index("tests.Asset", retry_failed=True, error_classes=["CorruptFile"])
    assert status(words).ready == 2


def test_an_unknown_error_class_names_those_that_exist(words):
    with pytest.raises(CommandError, match=r"no error class 'Corupt'\. There are: .*CorruptFile, .*WorkerDied\."):
        call_command("mmsearch_index", "--retry-failed", "--error-class", "Corupt", "--error-class", "EmptyFile")


def test_an_error_class_alone_is_nothing(words):
    with pytest.raises(CommandError, match="--retry-failed"):
        index(error_classes=["CorruptFile"])


def test_what_is_left_pending_is_a_failure(words, monkeypatch):
    Asset.objects.create(title="a")
    failing(monkeypatch, words, StorageUnavailable("timeout"))
    with pytest.raises(CommandError, match=r"tests\.Asset\.words: 1 are left pending"):
        index()


def test_an_embedder_that_is_away_is_a_failure(words, monkeypatch):
    Asset.objects.create(title="a")

    def texts(self, texts, *, query):
        raise EmbedderUnavailable("no weights; download them")

    monkeypatch.setattr(DummyEngine, "texts", texts)
    with pytest.raises(CommandError, match="no weights; download them"):
        index()


def test_the_index_is_built_when_it_pays(words, monkeypatch):
    monkeypatch.setattr(hnsw, "PAYS", 2)
    Asset.objects.bulk_create([Asset(title="a"), Asset(title="b")])
    try:
        index(no_index=True)
        assert hnsw.state(words) == "none"
        index()
        assert hnsw.state(words) == "valid"
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP INDEX IF EXISTS tests_asset_words_hnsw")


class TestDropIndex:
    """When most of a large field is pending."""

    @pytest.fixture(autouse=True)
    def large(self, words, monkeypatch):
        monkeypatch.setattr(hnsw, "PAYS", 2)
        Asset.objects.bulk_create([Asset(title="a"), Asset(title="b")])
        index("tests.Asset", field="words")
        Asset.objects.update(title=F("pk"))
        yield
        with connection.cursor() as cursor:
            cursor.execute("DROP INDEX IF EXISTS tests_asset_words_hnsw")

    @pytest.fixture
    def dropped(self, monkeypatch):
        """The fields whose index was dropped, in their order."""
        found = []
        monkeypatch.setattr(
            hnsw, "drop", lambda target, drop=hnsw.drop: found.append(target.field.name) or drop(target)
        )
        return found

    @pytest.fixture
    def answering(self, monkeypatch):
        """Somebody is there, who says this when asked."""

        def answer(said):
            asked = []
            monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
            monkeypatch.setattr("builtins.input", lambda prompt: asked.append(prompt) or said)
            return asked

        return answer

    def test_when_asked_for(self, words, dropped, capsys):
        index("tests.Asset", field="words", drop_index=True, verbosity=1)
        assert dropped[0] == "words"
        assert (status(words).ready, hnsw.state(words)) == (2, "valid")
        said = capsys.readouterr().err
        assert "dropped the HNSW index. Searches stay right meanwhile: exact, and slower." in said
        assert "built the HNSW index" in said

    @pytest.mark.parametrize(("said", "times"), [("y", 1), ("", 0), ("n", 0)])
    def test_whoever_is_there_is_asked(self, words, dropped, answering, said, times):
        asked = answering(said)
        index("tests.Asset", field="words", verbosity=1)
        [prompt] = asked
        assert "2 are pending" in prompt
        assert dropped[:1] == ["words"] * times
        assert (status(words).ready, hnsw.state(words)) == (2, "valid")

    def test_nobody_is_asked_who_has_decided(self, words, dropped, answering):
        asked = answering("y")
        call_command("mmsearch_index", "tests.Asset", "--field", "words", "--keep-index")
        assert (asked, dropped) == ([], [])

    def test_scripts_are_told(self, words, dropped, monkeypatch, capsys):
        monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: False))
        index("tests.Asset", field="words", verbosity=1)
        assert "2 are pending, and its HNSW index makes writing them several times slower" in capsys.readouterr().err
        assert dropped == []

    def test_a_terminal_shows_how_far_the_build_is(self, words, monkeypatch, capsys):
        asked = threading.Semaphore(0)

        def progress(target):
            asked.release()
            return hnsw.Progress("building index", 5, 10)

        def build(target, build=hnsw.build):
            assert asked.acquire(timeout=10)
            assert asked.acquire(timeout=10)  # What it was told the first time is on the bar.
            return build(target)

        monkeypatch.setattr(hnsw, "progress", progress)
        monkeypatch.setattr(hnsw, "build", build)
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        index("tests.Asset", field="words", drop_index=True, verbosity=1)
        said = capsys.readouterr().err
        assert "building the HNSW index of 2 vectors" in said
        assert "5/10" in said
        assert hnsw.state(words) == "valid"

    def test_a_small_part_is_written_with_it(self, words, dropped, monkeypatch):
        index("tests.Asset", field="words", drop_index=False)
        monkeypatch.setattr(hnsw, "PAYS", 1)
        Asset.objects.filter(title=Asset.objects.first().title).update(title="c")
        index("tests.Asset", field="words", drop_index=True)
        assert dropped == []


class TestReembed:
    def test_another_embedder(self, words, settings, capsys):
        Asset.objects.create(title="a")
        index()
        switch(settings)
        Asset.objects.create(title="b")
        with pytest.raises(CommandError, match="mmsearch_index tests.Asset --field words --reembed"):
            index("tests.Asset", field="words")
        index("tests.Asset", field="words", reembed=True, verbosity=1)
        assert "gave up the vectors of dummy:@#/32; embedding anew" in capsys.readouterr().err
        assert (status(words).ready, words.signature) == (2, str(words.field.embedder.signature))

    def test_all_fields_that_differ_and_only_those(self, words, settings):
        Asset.objects.create(title="a")
        Clip.objects.create(caption="a")
        index()
        clips = target(embedding_fields(Clip)["words"])
        Space.objects.filter(pk=clips.space).update(signature="another")
        before = words.vectors.get().embedded_at
        index(reembed=True)
        assert words.vectors.get().embedded_at == before
        assert clips.vectors.get().signature == clips.field.embedder.signature.short
        at = clips.vectors.get().embedded_at
        index(reembed=True)
        assert clips.vectors.get().embedded_at == at

    def test_a_plain_run_takes_up_what_was_cut_short(self, words, settings, monkeypatch):
        Asset.objects.bulk_create([Asset(title=title) for title in "abc"])
        index()
        switch(settings)
        with monkeypatch.context() as patch:
            patch.setattr(sweep, "sweep_all", interrupt)
            with pytest.raises(KeyboardInterrupt):
                index("tests.Asset", field="words", reembed=True)
        assert status(words).pending == 3
        index("tests.Asset", field="words")
        assert status(words).ready == 3

    def test_other_dimensions(self, words, settings):
        Asset.objects.create(title="a")
        index()
        switch(settings, dimensions=48)
        with pytest.raises(CommandError, match=r"makes 48\. Run manage\.py makemigrations tests, then"):
            index("tests.Asset", field="words", reembed=True)


def interrupt(target, **options):
    raise KeyboardInterrupt


def test_stale_vectors_are_renewed_when_asked(words, monkeypatch):
    Asset.objects.create(title="a")
    index()
    monkeypatch.setattr(DummyEmbedder, "preprocessing", 2)
    index()
    assert status(words).stale == 1
    index(stale=True)
    assert (status(words).stale, words.vectors.get().preprocessing) == (0, 2)

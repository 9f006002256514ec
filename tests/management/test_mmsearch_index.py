import pytest
from django.core.files.base import ContentFile
from django.core.management import CommandError, call_command
from django.db import connection

from mmsearch_django.embedders.dummy import DummyEngine
from mmsearch_django.exceptions import CorruptFile, EmbedderUnavailable, StorageUnavailable
from mmsearch_django.fields import embedding_fields
from mmsearch_django.indexing import hnsw
from mmsearch_django.indexing.status import status
from mmsearch_django.indexing.targets import target
from mmsearch_django.models import Space
from tests.colours import encoded
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


def test_it_embeds_everything(words, capsys):
    unseen("INSERT INTO tests_asset (title) SELECT 'asset ' || n FROM generate_series(1, 70) n")
    Clip.objects.create(caption="a")
    index(verbosity=1)
    assert (status(words).ready, status(words).total) == (70, 70)
    assert Clip.objects.get().words
    captured = capsys.readouterr()
    assert "tests.Asset.words" in captured.err
    assert captured.out == ""


def test_it_is_quiet(words, capsys):
    Asset.objects.create(title="a")
    index()
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


def test_starting_over_with_another_embedder(words, settings):
    Asset.objects.create(title="a")
    index()
    default = {**settings.MMSEARCH["EMBEDDERS"]["default"], "MODEL": "other"}
    settings.MMSEARCH = {"EMBEDDERS": {"default": default}}
    Asset.objects.create(title="b")
    with pytest.raises(CommandError, match="--start-over"):
        index("tests.Asset", field="words")
    with pytest.raises(CommandError, match="name the model and the --field"):
        index(start_over=True)
    index("tests.Asset", field="words", start_over=True)
    assert status(words).ready == 2
    assert Space.objects.get(pk=words.space).signature == str(words.field.embedder.signature)

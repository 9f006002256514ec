import csv
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from PIL import Image

from example_project.library.importing import kind_of
from example_project.library.models import Asset

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _media(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path / "media"


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    return folder


HEAD = ["file", "title", "caption", "category", "source", "licence"]


def write(folder, *rows, head=HEAD):
    text = StringIO()
    csv.writer(text).writerows([head, *rows])
    (folder / "metadata.csv").write_text(text.getvalue(), encoding="utf-8")


def picture(folder, name, colour="red"):
    (folder / name).parent.mkdir(exist_ok=True)
    Image.new("RGB", (8, 8), colour).save(folder / name)


def content(asset):
    with asset.file.open() as file:
        return file.read()


def imported(folder, capsys):
    call_command("import_media", folder, verbosity=1)
    out, err = capsys.readouterr()
    return out.strip(), err


def test_files_become_assets(folder, capsys):
    picture(folder, "red.png")
    (folder / "sub").mkdir()
    (folder / "sub/notes.pdf").write_bytes(b"%PDF-1.4")
    write(
        folder,
        ["red.png", "Red, plain", "A red square", "colours", "https://example.org", "CC0-1.0"],
        ["sub/notes.pdf", "Notes", "", "", "", ""],
    )
    assert imported(folder, capsys)[0] == "2 imported, 0 known already, 0 skipped."
    red, notes = Asset.objects.order_by("pk")
    assert (red.title, red.caption, red.category, red.licence) == ("Red, plain", "A red square", "colours", "CC0-1.0")
    assert red.kind == "image"
    assert red.file.name.endswith("/red.png")
    assert content(red) == (folder / "red.png").read_bytes()
    assert notes.kind == "document"


def test_twice_imports_nothing_twice(folder, capsys):
    picture(folder, "red.png")
    write(folder, ["red.png", "Red", "", "", "", ""])
    imported(folder, capsys)
    assert imported(folder, capsys)[0] == "0 imported, 1 known already, 0 skipped."
    assert Asset.objects.count() == 1


def test_other_folders_may_use_the_same_names(folder, tmp_path, capsys):
    for name, colour in (("one", "red"), ("two", "blue")):
        (tmp_path / name).mkdir()
        picture(tmp_path / name, "a.png", colour)
        write(tmp_path / name, ["a.png", colour, "", "", "", ""])
        imported(tmp_path / name, capsys)
    one, two = Asset.objects.order_by("pk")
    assert content(one) != content(two)
    assert one.file.name.rpartition("/")[2] == two.file.name.rpartition("/")[2] == "a.png"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (["missing.png", "a", "", "", "", ""], "missing.png is not there"),
        (["../secret.png", "a", "", "", "", ""], "../secret.png is outside the folder"),
        (["", "a", "", "", "", ""], "it names no file"),
        (["red.png", "", "", "", "", ""], "title: This field cannot be blank"),
        (["red.png", "a" * 201, "", "", "", ""], "title: Ensure this value has at most 200 characters"),
        (["red.png", "a", "", "c" * 101, "", ""], "category: Ensure this value has at most 100 characters"),
        (["red.png", "a", "", "", "", "", "more"], "it has more columns than the head"),
        (["red.png", "a\0b", "", "", "", ""], "NUL"),
    ],
)
def test_a_bad_row_is_reported_and_the_rest_is_imported(folder, capsys, row, reason):
    picture(folder, "red.png")
    picture(folder, "blue.png", "blue")
    picture(folder.parent, "secret.png")
    write(folder, row, ["blue.png", "Blue", "", "", "", ""])
    out, err = imported(folder, capsys)
    assert out == "1 imported, 0 known already, 1 skipped."
    assert "metadata.csv, line 2: " in err
    assert reason in err
    assert Asset.objects.get().title == "Blue"


def test_a_row_that_is_no_utf_8_spoils_no_other(folder, capsys):
    picture(folder, "red.png")
    picture(folder, "blue.png", "blue")
    (folder / "metadata.csv").write_bytes(b"file,title\nred.png,caf\xe9\nblue.png,Blue\n")
    out, err = imported(folder, capsys)
    assert out == "1 imported, 0 known already, 1 skipped."
    assert "line 2: title is not UTF-8" in err


def test_columns_may_be_missing_and_others_are_ignored(folder, capsys):
    picture(folder, "red.png")
    write(folder, ["Red", "red.png", "painter"], head=["title", "file", "author"])
    assert imported(folder, capsys)[0].startswith("1 imported")
    assert Asset.objects.get().creator == ""


def test_a_folder_without_metadata(folder):
    with pytest.raises(CommandError, match=r"metadata.csv cannot be read: No such file"):
        call_command("import_media", folder)
    write(folder, head=["name", "title"])
    with pytest.raises(CommandError, match="has no column 'file'; it should have file, title, caption"):
        call_command("import_media", folder)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.JPG", "image"),
        ("a.webp", "image"),
        ("a.heic", "image"),
        ("a.mp4", "video"),
        ("a.wav", "audio"),
        ("a.pdf", "document"),
        ("a.docx", "document"),
        ("a.txt", "document"),
        ("a.zip", "other"),
        ("a", "other"),
    ],
)
def test_kinds(name, kind):
    assert kind_of(name) == kind


def test_all_but_the_title_may_be_left_out_by_raw_sql():
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO library_asset (title) VALUES ('raw')")
    asset = Asset.objects.get()
    assert (asset.kind, asset.caption, asset.licence, asset.taken_on) == ("other", "", "", None)
    assert asset.created_at is not None

"""Assets from a folder: the files, and metadata.csv, which says what they are."""

import csv
import mimetypes
from collections.abc import Iterator
from hashlib import file_digest
from pathlib import Path

from django.core.exceptions import ValidationError
from django.core.files import File
from django.core.files.storage import Storage

from example_project.library.models import Asset

METADATA = "metadata.csv"
STORED = ("title", "caption", "category", "licence")

DOCUMENTS = ("text/", *(f"application/{name}" for name in ("pdf", "msword", "rtf", "vnd.", "epub")))
SUFFIXES = {".webp": Asset.Kind.IMAGE, ".avif": Asset.Kind.IMAGE, ".heic": Asset.Kind.IMAGE, ".md": Asset.Kind.DOCUMENT}
"""What Python 3.11 does not know."""


class BadRow(Exception):
    """Why a row is not imported."""


Row = dict[str | None, str | None]


def rows(folder: Path) -> Iterator[tuple[int, Row | BadRow]]:
    """The rows of the folder's metadata.csv, each with its line. Raises BadRow if there is none to read."""
    try:
        # What is no UTF-8 is kept apart here, so that one bad row does not spoil the others.
        file = (folder / METADATA).open(encoding="utf-8-sig", errors="surrogateescape", newline="")
    except OSError as error:
        raise BadRow(f"{folder / METADATA} cannot be read: {error.strerror}.") from error
    with file:
        reader = csv.DictReader(file)
        if "file" not in (reader.fieldnames or ()):
            raise BadRow(f"{folder / METADATA} has no column 'file'; it should have file, {', '.join(STORED)}.")
        while True:
            try:
                row: Row | BadRow = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                row = BadRow(str(error))
            yield reader.line_num, row


def import_row(folder: Path, row: Row) -> bool:
    """Store a row's file and make its asset, unless it is there already. Returns whether it was made.

    The file is kept under its own name in a folder named after its content: so the same file is known again, and others
    of the same name stay apart. Raises BadRow.
    """
    values = {name: _text(row, name) for name in STORED}
    path = _path(folder, _text(row, "file"))
    asset = Asset(**values, kind=kind_of(path.name))
    storage: Storage = Asset._meta.get_field("file").storage
    try:
        with path.open("rb") as content:
            asset.file.name = f"assets/{file_digest(content, 'sha256').hexdigest()[:16]}/{path.name}"
            if Asset.objects.filter(file=asset.file.name).exists():
                return False
            asset.full_clean()
            if not storage.exists(asset.file.name):
                content.seek(0)
                asset.file.name = storage.save(asset.file.name, File(content))
    except OSError as error:
        raise BadRow(f"{path.name} cannot be read: {error.strerror or error}.") from error
    except ValidationError as error:
        raise BadRow("; ".join(f"{name}: {' '.join(texts)}" for name, texts in error.message_dict.items())) from error
    asset.save()
    return True


def kind_of(name: str) -> Asset.Kind:
    """By the suffix of a file's name."""
    guessed = mimetypes.guess_type(name)[0] or ""
    family = guessed.partition("/")[0]
    if family in (Asset.Kind.IMAGE, Asset.Kind.VIDEO, Asset.Kind.AUDIO):
        return Asset.Kind(family)
    if guessed.startswith(DOCUMENTS):
        return Asset.Kind.DOCUMENT
    return SUFFIXES.get(Path(name).suffix.lower(), Asset.Kind.OTHER)


def _text(row: Row, name: str) -> str:
    if None in row:
        raise BadRow("it has more columns than the head.")
    text = (row.get(name) or "").strip()
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadRow(f"{name} is not UTF-8.") from None
    if "\0" in text:
        raise BadRow(f"{name} has a NUL in it.")
    return text


def _path(folder: Path, name: str) -> Path:
    if not name:
        raise BadRow("it names no file.")
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise BadRow(f"{name} is outside the folder.")
    if not path.is_file():
        raise BadRow(f"{name} is not there.")
    return path

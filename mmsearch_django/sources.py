"""Sources: what part of an instance is embedded, its modality, and the columns that this depends on."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, ClassVar

from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.db.models.constants import LOOKUP_SEP
from PIL.Image import Image

from mmsearch_django.embedders.base import Modality
from mmsearch_django.exceptions import ConfigurationError
from mmsearch_django.media import images
from mmsearch_django.relations import Path, path


@dataclass(frozen=True)
class Content:
    """What a source read: a text or a normalised picture, and the digest of the bytes it was made from."""

    value: str | Image
    digest: bytes


class Skip(Exception):
    """This instance has nothing to embed here; the message says why."""


class Source:
    """Base of sources. ``fields`` are names of the model's own columns, or of paths to columns of related ones."""

    modality: ClassVar[Modality]

    def __init__(self, *fields: str) -> None:
        if not fields or not all(isinstance(field, str) and field for field in fields):
            raise ConfigurationError(f"{type(self).__name__} takes the names of the fields that it reads.")
        self.fields = fields

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.fields))})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), self.fields))

    def columns(self, model: type[models.Model]) -> list["models.Field[Any, Any]"]:
        """The model's own concrete fields that it watches. Raises ConfigurationError for a name that is none."""
        return [self._column(model, name) for name in self.fields if LOOKUP_SEP not in name]

    def paths(self, model: type[models.Model]) -> list[Path]:
        """The columns of related models that it watches. Raises ConfigurationError for a name that is none."""
        return [path(model, name) for name in self.fields if LOOKUP_SEP in name]

    def read(self, instance: models.Model) -> Content:
        """What to embed of this instance. Raises Skip when there is nothing, AssetError when it is unreadable."""
        raise NotImplementedError

    def digest(self, instance: models.Model) -> bytes:
        """That of the content, which a subclass may know for less. Raises what ``read`` raises of a missing one."""
        return self.read(instance).digest

    def _column(self, model: type[models.Model], name: str) -> "models.Field[Any, Any]":
        try:
            field = model._meta.get_field(name)
        except FieldDoesNotExist:
            raise ConfigurationError(f"{self!r} names no field: {model._meta.label} has no field {name!r}.") from None
        if not isinstance(field, models.Field) or not field.concrete or field.many_to_many:
            raise ConfigurationError(f"{self!r}: {model._meta.label}.{name} is no column of its own.")
        return field


class TextSource(Source):
    """The given text fields, joined by newlines; empty ones are left out.

    ``tags__name`` stands for the names of all tags, in the order of the tags' keys.
    """

    modality = "text"

    def read(self, instance: models.Model) -> Content:
        values = [value for name in self.fields for value in self._values(instance, name)]
        text = "\n".join(str(value).strip() for value in values if value is not None and str(value).strip())
        if not text:
            raise Skip(
                "No text: " + ", ".join(self.fields) + (" is empty." if len(self.fields) == 1 else " are empty.")
            )
        return Content(text, sha256(text.encode()).digest())

    def _values(self, instance: models.Model, name: str) -> Sequence[Any]:
        return path(type(instance), name).values(instance) if LOOKUP_SEP in name else [getattr(instance, name)]


class ImageSource(Source):
    """The picture in a FileField or ImageField, read through the field's storage.

    ``photo__file`` is the file of the photo that a foreign key names.
    """

    modality = "image"

    def __init__(self, field: str) -> None:
        super().__init__(field)

    def columns(self, model: type[models.Model]) -> list["models.Field[Any, Any]"]:
        columns = super().columns(model)
        for column in columns:
            self._require_file(column)
        return columns

    def paths(self, model: type[models.Model]) -> list[Path]:
        paths = super().paths(model)
        for found in paths:
            self._require_file(found.column)
            if found.many:
                raise ConfigurationError(f"{self!r} names many pictures of one {model._meta.label}; it embeds one.")
        return paths

    def _require_file(self, column: "models.Field[Any, Any]") -> None:
        if not isinstance(column, models.FileField):
            raise ConfigurationError(f"{self!r}: {column.model._meta.label}.{column.name} is no FileField.")

    def read(self, instance: models.Model) -> Content:
        file = self._file(instance)
        picture = images.read(file)
        if picture is None:
            raise Skip(f"{file.name} is no picture.")
        return Content(picture.image, picture.digest)

    def digest(self, instance: models.Model) -> bytes:
        file = self._file(instance)
        digest = images.digest(file)
        if digest is None:
            raise Skip(f"{file.name} is no picture.")
        return digest

    def _file(self, instance: models.Model) -> Any:
        [name] = self.fields
        file: Any = instance
        for step in name.split(LOOKUP_SEP):
            file = getattr(file, step, None)
        if not file:
            raise Skip(f"No file in {name}.")
        return file

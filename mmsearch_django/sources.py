"""Sources: what part of an instance is embedded, its modality, and the columns that this depends on."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, ClassVar

from django.core.exceptions import FieldDoesNotExist
from django.db import models
from PIL.Image import Image

from mmsearch_django.embedders.base import Modality
from mmsearch_django.exceptions import ConfigurationError
from mmsearch_django.media import images


@dataclass(frozen=True)
class Content:
    """What a source read: a text or a normalised picture, and the digest of the bytes it was made from."""

    value: str | Image
    digest: bytes


class Skip(Exception):
    """This instance has nothing to embed here; the message says why."""


class Source:
    """Base of sources. ``fields`` are names of the model's own columns."""

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
        """The concrete fields that it watches. Raises ConfigurationError for a name that is none."""
        return [self._column(model, name) for name in self.fields]

    def read(self, instance: models.Model) -> Content:
        """What to embed of this instance. Raises Skip when there is nothing, AssetError when it is unreadable."""
        raise NotImplementedError

    def _column(self, model: type[models.Model], name: str) -> "models.Field[Any, Any]":
        try:
            field = model._meta.get_field(name)
        except FieldDoesNotExist:
            raise ConfigurationError(f"{self!r} names no field: {model._meta.label} has no field {name!r}.") from None
        if not isinstance(field, models.Field) or not field.concrete or field.many_to_many:
            raise ConfigurationError(f"{self!r}: {model._meta.label}.{name} is no column of its own.")
        return field


class TextSource(Source):
    """The given text fields, joined by newlines; empty ones are left out."""

    modality = "text"

    def read(self, instance: models.Model) -> Content:
        values: Sequence[Any] = [getattr(instance, name) for name in self.fields]
        text = "\n".join(str(value).strip() for value in values if value is not None and str(value).strip())
        if not text:
            raise Skip(
                "No text: " + ", ".join(self.fields) + (" is empty." if len(self.fields) == 1 else " are empty.")
            )
        return Content(text, sha256(text.encode()).digest())


class ImageSource(Source):
    """The picture in a FileField or ImageField, read through the field's storage."""

    modality = "image"

    def __init__(self, field: str) -> None:
        super().__init__(field)

    def columns(self, model: type[models.Model]) -> list["models.Field[Any, Any]"]:
        [column] = super().columns(model)
        if not isinstance(column, models.FileField):
            raise ConfigurationError(f"{self!r}: {model._meta.label}.{column.name} is no FileField.")
        return [column]

    def read(self, instance: models.Model) -> Content:
        [name] = self.fields
        file = getattr(instance, name)
        if not file:
            raise Skip(f"No file in {name}.")
        picture = images.read(file)
        if picture is None:
            raise Skip(f"{file.name} is no picture.")
        return Content(picture.image, picture.digest)

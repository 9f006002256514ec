"""Typed errors. Each message names the model, field, alias or file, and the fix."""

from django.core.exceptions import ImproperlyConfigured


class MmsearchError(Exception):
    """Base of everything that this package raises on purpose."""


class ConfigurationError(MmsearchError, ImproperlyConfigured):
    """Settings or declarations that cannot work."""


class NotIndexed(MmsearchError):
    """``similar_to(obj)`` was asked for an object that has no vector yet."""


class JudgementError(MmsearchError, ValueError):
    """Judged queries that cannot be read or do not fit what is searched."""


# Queries


class QueryError(MmsearchError, ValueError):
    """A search was asked with arguments that cannot be answered."""

    argument: str | None = None
    """The argument that is wrong, by its name; None where it is not one alone."""

    def __init__(self, message: str, argument: str | None = None) -> None:
        super().__init__(message)
        self.argument = argument or self.argument


class EmptyQuery(QueryError):
    """Nothing to search by."""

    argument = "text"


class UnknownField(QueryError):
    """``fields=`` or ``weights=`` names no embedding field of the model."""

    argument = "fields"


class InvalidVector(QueryError):
    """A query vector of the wrong dimensions, not finite, or of length zero."""

    argument = "vector"


class UnreadableImage(QueryError):
    """The picture to search by could not be read."""

    argument = "image"


class ExampleGone(QueryError):
    """The key of a picture to search by is wrong, or the picture is kept no longer."""

    argument = "example"


# Embedders


class EmbedderError(MmsearchError):
    """An embedder cannot serve."""


class EmbedderUnavailable(EmbedderError):
    """Its weights, libraries or server are missing or do not answer."""


class SelfTestFailed(EmbedderError):
    """It loaded, but what it returns cannot be right; it must not serve."""


class SignatureMismatch(EmbedderError):
    """A field's vectors were made by another embedder than the one configured, and cannot be compared with its own."""


# Assets: what can be wrong with one file. The class name is the error class that states record.


class AssetError(MmsearchError):
    """One asset cannot be embedded; its neighbours can."""

    permanent = True


class MissingFile(AssetError):
    """The storage does not hold the file that the row names."""


class EmptyFile(AssetError):
    """The file has no bytes."""


class CorruptFile(AssetError):
    """The file is damaged or cut short."""


class UnsupportedFile(AssetError):
    """The file's content is no format that can be read, whatever its name says."""


class FileTooLarge(AssetError):
    """The file has more bytes than MAX_BYTES."""


class TooManyPixels(AssetError):
    """The picture has more pixels than MAX_PIXELS."""


class WorkerDied(AssetError):
    """Workers ended, again and again, while they worked on it."""


class StorageUnavailable(AssetError):
    """The storage did not answer; worth trying again."""

    permanent = False

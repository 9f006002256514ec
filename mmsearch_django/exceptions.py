"""Typed errors. Each message names the model, field, alias or file, and the fix."""

from typing import ClassVar

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

    retry_after: float | None = None
    """Seconds that the server asks to be left alone; indexing waits so long."""

    def __init__(self, message: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class EmbedderMisconfigured(EmbedderUnavailable, ConfigurationError):
    """Its server or worker answers, and says that the settings cannot work: a wrong key, address, model or length."""


class InputRefused(EmbedderError):
    """The server behind it would not embed an input; others it may. Not permanent where it may have failed itself."""

    def __init__(self, message: str = "", *, permanent: bool = True) -> None:
        super().__init__(message)
        self.permanent = permanent


class SelfTestFailed(EmbedderError):
    """It loaded, but what it returns cannot be right; it must not serve."""


class SignatureMismatch(EmbedderError):
    """A field's vectors were made by another embedder than the one configured, and cannot be compared with its own."""


# Assets: what can be wrong with one file. The class name is the error class that states record; the documentation's
# table is made from the docstrings, ``permanent`` and ``advice``.


class AssetError(MmsearchError):
    """One asset cannot be embedded; its neighbours can."""

    permanent: ClassVar[bool] = True
    """Whether it stays failed until somebody does something; else it is tried again."""
    advice: ClassVar[str] = ""
    """What to do about it, in a sentence for those who look after the library."""


class MissingFile(AssetError):
    """The storage does not hold the file that the row names."""

    advice = "Upload the file again, or clear the field."


class AccessDenied(AssetError):
    """The storage does not let this site read the file."""

    advice = "Let the workers read it, then try again with mmsearch_index --retry-failed."


class EmptyFile(AssetError):
    """The file has no bytes."""

    advice = "Upload the file again."


class CorruptFile(AssetError):
    """The file is damaged or cut short."""

    advice = "Upload an intact copy."


class UnsupportedFile(AssetError):
    """The file's content is no format that can be read, whatever its name says."""

    advice = "Convert it to JPEG, PNG or WebP."


class FileTooLarge(AssetError):
    """The file has more bytes than MAX_BYTES."""

    advice = "Upload a smaller copy, or raise the setting."


class TooManyPixels(AssetError):
    """The picture has more pixels than MAX_PIXELS."""

    advice = "Upload a smaller copy, or raise the setting."


class TooMuchMemory(AssetError):
    """Decoding the file needs more memory than DECODE_MEMORY."""

    advice = "Save it anew as JPEG or PNG, or smaller, or raise the setting."


class TooMuchTime(AssetError):
    """Decoding the file takes longer than DECODE_SECONDS."""

    advice = "Save it anew as JPEG or PNG, or smaller, or raise the setting."


class DecoderDied(AssetError):
    """Decoding the file ended the process that did it, twice."""

    advice = "Save it anew as JPEG or PNG with a program that can open it; report it if it is harmless."


class WorkerDied(AssetError):
    """Workers ended, again and again, while they worked on it."""

    advice = "Look into the workers' logs; then try again with mmsearch_index --retry-failed."


class StorageUnavailable(AssetError):
    """The storage did not answer, or gave half a file; worth trying again."""

    permanent = False
    advice = "Nothing, at first. If it lasts: see that workers reach the storage."


ASSET_ERRORS: tuple[type[AssetError], ...] = tuple(AssetError.__subclasses__())
"""Those above, in their order."""

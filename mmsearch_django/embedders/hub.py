"""Files of a pinned revision of a model hub: where they are on this machine, and how they get there.

Only ``download`` reaches the network, and only the command mmsearch_download calls it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from hashlib import sha1, sha256
from pathlib import Path
from typing import Any

from mmsearch_django.exceptions import EmbedderUnavailable

CHUNK = 1024 * 1024
COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Checkpoint:
    """Files of one commit of a repository, in the hub's cache or in a folder of the site's own."""

    model: str
    revision: str
    files: tuple[str, ...]
    """Names or patterns (``*.safetensors``, in whatever folder); each must be there."""
    licence: str = ""
    """What the embedder's author read on the model's card; the hub's word, where it has one, comes first."""
    folder: Path | None = None
    extras: tuple[str, ...] = ()
    """Names or patterns of what is fetched as well, where the repository has it."""

    def __str__(self) -> str:
        return f"{self.model} at {self.revision}"

    @property
    def place(self) -> Path:
        """The folder that the files are in."""
        if self.folder is not None:
            return self.folder
        from huggingface_hub import constants

        # The cache's layout is documented; asking the library for it would import its HTTP client into every process.
        return Path(constants.HF_HUB_CACHE, f"models--{self.model.replace('/', '--')}", "snapshots", self.revision)

    def path(self, name: str) -> Path:
        return self.place / name

    def missing(self) -> list[str]:
        """Which files, or patterns that no file has, are not on this machine."""
        present = self.present()
        return [pattern for pattern in self.files if not matching(present, [pattern])]

    def present(self) -> list[str]:
        """The names of those that are on this machine."""
        below = (path.relative_to(self.place).as_posix() for path in self.place.rglob("*") if path.is_file())
        return matching(sorted(below), self.files + self.extras)


def matching(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """The names that are, or have the pattern of, any of these; in the order of the patterns."""
    found = [name for pattern in patterns for name in names if fnmatchcase(name, pattern)]
    return list(dict.fromkeys(found))


def is_commit(revision: str) -> bool:
    """Whether it is the full name of a commit, and so never moves, as branches and tags do."""
    return COMMIT.fullmatch(revision) is not None


def is_commercial(licence: str) -> bool:
    """Whether a licence, as hubs abbreviate it, is known to allow commercial use as well."""
    return licence not in ("", "other", "unknown") and "nc" not in licence.lower().split("-")


# From the hub


@dataclass(frozen=True)
class Published:
    """A file as the hub lists it."""

    name: str
    size: int
    sha256: str
    """Empty for small files, which the hub keeps in git."""
    blob: str
    """What git calls it: a SHA-1."""


@dataclass(frozen=True)
class Listing:
    licence: str
    files: tuple[Published, ...]


def is_offline() -> bool:
    """Whether HF_HUB_OFFLINE forbids to reach the hub."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def listing(checkpoint: Checkpoint) -> Listing:
    """What the hub says of the files. Raises EmbedderUnavailable if it does not answer, or has another commit."""
    from huggingface_hub import HfApi

    try:
        info = HfApi().model_info(checkpoint.model, revision=checkpoint.revision, files_metadata=True)
    except Exception as error:
        raise _unavailable(checkpoint, error) from error
    if info.sha != checkpoint.revision:
        raise EmbedderUnavailable(f"The hub answered with commit {info.sha} when asked for {checkpoint}.")
    siblings = {sibling.rfilename: sibling for sibling in info.siblings or ()}
    if lacks := [pattern for pattern in checkpoint.files if not matching(list(siblings), [pattern])]:
        raise EmbedderUnavailable(f"{checkpoint} has no {', '.join(lacks)}. It has: {', '.join(sorted(siblings))}.")
    licence = info.card_data.license if info.card_data else None
    names = matching(sorted(siblings), checkpoint.files + checkpoint.extras)
    files = tuple(_published(siblings[name]) for name in names)
    return Listing(licence if isinstance(licence, str) else checkpoint.licence, files)


def _published(sibling: Any) -> Published:
    digest = sibling.lfs.sha256 if sibling.lfs else ""
    return Published(sibling.rfilename, sibling.size or 0, digest, sibling.blob_id or "")


def download(checkpoint: Checkpoint, file: Published, *, quiet: bool = False) -> str:
    """Fetch the file unless it is there, and return the SHA-256 of what is on the disk now.

    Raises EmbedderUnavailable if the download breaks, or if what came is not what the hub lists: it is then removed.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if quiet:
        disable_progress_bars()
    try:
        # Each broken connection is taken up again where it broke, as long as bytes arrive.
        hf_hub_download(checkpoint.model, file.name, revision=checkpoint.revision, local_dir=checkpoint.folder)
        path = checkpoint.path(file.name)
        found, blob = digests(path)
    except Exception as error:
        raise _unavailable(checkpoint, error) from error
    if (found != file.sha256) if file.sha256 else (blob != file.blob):
        path.resolve().unlink()
        path.unlink(missing_ok=True)
        raise EmbedderUnavailable(
            f"{file.name} of {checkpoint} is not what the hub lists: its digest is {found if file.sha256 else blob}, "
            f"not {file.sha256 or file.blob}. It was removed. Run the command again; if that does not help, "
            "something between here and the hub changes files."
        )
    return found


def digests(path: Path) -> tuple[str, str]:
    """The SHA-256 of a file, and what git would call it."""
    plain, git = sha256(), sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    for chunk in _chunks(path):
        plain.update(chunk)
        git.update(chunk)
    return plain.hexdigest(), git.hexdigest()


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _unavailable(checkpoint: Checkpoint, error: Exception) -> EmbedderUnavailable:
    # Its clients raise what their transports raise, and few of these have a base in common.
    return EmbedderUnavailable(f"{checkpoint} could not be fetched ({type(error).__name__}): {error}")

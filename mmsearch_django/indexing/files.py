"""Files that were replaced in the storage under the same name, which no column tells."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from mmsearch_django.exceptions import AccessDenied, AssetError, StorageUnavailable
from mmsearch_django.indexing import claims
from mmsearch_django.indexing.targets import Target
from mmsearch_django.models import State
from mmsearch_django.sources import Skip

SLICE = 200


def check_files(target: Target, size: int = SLICE) -> Iterator[Counter[str]]:
    """Read what every vector was made from once more, and mark those whose content differs or is gone. What failed or
    was skipped is marked as well, since nothing is known of its content.

    Yields, slice by slice, how many were found "same", "changed" and, as the storage did not give them, "unread".
    """
    undone = target.states.filter(status__in=[State.Status.FAILED, State.Status.SKIPPED])
    keys = list(undone.values_list("object_id", flat=True))
    claims.mark(target, keys)
    yield Counter(changed=len(keys))
    vectors = target.vectors.order_by("pk").values_list("pk", "digest")
    rest = vectors
    while digests := dict(rest[:size]):
        found = {row.mm_key: _compare(target, row, digests[row.pk]) for row in target.rows().filter(pk__in=digests)}
        claims.mark(target, [key for key, outcome in found.items() if outcome == "changed"])
        yield Counter(found.values())
        rest = vectors.filter(pk__gt=[*digests][-1])


def _compare(target: Target, row: Any, digest: bytes | None) -> str:
    try:
        same = target.field.source.digest(row) == (None if digest is None else bytes(digest))
    except (StorageUnavailable, AccessDenied):  # Either tells nothing of the content.
        return "unread"
    except (AssetError, Skip):
        same = False
    return "same" if same else "changed"

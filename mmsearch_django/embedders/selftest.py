"""What an embedder must show before it serves (a peer once shipped a model with one vector for every image)."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmsearch_django.embedders.base import Embedder, Engine


def selftest(embedder: "Embedder", engine: "Engine") -> None:
    """Raise SelfTestFailed unless the engine tells different inputs apart. (Written with the starter.)"""

"""An embedder that some texts kill, and a storage that is away for a while."""

import os
import signal

from django.conf import settings
from django.core.files.storage import FileSystemStorage

from mmsearch_django.embedders.dummy import DummyEmbedder, DummyEngine

KILLS = "kills-its-worker"
"""A text that ends the process that embeds it."""


class Embedder(DummyEmbedder):
    def load(self):
        return Engine(self.dimensions)


class Engine(DummyEngine):
    def texts(self, texts, *, query):
        if any(KILLS in text for text in texts):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().texts(texts, query=query)


class Storage(FileSystemStorage):
    """Gives no file while there is one named "away"."""

    def _open(self, name, mode="rb"):
        if (settings.MEDIA_ROOT / "away").exists():
            raise ConnectionError("the storage is away")
        return super()._open(name, mode)

"""An embedder that some contents kill with its whole process, and a storage that is away while a file says so."""

import os
import signal
from pathlib import Path

from django.conf import settings
from django.core.files.storage import FileSystemStorage

from mmsearch_django.embedders.dummy import DummyEmbedder, DummyEngine

DEADLY_WORD = "DEADLY"
DEADLY_COLOUR = (1, 2, 3)
AWAY = "storage-is-away"


class DeadlyEmbedder(DummyEmbedder):
    backend = "deadly"

    def load(self):
        return DeadlyEngine(self.dimensions)


class DeadlyEngine(DummyEngine):
    def texts(self, texts, *, query):
        self._die_if(any(DEADLY_WORD in text for text in texts))
        return super().texts(texts, query=query)

    def images(self, images):
        self._die_if(any(image.getpixel((0, 0)) == DEADLY_COLOUR for image in images))
        return super().images(images)

    def _die_if(self, deadly):
        if deadly:
            os.kill(os.getpid(), signal.SIGKILL)


class FlakyStorage(FileSystemStorage):
    def _open(self, name, mode="rb"):
        if Path(settings.MEDIA_ROOT, AWAY).exists():
            raise ConnectionError("the storage is away")
        return super()._open(name, mode)

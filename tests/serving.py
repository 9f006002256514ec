"""An embedder that only a process with a runtime can load."""

from mmsearch_django.embedders.dummy import DummyEmbedder
from mmsearch_django.exceptions import EmbedderUnavailable


class RuntimeEmbedder(DummyEmbedder):
    def load(self):
        try:
            import onnxruntime  # noqa: F401
        except ImportError as error:
            raise EmbedderUnavailable("This process has no runtime.") from error
        return super().load()

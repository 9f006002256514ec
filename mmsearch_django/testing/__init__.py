"""For the tests of those who write embedders: ``EmbedderContract`` is all that one must do, as tests."""

from mmsearch_django.testing.contract import EmbedderContract

__all__ = ["EmbedderContract"]

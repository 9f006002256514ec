"""Embedders turn texts and pictures into vectors. Reach them by alias: ``registry.embedders["default"]``."""

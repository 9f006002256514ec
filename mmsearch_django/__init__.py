"""Multimodal search for Django models, in Postgres."""

__version__ = "0.1.0"

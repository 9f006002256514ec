"""A small asset library that is searched by meaning: what a site looks like that uses mmsearch_django."""

from example_project.celery import app as celery_app

__all__ = ["celery_app"]

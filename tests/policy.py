"""Middleware: a strict policy, under which every page must work."""

from django.conf import settings

POLICY = "default-src 'self'; img-src 'self' data:; style-src 'self'; script-src 'self'; form-action 'self'"


def strict(get_response):
    def middleware(request):
        response = get_response(request)
        # A theme's own pages may need a laxer one.
        response.headers["Content-Security-Policy"] = getattr(settings, "POLICY", POLICY)
        return response

    return middleware

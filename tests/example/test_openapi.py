"""Requests made from the schema alone, valid and not: none is a server error, each is answered as the schema says."""

import pytest
import schemathesis
from django.core.files.base import ContentFile
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    response_headers_conformance,
    response_schema_conformance,
)

from example_project.library.models import Asset
from tests.colours import encoded, index

CHECKS = [not_a_server_error, response_schema_conformance, response_headers_conformance]
schema = schemathesis.openapi.from_wsgi(f"{reverse('schema')}?format=json", WSGIHandler())


@pytest.fixture
def _library(admin_user, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    settings.ALLOWED_HOSTS = ["localhost"]
    red = Asset(title="red", kind="image")
    red.file.save("red.png", ContentFile(encoded("red")))
    index()
    Asset.objects.create(title="waiting")
    # The requests run inside this test's transaction, as those of Django's test client do.
    request_started.disconnect(close_old_connections)
    request_finished.disconnect(close_old_connections)
    yield
    request_started.connect(close_old_connections)
    request_finished.connect(close_old_connections)


OPERATIONS = [found.ok() for found in schema.get_all_operations()]


@pytest.mark.usefixtures("_library")
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_every_request_is_answered(operation, mode):
    @given(operation.as_strategy(generation_mode=mode))
    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    def answered(case):
        case.call_and_validate(auth=("admin", "password"), checks=CHECKS)

    answered()

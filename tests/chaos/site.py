"""The Celery application of a site whose decoder some files kill, with waits that are short enough for a test."""

import django
from celery import Celery

app = Celery("chaos")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["mmsearch_django"])

django.setup()

from mmsearch_django import tasks  # noqa: E402
from mmsearch_django.indexing import outcomes  # noqa: E402
from mmsearch_django.media import sandbox  # noqa: E402
from tests.media import deadly  # noqa: E402

sandbox.decoders.command = deadly.COMMAND
outcomes.FIRST_DELAY = 0.1
outcomes.LONGEST_DELAY = 2
tasks.QUIET_SECONDS = 1

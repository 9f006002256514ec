from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class AddIndexBesideWriters(AddIndexConcurrently):
    """An ordinary index would wait for every open write of the site, and make all later ones wait behind it."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        # A site may have our tables in other databases, too: nothing is written there.
        if schema_editor.connection.vendor == "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            super().database_backwards(app_label, schema_editor, from_state, to_state)


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('mmsearch_django', '0005_lane'),
    ]

    operations = [
        AddIndexBesideWriters(
            model_name='mark',
            index=models.Index(condition=models.Q(('live', True)), fields=['space'], name='mmsearch_mark_live'),
        ),
    ]

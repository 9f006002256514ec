"""Signals of this package.

``marked`` (sender: the searchable model; ``using``: database alias) is sent when something that an embedding
field watches may have been written through the ORM. Triggers have recorded the write already; the signal only
makes indexing prompt.

``embedding_ready`` (sender: the searchable model; ``field``: its embedding field's name; ``object_ids``: list of
primary keys; ``using``) is sent after new vectors are committed.
"""

from django.dispatch import Signal

marked = Signal()
embedding_ready = Signal()

"""What must be true once all is quiet, told from rows and files alone."""

import numpy as np
from django.db.models import Count
from PIL import Image

from mmsearch_django.embedders.registry import embedders
from mmsearch_django.exceptions import WorkerDied
from mmsearch_django.fields import all_embedding_fields
from mmsearch_django.indexing.targets import target
from mmsearch_django.models import Mark, State
from mmsearch_django.sources import Skip
from tests.chaos.faults import KILLS
from tests.chaos.writers import COLOURS, ENDS


def pending():
    """How much of the work is left, by field."""
    left = {str(one): one.states.filter(status="pending").count() for one in map(target, all_embedding_fields())}
    return {**left, "marks": Mark.objects.count()}


def ends():
    """How many objects ended how."""
    kinds = State.objects.values_list("status", "error_class").annotate(Count("pk"))
    return {f"{status} {error_class}".strip(): count for status, error_class, count in kinds.order_by()}


def untruths():
    """A line for each object that is not what it must be."""
    return [f"{one} {line}" for one in map(target, all_embedding_fields()) for line in _of_field(one)]


def _of_field(one):
    states = {state.object_id: state for state in State.objects.filter(space=one.space)}
    vectors = {str(vector.pk): np.asarray(vector.vector) for vector in one.vectors.all()}
    rows = {row.mm_key: row for row in one.rows()}
    known = {}
    for key in states.keys() - rows.keys():
        yield f"{key}: a state of no object"
    for key in vectors.keys() - rows.keys():
        yield f"{key}: a vector of no object"
    for key, row in rows.items():
        status, error_class, content = _end(one, row)
        state = states.get(key)
        found = (state.status, state.error_class) if state else ("no state", "")
        if found != (status, error_class):
            yield f"{key}: is {found} ({state and state.message}), must be {(status, error_class)}"
        if (key in vectors) != (status == "ready"):
            yield f"{key}: {status}, with a vector: {key in vectors}"
        elif key in vectors:
            if content not in known:
                known[content] = _vector(one, content)
            if not np.allclose(vectors[key], known[content], atol=1e-3):
                yield f"{key}: the vector is not that of {content!r}"


def _end(one, row):
    """Its status, error class and content: a text, or the name of a good file."""
    if one.field.source.modality == "text":
        try:
            text = one.field.source.read(row).value
        except Skip:
            return "skipped", "", None
        return ("failed", WorkerDied.__name__, None) if KILLS in text else ("ready", "", text)
    [source] = one.field.source.fields
    name = row.file.name if source == "file" else row.cover and row.cover.file.name
    if not name:
        return "skipped", "", None
    kind = name.partition(".")[0]
    return ("failed", ENDS[kind], None) if kind in ENDS else ("ready", "", kind)


def _vector(one, content):
    if one.field.source.modality == "text":
        return embedders["default"].embed_texts([content])[0]
    colour = COLOURS[int(content.partition("-")[2])]
    return embedders["default"].embed_images([Image.new("RGB", (64, 48), colour)])[0]

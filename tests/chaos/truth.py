"""What is wrong with every row, compared with what it holds: python -m tests.chaos.truth SECONDS

Looks again until nothing is, or the time is over; prints what is left as JSON.
"""

import json
import sys
import time
from collections import Counter
from hashlib import sha256

import django
import numpy as np

django.setup()

from mmsearch_django.embedders.dummy import DummyEngine  # noqa: E402
from mmsearch_django.fields import all_embedding_fields  # noqa: E402
from mmsearch_django.indexing.targets import target  # noqa: E402
from mmsearch_django.models import Mark, Space, State  # noqa: E402
from tests.chaos import contents  # noqa: E402
from tests.models import Asset, Note, Story, Tag  # noqa: E402

ENGINE = DummyEngine(32)


def texts_of_assets():
    for asset in Asset.objects.all():
        yield asset.pk, [asset.title, asset.caption]


def texts_of_stories():
    for story in Story.objects.select_related("team", "parent"):
        yield (
            story.pk,
            [
                story.title,
                story.team.name if story.team else "",
                story.parent.title if story.parent else "",
                *Tag.objects.filter(story=story).order_by("pk").values_list("name", flat=True),
                *Note.objects.filter(story=story).order_by("pk").values_list("text", flat=True),
            ],
        )


def of_texts(texts):
    """By key: status, error class, content digest and vector."""
    for key, parts in texts:
        text = "\n".join(part for part in parts if part)
        ready = contents.end_of_text(text)[0] == "ready"
        digest = sha256(text.encode()).digest()
        yield key, *contents.end_of_text(text), digest, ENGINE.texts([text], query=False)[0] if ready else None


def of_files(files):
    for key, name in files:
        status, error_class = contents.end_of_file(name or "")
        if status == "ready":
            number = int(name.removesuffix(".png"))
            digest = sha256(contents.encoded(number)).digest()
            yield key, status, error_class, digest, ENGINE.images([contents.picture(number)])[0]
        else:
            yield key, status, error_class, b"", None


def expected():
    return {
        "tests.Asset.words": of_texts(texts_of_assets()),
        "tests.Story.words": of_texts(texts_of_stories()),
        "tests.Asset.visual": of_files(Asset.objects.values_list("pk", "file")),
        "tests.Story.look": of_files(Story.objects.values_list("pk", "cover__file")),
    }


def wrong():
    """One line for each thing that is not as it should be."""
    for label, rows in expected().items():
        [field] = [field for field in all_embedding_fields() if field.label == label]
        one = target(field)
        states = {state.object_id: state for state in State.objects.filter(space=one.space)}
        vectors = {str(vector.pk): vector for vector in one.vectors.all()}
        for key, status, error_class, digest, vector in rows:
            state, found = states.pop(str(key), None), vectors.pop(str(key), None)
            name = f"{label} {key}"
            if state is None:
                yield f"{name}: no state"
            elif (state.status, state.error_class) != (status, error_class):
                yield f"{name}: {state.status} {state.error_class}, not {status} {error_class}. {state.message}"
            if (found is None) != (vector is None):
                yield f"{name}: vector {found}, not {vector}"
            elif vector is not None:
                if bytes(found.digest) != digest:
                    yield f"{name}: the vector is of another content"
                if not np.allclose(np.asarray(found.vector), vector / np.linalg.norm(vector), atol=2e-3):
                    yield f"{name}: another vector than its content gives"
        yield from (f"{label} {key}: a state without an object" for key in states)
        yield from (f"{label} {key}: a vector without an object" for key in vectors)
    spaces = Space.objects.values("pk")
    yield from (f"a mark: {mark}" for mark in Mark.objects.filter(space__in=spaces))
    pending = State.objects.filter(status=State.Status.PENDING).count()
    if pending:
        yield f"{pending} are pending"


def main(seconds):
    until = time.monotonic() + float(seconds)
    while (found := list(wrong())) and time.monotonic() < until:
        time.sleep(1)
    states = Counter(" ".join(state) for state in State.objects.values_list("status", "error_class"))
    sys.stdout.write(json.dumps({"wrong": found, "states": states}))


if __name__ == "__main__":
    main(sys.argv[1])

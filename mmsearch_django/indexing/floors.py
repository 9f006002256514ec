"""Where noise begins: learnt for each field and kind of query from background queries against the library itself.

The sample of vectors is bounded. A floor from the best of *all* vectors would rise as the library grows, and throw true
matches away.
"""

from typing import Any

import numpy as np
from django.db import connections

from mmsearch_django.embedders.base import Modality, Vectors
from mmsearch_django.embedders.calibration import Calibration
from mmsearch_django.indexing.background import nonsense, sensible
from mmsearch_django.indexing.targets import Target
from mmsearch_django.models import Space

SAMPLE = 1000
ENOUGH = 200
"""Vectors from which on a library can be learnt from; below, what the embedder ships serves."""
GROWTH = 2
"""A library that grew or shrank so many times is learnt anew."""
NOISE_IN_PICTURES = 0.95
NOISE_IN_TEXTS = 0.99
"""Quantiles of the best similarity of each nonsense query. More of it in pictures would cost true matches."""
STRANGERS = 0.99
"""Quantile of sensible queries and texts, nearly all of which have nothing to do with each other."""
BEST = 0.99
HIGHEST = 0.99
STEP = 0.005


def refresh(target: Target) -> bool:
    """Learn anew if the library has changed in size, or has just become large enough. Returns whether it did."""
    space = Space.objects.using(target.using).get(pk=target.space)
    count = target.vectors.count()
    known = space.floors.get("vectors", 0)
    if count < ENOUGH or (known and known / GROWTH < count < known * GROWTH):
        return False
    floors = {**learn(target), "vectors": count}
    unchanged = Space.objects.using(target.using).filter(pk=target.space, signature=space.signature)
    return bool(unchanged.update(floors=floors))


def due(target: Target) -> bool:
    """Whether the library is large enough to learn from, and nothing was learnt."""
    learnt = Space.objects.using(target.using).values_list("floors", flat=True).get(pk=target.space)
    return "vectors" not in learnt and target.vectors.count() >= ENOUGH


def learn(target: Target) -> dict[str, dict[str, float]]:
    """Calibrations by kind of query, from a sample of the field's vectors."""
    vectors = sample(target)
    embedder, modality = target.field.embedder, target.field.source.modality
    learnt: dict[Modality, Calibration] = {}
    if "text" in embedder.modalities:
        noise, strangers = (embedder.embed_texts(texts, query=True) for texts in (nonsense(), sensible()))
        learnt["text"] = for_texts(noise, strangers, vectors, modality)
    if modality == "image":
        learnt["image"] = for_pictures(vectors)
    return {kind: calibration.as_dict() for kind, calibration in learnt.items()}


def sample(target: Target) -> Vectors:
    """At most SAMPLE of the field's vectors, shape (n, dimensions), spread over the table; always the same."""
    percent = min(100.0, 100.0 * 2 * SAMPLE / max(target.vectors.count(), 1))
    with connections[target.using].cursor() as cursor:
        cursor.execute(
            f"SELECT vector::text FROM {target.vector_table} TABLESAMPLE BERNOULLI (%s) REPEATABLE (1) LIMIT %s",
            [percent, SAMPLE],
        )
        rows: list[Any] = [np.fromstring(text[1:-1], dtype=np.float32, sep=",") for (text,) in cursor.fetchall()]
    vectors = np.stack(rows)
    unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def for_texts(noise: Vectors, strangers: Vectors, vectors: Vectors, modality: Modality) -> Calibration:
    """For queries by text: of nonsense nearly nothing may pass, and in texts hardly a stranger."""
    similarities = strangers @ vectors.T
    best = (noise @ vectors.T).max(axis=1)
    if modality == "text":
        floor = max(np.quantile(best, NOISE_IN_TEXTS), np.quantile(similarities, STRANGERS))
    else:
        floor = np.quantile(best, NOISE_IN_PICTURES)
    return _rising(np.median(similarities), floor, np.quantile(similarities.max(axis=1), BEST))


def for_pictures(vectors: Vectors) -> Calibration:
    """For queries by picture: most pictures of a library have nothing to do with each other.

    Nonsense pictures cannot be asked: models see something in any noise.
    """
    similarities = vectors @ vectors.T
    pairs = similarities[np.triu_indices(len(vectors), k=1)]
    middle = np.median(pairs)
    return _rising(middle, min(np.quantile(pairs, 0.9), (middle + 1) / 2), 1.0)


def _rising(zero: Any, floor: Any, one: Any) -> Calibration:
    """The three with a step between them; what is the same as the query always passes."""
    floor = min(float(floor), HIGHEST)
    return Calibration(min(float(zero), floor - STEP), floor, max(float(one), floor + STEP))

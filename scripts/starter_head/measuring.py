"""Text to picture on what was not trained on: a tenth of the drawings, and Tux Paint's photographs."""

from collections.abc import Sequence

import numpy as np

from mmsearch_django.embedders.starter import CONSE, StarterEngine
from mmsearch_django.evaluation.metrics import measure
from scripts.starter_head.views import Views

NAMES = ("nDCG@10", "recall@10")


def report(engine: StarterEngine, label: str, views: Views, titles: Sequence[str]) -> None:
    """What titles find, by each part of the embedder and by both."""
    classes, head = engine.by_class(views.logits), engine.by_head(views.features, views.colours)
    print(f"{label}: {len(titles)} pictures")
    for part, vectors in {"ConSE": classes, "head": head, "both": CONSE * classes + head}.items():
        figures = measure(*found(engine, unit(vectors), titles))
        print(f"  {part}: {', '.join(f'{name} {figures[name]:.3f}' for name in NAMES)}")


def found(engine: StarterEngine, pictures: np.ndarray, titles: Sequence[str]) -> tuple[dict, dict]:
    """Judgements and rankings by title: relevant is what is called exactly so."""
    queries = sorted(set(titles))
    similarities = unit(engine.texts(queries, query=True)) @ pictures.T
    relevant = {query: {str(place): 1 for place, title in enumerate(titles) if title == query} for query in queries}
    ranked = {
        query: [str(place) for place in np.argsort(-row)] for query, row in zip(queries, similarities, strict=True)
    }
    return relevant, ranked


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)

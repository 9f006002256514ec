"""How well the starter embedder finds the demo pictures by judged queries, and each of its two parts alone.

    python -m benchmarks.starter

The queries are those of example_project/demo_queries. Pictures only, no captions, no floors, no database. Intervals are
95 %, by bootstrap over queries. Also how long the parts take, beside each other.
"""

import time
from collections.abc import Callable, Mapping

import numpy as np
from django.conf import settings
from PIL.Image import Image

from benchmarks.sketches import DEMO, library, names
from mmsearch_django.embedders.base import Vectors
from mmsearch_django.embedders.starter import StarterEngine, colours
from mmsearch_django.evaluation.judgements import Qrels, read_qrels, read_queries
from mmsearch_django.evaluation.metrics import measure

QUERIES = DEMO.parent / "demo_queries"
NAMES = ("nDCG@10", "recall@10", "MRR", "P@1")
DRAWS = 10_000
ROUNDS = 5


def parts(engine: StarterEngine, pictures: list[Image]) -> dict[str, Vectors]:
    """The pictures' unit vectors, each shape (n, dimensions), by what made them."""
    features, logits = engine.classifier(pictures)
    return {
        "ConSE alone": engine.by_class(logits),
        "head alone": engine.by_head(features, colours.describe(pictures)),
        "both": unit(engine.images(pictures)),
    }


def ranked(texts: Vectors, pictures: Vectors, queries: Mapping[str, str]) -> dict[str, list[str]]:
    files = np.array(names())
    return {query: list(files[np.argsort(-row)]) for query, row in zip(queries, texts @ pictures.T, strict=True)}


def figures(qrels: Qrels, rankings: Mapping[str, list[str]]) -> dict[str, Vectors]:
    """By measure, one value for each query."""
    each = [measure({query: found}, rankings) for query, found in qrels.items()]
    return {name: np.array([values[name] for values in each]) for name in NAMES}


def interval(values: Vectors) -> tuple[float, float]:
    picks = np.random.default_rng(0).integers(0, len(values), (DRAWS, len(values)))
    low, high = np.quantile(values[picks].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def unit(rows: Vectors) -> Vectors:
    lengths: Vectors = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / lengths


def row(label: str, values: Mapping[str, Vectors]) -> str:
    primary, *others = (values[name] for name in NAMES)
    low, high = interval(primary)
    return (
        f"| {label} | {primary.mean():.2f} ({low:.2f} to {high:.2f}) | "
        + " | ".join(f"{value.mean():.2f}" for value in others)
        + " |"
    )


def seconds(work: Callable[[], object]) -> float:
    """Of the fastest of a few rounds."""
    taken = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return min(taken)


def main() -> None:
    settings.configure()
    engine, pictures = StarterEngine(threads=1), library()
    queries, qrels = read_queries(QUERIES / "queries.tsv"), read_qrels(QUERIES / "qrels.txt")
    texts = engine.texts(list(queries.values()), query=True)
    print(f"{len(queries)} queries, {len(pictures)} pictures\n")
    print(f"| | {' | '.join(NAMES)} |\n{'|---' * (len(NAMES) + 1)}|")
    chance = np.random.default_rng(0).standard_normal((len(pictures), texts.shape[1]))
    for label, vectors in {"chance": chance, **parts(engine, pictures)}.items():
        print(row(label, figures(qrels, ranked(texts, vectors, queries))))
    conse, both = seconds(lambda: engine.classifier(pictures)), seconds(lambda: engine.images(pictures))
    print(f"\n{len(pictures) / both:.0f} pictures/s on one thread; ConSE alone {both / conse:.2f} times as many")


if __name__ == "__main__":
    main()

"""Vectors that behave as those of CLIP models do: clustered, on a cone, with queries off to one side.

Clusters have power-law sizes; each varies in a few directions of its own within a shared basis of decaying spectrum. A
common mean makes all items a little alike; queries have another mean, so that even the best match is far from 1.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BASIS = 160
LOCAL = 60
CONE = 0.55
NOISE = 0.22

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Data:
    items: Vectors
    """(rows, dimensions), unit length, in half precision's values."""
    clusters: NDArray[np.int64]
    """(rows,): each item's cluster."""
    shuffled: NDArray[np.int64]
    """(rows,): a random permutation."""
    queries: Vectors
    """(queries, dimensions), unit length."""

    def ordered_clusters(self, query: Vectors) -> NDArray[np.int64]:
        """Clusters from the one nearest to the query to the farthest, by the similarity of their mean."""
        count = int(self.clusters.max()) + 1
        sums = np.zeros((count, self.items.shape[1]), np.float32)
        np.add.at(sums, self.clusters, self.items)
        sizes = np.bincount(self.clusters, minlength=count)
        order: NDArray[np.int64] = np.argsort(-(sums @ query) / np.maximum(sizes, 1))
        return order


def make(rows: int, dimensions: int, queries: int, seed: int) -> Data:
    random = np.random.default_rng(seed)
    count = max(rows // 200, 10)
    basis = np.linalg.qr(random.standard_normal((dimensions, min(BASIS, dimensions))))[0].T.astype(np.float32)
    spectrum = np.arange(1, len(basis) + 1, dtype=np.float32) ** -0.5
    cone, other_cone = _unit(random.standard_normal((2, dimensions)).astype(np.float32))
    centres = _unit((random.standard_normal((count, len(basis))) * spectrum).astype(np.float32) @ basis)
    sizes = np.arange(1, count + 1) ** -0.9
    clusters = random.choice(count, rows, p=sizes / sizes.sum())
    active = np.stack([random.permutation(len(basis))[:LOCAL] for _ in range(count)])

    def drawn(of: NDArray[np.int64], mean: Vectors, spread: float) -> Vectors:
        local = np.zeros((len(of), len(basis)), np.float32)
        np.put_along_axis(local, active[of], random.standard_normal((len(of), active.shape[1])).astype(np.float32), 1)
        noise = random.standard_normal((len(of), dimensions)).astype(np.float32)
        return _unit(CONE * mean + centres[of] + spread * _unit(local * spectrum @ basis) + NOISE * _unit(noise))

    items = np.concatenate([drawn(part, cone, 0.8) for part in np.array_split(clusters, max(rows // 10_000, 1))])
    asked = random.integers(rows, size=queries)
    texts = drawn(clusters[asked], other_cone, 0.4)
    return Data(
        items=items.astype(np.float16).astype(np.float32),
        clusters=clusters,
        shuffled=random.permutation(rows),
        queries=_unit(texts + 0.5 * items[asked]),
    )


def _unit(vectors: Vectors) -> Vectors:
    unit: Vectors = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return unit

"""A small library with vectors of our own, and what a search over it must return, computed in numpy."""

import numpy as np

from mmsearch_django.models import Mark
from mmsearch_django.search import fusion
from tests.models import Asset, Tag, Team

DIMENSIONS = 32


class Library:
    """Assets with random unit vectors in both fields; some have none."""

    def __init__(self, count, seed=0):
        rng = np.random.default_rng(seed)
        self.teams = Team.objects.bulk_create([Team(name=f"team {n}") for n in range(3)])
        self.tags = Tag.objects.bulk_create([Tag(name=f"tag {n}") for n in range(4)])
        self.assets = Asset.objects.bulk_create(
            Asset(title=f"asset {n}", number=n, kind="image" if n % 3 else "video", team=self.teams[n % 3])
            for n in range(count)
        )
        through = Asset.tags.through
        through.objects.bulk_create(
            through(asset=asset, tag=tag) for n, asset in enumerate(self.assets) for tag in self.tags[: n % 5]
        )
        self.vectors = {name: self._write(name, rng) for name in ("visual", "words")}
        self.query = rng.standard_normal(DIMENSIONS)
        Mark.objects.all().delete()  # Otherwise all would count as pending, since no worker comes by.

    def _write(self, name, rng):
        model = Asset._meta.get_field(name).related_model
        chosen = [asset for n, asset in enumerate(self.assets) if n % 7]
        vectors = rng.standard_normal((len(chosen), DIMENSIONS)).astype(np.float16).astype(np.float64)
        model.objects.bulk_create(model(object=a, vector=v.tolist()) for a, v in zip(chosen, vectors, strict=True))
        return {asset.pk: vector for asset, vector in zip(chosen, vectors, strict=True)}

    def ranking(self, name, keys, depth):
        keys = [key for key in keys if key in self.vectors[name]]
        query = (self.query / np.linalg.norm(self.query)).astype(np.float16).astype(np.float64)
        distances = {
            key: 1 - query @ self.vectors[name][key] / np.linalg.norm(query) / np.linalg.norm(self.vectors[name][key])
            for key in keys
        }
        return sorted(keys, key=lambda key: (distances[key], key))[:depth]

    def expected(self, keys, fields=("visual", "words"), depth=100, weights=None):
        """Primary keys, best first, and their scores."""
        weights = weights or dict.fromkeys(fields, 1.0)
        ranks = {}
        for name in fields:
            for rank, key in enumerate(self.ranking(name, keys, depth), start=1):
                ranks.setdefault(key, {})[name] = rank
        scores = {key: fusion.score(found, weights) for key, found in ranks.items()}
        return sorted(scores, key=lambda key: (-round(scores[key], 12), key)), scores

"""Features as photographs of the classifier's classes would have them: we have no photographs that may be used.

A linear classifier says where its classes lie: along the row of its weights. A feature is drawn there, with the
spread that real features have.
"""

from dataclasses import dataclass

import numpy as np

from mmsearch_django.embedders.starter import torch_pickle, weights

FEATURES = 1280
SPREAD = 0.35
"""Of the covariance of real features, as noise."""
MARGIN = (6.0, 14.0)
"""By how much the class's logit stands out from the mean of all classes."""
ROUNDS, DRAWS = 3, 1000
"""Of finding out how much lower."""
HIGHEST = 6.0
"""Features are what ReLU6 lets through, averaged."""


@dataclass(frozen=True)
class Photographs:
    """Draws features of classes: ``start`` (1280), ``steps`` (1000, 1280) a logit, ``noise`` (1280, 1280)."""

    start: np.ndarray
    steps: np.ndarray
    noise: np.ndarray

    @classmethod
    def like(cls, features: np.ndarray) -> "Photographs":
        """With the mean and the covariance of these features.

        What is clipped at 0 raises the mean, so the draws start as much lower.
        """
        rows = torch_pickle.read(weights.CLASSIFIER.read())["_fc.weight"]
        rows = rows - rows.mean(axis=0)
        covariance = np.cov(features, rowvar=False).astype(np.float32)
        steps = rows @ covariance
        values, axes = np.linalg.eigh(covariance * SPREAD)
        noise = (axes * np.sqrt(values.clip(0))).T
        steps /= (steps * rows).sum(axis=1, keepdims=True)
        target = start = features.mean(axis=0)
        for _ in range(ROUNDS):
            random = np.random.default_rng(0)
            drawn = cls(start, steps, noise).draw(random.integers(len(rows), size=DRAWS), random)
            start = start + target - drawn.mean(axis=0)
        return cls(start, steps, noise)

    def draw(self, classes: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """One feature for each of ``classes``, shape (n, 1280)."""
        margins = random.uniform(*MARGIN, (len(classes), 1))
        noise = random.standard_normal((len(classes), len(self.noise)), dtype=np.float32) @ self.noise
        return (self.start + margins * self.steps[classes] + noise).clip(0, HIGHEST).astype(np.float32)

"""Locked-text contrastive learning (LiT, Zhai et al., 2022) of a linear head: texts stay, pictures come to them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.functional import dropout, log_softmax, normalize, softmax

from scripts.starter_head.imagined import FEATURES, Photographs

SEED = 0
STEPS = 1600
BATCH = 384
"""Half of them drawings, half imagined photographs."""
LEARNING_RATE = 3e-4
DROPOUT = 0.4
WEIGHT_DECAY = 0.05
SCALE = 20.0
"""Of cosines, at first; learnt."""
SOFTNESS = 18.0
"""Pictures whose texts are alike are no negatives: the target is the texts' own similarity, this sharp."""
SAME_TITLE = 8
"""Drawings of one title count no more than so many: there are hundreds of some stars."""


@dataclass(frozen=True)
class Lesson:
    """Drawings with their texts, classes with theirs; texts are rows of ``texts``, unit vectors (n, 384).

    ``views`` holds for each view of the drawings features and colours side by side, (drawings, 1352).
    """

    views: Sequence[np.ndarray]
    captions: Sequence[Sequence[int]]
    classes: Sequence[Sequence[int]]
    texts: np.ndarray


def train(lesson: Lesson) -> tuple[np.ndarray, np.ndarray]:
    """Weight (1352, 384) and bias (384), for inputs as they come: the scaling is within."""
    torch.set_num_threads(1)  # Two are hardly faster, and crawl where others are at work.
    torch.set_flush_denormal(True)  # Without it Adam crawls on CPUs.
    torch.manual_seed(SEED)
    every = np.concatenate(lesson.views)
    mean, scale = every.mean(axis=0), every.std(axis=0) + 1e-3
    head = nn.Linear(every.shape[1], lesson.texts.shape[1])
    nn.init.normal_(head.weight, std=0.01)
    nn.init.zeros_(head.bias)
    sharpness = nn.Parameter(torch.tensor(SCALE).log())
    groups = [{"params": [head.weight], "weight_decay": WEIGHT_DECAY}, {"params": [head.bias, sharpness]}]
    optimiser = torch.optim.AdamW(groups, lr=LEARNING_RATE, weight_decay=0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    texts = torch.from_numpy(lesson.texts)
    for inputs, rows in Batches(lesson):
        pictures = normalize(head(dropout(torch.from_numpy((inputs - mean) / scale), DROPOUT)))
        loss = contrast(pictures, texts[rows], sharpness.exp())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    weight = (head.weight.detach().numpy() / scale).T
    return weight, head.bias.detach().numpy() - mean @ weight


def contrast(pictures: torch.Tensor, texts: torch.Tensor, sharpness: torch.Tensor) -> torch.Tensor:
    """Symmetric InfoNCE with soft targets."""
    targets = softmax(SOFTNESS * texts @ texts.T, dim=1)
    logits = sharpness * pictures @ texts.T
    both = log_softmax(logits, dim=1) + log_softmax(logits.T, dim=1)
    return -(targets * both).sum(dim=1).mean() / 2


class Batches:
    """STEPS times inputs (BATCH, 1352) and the row of a text for each."""

    def __init__(self, lesson: Lesson) -> None:
        self.lesson = lesson
        self.random = np.random.default_rng(SEED)
        self.photographs = Photographs.like(np.concatenate(lesson.views)[:, :FEATURES])
        titles = np.array([captions[0] for captions in lesson.captions])
        share = np.minimum(1, SAME_TITLE / np.bincount(titles)[titles])
        self.chances = share / share.sum()

    def __iter__(self):
        for _ in range(STEPS):
            drawings, photographs = self.drawings(BATCH // 2), self.photographs_of(BATCH - BATCH // 2)
            yield np.concatenate([drawings[0], photographs[0]]), drawings[1] + photographs[1]

    def drawings(self, count: int) -> tuple[np.ndarray, list[int]]:
        picked = self.picked(count)
        views = self.random.integers(len(self.lesson.views), size=count)
        inputs = [self.lesson.views[view][number] for view, number in zip(views, picked, strict=True)]
        return np.stack(inputs), [int(self.random.choice(self.lesson.captions[number])) for number in picked]

    def photographs_of(self, count: int) -> tuple[np.ndarray, list[int]]:
        """Of random classes, with the colours of drawings that have nothing to do with them."""
        classes = self.random.integers(len(self.lesson.classes), size=count)
        features = self.photographs.draw(classes, self.random)
        colours = self.lesson.views[0][self.picked(count), FEATURES:]
        texts = [int(self.random.choice(self.lesson.classes[number])) for number in classes]
        return np.concatenate([features, colours], axis=1), texts

    def picked(self, count: int) -> np.ndarray:
        return self.random.choice(len(self.chances), count, p=self.chances)

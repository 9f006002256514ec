"""What is known of models, for people who choose one: each embedder declares its cards, the documentation shows them.

A card holds what code cannot tell. Modalities, dimensions and files are asked of the embedder that its settings make.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Verified(Enum):
    """How far a model was tried where this package is tested, which has no model hub."""

    REAL = "real weights"
    TOY = "toy graph"
    """One of our own, with the inputs and outputs of the real one."""
    TINY = "tiny checkpoint"
    """Its architecture, with random weights."""
    BY_HAND = "tiny checkpoint, by hand"
    """The same once, by hand, where its tests skip: what it needs cannot be installed there."""
    UNTRIED = "not run"
    """As its makers describe it."""


@dataclass(frozen=True)
class Card:
    """One model, or one file of its weights, behind an embedder."""

    name: str
    licence: str
    """Of the weights, as model hubs abbreviate it; "unknown" where the model's page names none."""
    good_at: str
    verified: Verified
    settings: Mapping[str, Any] = field(default_factory=dict)
    """MODEL, REVISION and OPTIONS beside BACKEND in MMSEARCH['EMBEDDERS']."""
    other_dimensions: str = ""
    """Lengths that OPTIONS['dimensions'] also takes."""
    megabytes: int | None = None
    """Of its weights, to download and at the least to hold in memory; None if that is not known."""
    memory: str = ""
    """Of a process that has it loaded, where that was measured."""

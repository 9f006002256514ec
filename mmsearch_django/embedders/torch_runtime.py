"""torch, imported when a model is first used."""

import os
from functools import cache
from typing import Any


def torch_with(threads: int | None = None) -> Any:
    """The module torch, told how many threads to use, and safe to fork after."""
    import torch

    if threads:
        torch.set_num_threads(threads)
    _guard_forks()
    return torch


@cache
def _guard_forks() -> None:
    # Once OpenMP has run on several threads, its next parallel operation in a forked child waits for ever for threads
    # that are not there: "a red car" in a worker of a preloaded server. On one thread it asks for none.
    import torch

    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))

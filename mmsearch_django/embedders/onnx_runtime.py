"""onnxruntime, imported when a model is first used."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

CPU = ("CPUExecutionProvider",)


class Session:
    """A graph that runs on so many threads, with weights of its own or with the given ones."""

    def __init__(
        self,
        graph: bytes | Path,
        threads: int,
        *,
        tensors: Mapping[str, NDArray[Any]] | None = None,
        providers: Sequence[str] = CPU,
    ) -> None:
        onnxruntime = _onnxruntime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # The arena would keep the memory of the largest batch for ever: with the starter 140 MB, worth nothing here.
        options.enable_cpu_mem_arena = False
        # onnxruntime reads them where they lie: they must live as long as the session.
        self._weights = {
            name: onnxruntime.OrtValue.ortvalue_from_numpy(tensor) for name, tensor in (tensors or {}).items()
        }
        if self._weights:
            options.add_external_initializers(list(self._weights), list(self._weights.values()))
        model = graph if isinstance(graph, bytes) else str(graph)
        self._session = onnxruntime.InferenceSession(model, options, providers=list(providers))

    @property
    def inputs(self) -> dict[str, str]:
        """The inputs that the graph declares, and what each takes, as in ``tensor(float16)``."""
        return {one.name: one.type for one in self._session.get_inputs()}

    @property
    def outputs(self) -> set[str]:
        return {one.name for one in self._session.get_outputs()}

    def run(self, *outputs: str, **inputs: NDArray[Any]) -> list[NDArray[Any]]:
        """The named outputs; all, in the order that the graph declares, if none is named."""
        found: list[NDArray[Any]] = self._session.run(list(outputs) or None, inputs)
        return found


def _onnxruntime() -> Any:
    # From 1.29 on it reports its use to its maker unless told otherwise before it is imported; and the thread that
    # does so keeps forked processes from ending.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime

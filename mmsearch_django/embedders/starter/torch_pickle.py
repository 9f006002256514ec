"""Reads a file that ``torch.save`` wrote in its old format into NumPy arrays, without torch.

A pickle may name any function of the process that reads it; this reader knows the five names that a state dict of
plain tensors needs, and refuses every other.
"""

import pickle
from collections import OrderedDict
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001


def read(data: bytes) -> dict[str, Array]:
    """The tensors of a state dict by name. Raises UnpicklingError for anything else."""
    file = BytesIO(data)
    if _Unpickler(file).load() != MAGIC or _Unpickler(file).load() != PROTOCOL:
        raise pickle.UnpicklingError("This is not torch's old format.")
    _Unpickler(file).load()  # the byte order and sizes of the machine that wrote it
    unpickler = _Unpickler(file)
    tensors = unpickler.load()
    _fill(unpickler.storages, _Unpickler(file).load(), file)
    return {name: np.ascontiguousarray(tensor).reshape(tensor.shape) for name, tensor in tensors.items()}


def _fill(storages: dict[str, Array], keys: list[str], file: BytesIO) -> None:
    """The numbers follow the pickles: for each storage its length and its bytes. Tensors are views of storages."""
    for key in keys:
        storage = storages[key]
        length = int.from_bytes(file.read(8), "little")
        data = file.read(storage.nbytes)
        if length != storage.size or len(data) != storage.nbytes:
            raise pickle.UnpicklingError(f"Storage {key} is cut short.")
        storage[:] = np.frombuffer(data, storage.dtype)


def _tensor(storage: Array, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any) -> Array:
    last = offset + sum((count - 1) * stride for count, stride in zip(shape, strides, strict=True))
    if min(offset, *shape, *strides, 0) < 0 or last >= storage.size:
        raise pickle.UnpicklingError("A tensor reaches beyond its storage.")
    steps = [stride * storage.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, steps)


class _Unpickler(pickle.Unpickler):
    NAMES = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _tensor,
        ("torch", "FloatStorage"): np.dtype("<f4"),
        ("torch", "HalfStorage"): np.dtype("<f2"),
        ("torch", "LongStorage"): np.dtype("<i8"),
    }

    def __init__(self, file: BytesIO) -> None:
        super().__init__(file)
        self.storages: dict[str, Array] = {}

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self.NAMES[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"The file asks for {module}.{name}, which no tensor needs.") from None

    def persistent_load(self, pid: Any) -> Array:
        _kind, dtype, key, _device, length, *_ = pid
        return self.storages.setdefault(key, np.empty(length, dtype))

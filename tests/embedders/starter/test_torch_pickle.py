import pickle
import struct
from collections import OrderedDict
from io import BytesIO

import numpy as np
import pytest

from mmsearch_django.embedders.starter import torch_pickle


class Name:
    """Pickles as a name of torch, which is not installed here."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class Storage:
    """Pickles as a reference to numbers that follow."""

    def __init__(self, key, length):
        self.identity = ("storage", Name("torch", "FloatStorage"), key, "cpu", length, None)


class Rebuilt:
    """Pickles as the call that rebuilds a tensor."""

    def __init__(self, storage, offset, shape, strides):
        self.arguments = (storage, offset, shape, strides, False, OrderedDict())


class Writer(pickle._Pickler):
    def persistent_id(self, value):
        return value.identity if isinstance(value, Storage) else None

    def save(self, value, save_persistent_id=True):
        if isinstance(value, Name):
            self.write(b"c" + f"{value.module}\n{value.name}\n".encode())
        elif isinstance(value, Rebuilt):
            self.save(Name("torch._utils", "_rebuild_tensor_v2"))
            self.save(value.arguments)
            self.write(pickle.REDUCE)
        else:
            super().save(value, save_persistent_id)


def written(tensors, storages, magic=torch_pickle.MAGIC):
    """The bytes of torch's old format: four pickles, the keys, then the numbers."""
    file = BytesIO()
    for value in (magic, torch_pickle.PROTOCOL, {"little_endian": True}, tensors, list(storages)):
        Writer(file, 2).dump(value)
    for numbers in storages.values():
        file.write(struct.pack("<q", len(numbers)) + np.asarray(numbers, "<f4").tobytes())
    return file.getvalue()


def tensor(offset=0, shape=(2, 3), strides=(3, 1), length=6):
    return Rebuilt(Storage("a", length), offset, shape, strides)


SIX = {"a": [0, 1, 2, 3, 4, 5]}


class TestRead:
    def test_a_tensor(self):
        found = torch_pickle.read(written(OrderedDict(weight=tensor()), SIX))
        assert found["weight"].tolist() == [[0, 1, 2], [3, 4, 5]]
        assert found["weight"].dtype == np.float32

    def test_views_of_one_storage(self):
        turned, end, one = tensor(shape=(3, 2), strides=(1, 3)), tensor(4, (2,), (1,)), tensor(5, (), ())
        tensors = OrderedDict(turned=turned, end=end, one=one)
        found = torch_pickle.read(written(tensors, SIX))
        assert found["turned"].tolist() == [[0, 3], [1, 4], [2, 5]]
        assert found["turned"].flags.c_contiguous
        assert found["end"].tolist() == [4, 5]
        assert found["one"].shape == ()
        assert found["one"] == 5


class TestRefusals:
    @pytest.mark.parametrize(
        ("module", "name"), [("os", "system"), ("builtins", "eval"), ("torch", "load"), ("collections", "Counter")]
    )
    def test_other_names(self, module, name):
        data = written(OrderedDict(weight=Name(module, name)), {})
        with pytest.raises(pickle.UnpicklingError, match=f"asks for {module}.{name}"):
            torch_pickle.read(data)

    def test_other_names_before_the_tensors(self):
        with pytest.raises(pickle.UnpicklingError, match="asks for os.system"):
            torch_pickle.read(written({}, {}, magic=Name("os", "system")))

    @pytest.mark.parametrize(
        "reaching",
        [
            tensor(offset=1),
            tensor(offset=-1),
            tensor(shape=(2, 4)),
            tensor(strides=(4, 1)),
            tensor(strides=(-3, 1)),
            tensor(shape=(10**9, 10**9)),
        ],
    )
    def test_a_tensor_beyond_its_storage(self, reaching):
        with pytest.raises(pickle.UnpicklingError, match="beyond its storage"):
            torch_pickle.read(written({"weight": reaching}, SIX))

    def test_another_format(self):
        with pytest.raises(pickle.UnpicklingError, match="old format"):
            torch_pickle.read(written({}, {}, magic=1))

    def test_cut_short(self):
        data = written({"weight": tensor()}, SIX)
        with pytest.raises(pickle.UnpicklingError, match="cut short"):
            torch_pickle.read(data[:-1])

    def test_a_storage_of_another_length(self):
        with pytest.raises(pickle.UnpicklingError, match="cut short"):
            torch_pickle.read(written({"weight": tensor(length=6)}, {"a": [0, 1]}))

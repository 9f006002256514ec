"""Values that go to Postgres as they are: Django would write them into the statement, as text to be parsed."""

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import psycopg
from django.db import connections
from numpy.typing import NDArray
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.types import TypeInfo

from mmsearch_django.exceptions import ConfigurationError

HEADER = struct.Struct(">iiIii")
"""Of an array: its dimensions, whether it holds NULLs, the type of its elements, how many, the index of the first."""


@contextmanager
def binding_cursor(using: str) -> Iterator["psycopg.Cursor[Any]"]:
    """A cursor in the connection's transaction that sends parameters apart from the statement; results are binary."""
    connection = connections[using]
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.format = Format.BINARY
        yield cursor


@dataclass(frozen=True)
class HalfVectors:
    """A parameter of type halfvec[]: vectors of one length, at least one."""

    vectors: Sequence[NDArray[np.float32]]


def register_half_vectors(cursor: "psycopg.Cursor[Any]") -> None:
    """Teach this one cursor to send them; the site's connection stays as it is."""
    info = TypeInfo.fetch(cursor.connection, "halfvec")
    if info is None:
        raise ConfigurationError("The database has no type halfvec. Run: CREATE EXTENSION vector;")
    types = {"oid": info.array_oid, "element": info.oid}
    cursor.adapters.register_dumper(HalfVectors, type("HalfVectorsDumper", (_HalfVectorsDumper,), types))


class _HalfVectorsDumper(Dumper):
    format = Format.BINARY
    element: ClassVar[int]

    def dump(self, obj: HalfVectors) -> bytes:
        count, dimensions = len(obj.vectors), len(obj.vectors[0])
        # Each is preceded by the length of the rest, and by the header of a halfvec.
        rows = np.zeros(
            count, [("length", ">i4"), ("dimensions", ">i2"), ("unused", ">i2"), ("values", ">f2", dimensions)]
        )
        rows["length"] = rows.itemsize - rows["length"].itemsize
        rows["dimensions"] = dimensions
        rows["values"] = obj.vectors
        return HEADER.pack(1, 0, self.element, count, 1) + rows.tobytes()


def half_vector(data: bytes) -> NDArray[np.float32]:
    """What ``halfvec_send`` gave, as float32 of shape (dimensions,)."""
    return np.frombuffer(data, dtype=">f2", offset=4).astype(np.float32)

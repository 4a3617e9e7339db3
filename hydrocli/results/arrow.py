"""Columns between Arrow and NumPy by their buffers.

`pyarrow.array` and `to_numpy` do the same, but import pandas to look for its types, which takes longer than all that
`validate` does with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import pyarrow as pa


DTYPES = {"double": "f8", "float": "f4", "int64": "i8", "int32": "i4", "int16": "i2", "int8": "i1"}
"""Types of NumPy by names of Arrow: those of our tables, and of tables that a user adds columns to."""


def from_numpy(values: ArrayLike | Sequence[Any], kind: pa.DataType) -> pa.Array:
    """A column as `pyarrow.array(values, type=kind, from_pandas=True)` makes it: NaN, NaT and None become null.

    Args:
        values: [n]; numbers, booleans, texts or datetime64.
        kind: bool, int64, float64, string or timestamp in microseconds.

    Raises:
        TypeError, ValueError: the values are of another kind.
    """
    import pyarrow as pa

    if kind == pa.string():
        return _texts(list(values))  # type: ignore[arg-type]
    if kind == pa.timestamp("us", tz="UTC"):
        stamps = np.asarray(values, "datetime64[us]")
        return _primitive(stamps.view(np.int64), ~np.isnat(stamps), kind)
    if kind == pa.float64():
        numbers = np.asarray(values, np.float64)
        return _primitive(numbers, ~np.isnan(numbers), kind)
    given = np.asarray(values)
    known = np.ones(given.shape, np.bool_)
    if given.dtype == object:
        known = np.array([value is not None for value in given], np.bool_)
        given = np.array([0 if value is None else value for value in given])
    wanted = np.bool_ if kind == pa.bool_() else np.int64
    return _primitive(given.astype(wanted, casting="same_kind") if given.size else given.astype(wanted), known, kind)


def to_numpy(column: pa.ChunkedArray) -> NDArray[Any]:
    """A column as `column.to_numpy()` gives it: missing numbers are NaN, missing texts None, times datetime64[us]."""
    parts = [_part(chunk) for chunk in column.chunks]
    if len(parts) == 1:
        return parts[0]
    import pyarrow as pa

    return np.concatenate(parts) if parts else _part(pa.nulls(0, column.type))


def _primitive(values: NDArray[Any], known: NDArray[np.bool_], kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    data = _bits(values) if values.dtype == np.bool_ else pa.py_buffer(np.ascontiguousarray(values))
    missing = int(known.size - np.count_nonzero(known))
    return pa.Array.from_buffers(kind, values.size, [_bits(known) if missing else None, data], missing)


def _texts(values: list[str | None]) -> pa.Array:
    import pyarrow as pa

    encoded = {value: b"" if value is None else value.encode() for value in dict.fromkeys(values)}
    parts = [encoded[value] for value in values]
    ends = np.cumsum([0, *map(len, parts)], dtype=np.int32)
    known = np.array([value is not None for value in values], np.bool_)
    missing = int(known.size - np.count_nonzero(known))
    buffers = [_bits(known) if missing else None, pa.py_buffer(ends), pa.py_buffer(b"".join(parts))]
    return pa.Array.from_buffers(pa.string(), len(values), buffers, missing)


def _bits(flags: NDArray[np.bool_]) -> pa.Buffer:
    import pyarrow as pa

    return pa.py_buffer(np.packbits(flags, bitorder="little"))


def _part(array: pa.Array) -> NDArray[Any]:
    import pyarrow as pa

    kind, size = array.type, len(array)
    if pa.types.is_dictionary(kind) or pa.types.is_string(kind):
        words = array if pa.types.is_dictionary(kind) else array.dictionary_encode()
        known = np.array([*words.dictionary.to_pylist(), None], object)
        places = words.indices
        numbers = _numbers(places, np.dtype(DTYPES[str(places.type)]))
        return known[np.where(_known(places), numbers, -1)]
    if pa.types.is_boolean(kind):
        flags = _unpacked(array.buffers()[1], array.offset, size)
        if array.null_count:
            flags = flags.astype(object)
            flags[~_known(array)] = None
        return flags
    if pa.types.is_timestamp(kind):
        return np.where(_known(array), _numbers(array, np.dtype(np.int64)), np.iinfo(np.int64).min).view(
            "datetime64[us]"
        )
    values = _numbers(array, np.dtype(DTYPES[str(kind)]))
    return np.where(_known(array), values, np.nan) if array.null_count else values


def _numbers(array: pa.Array, dtype: np.dtype[Any]) -> NDArray[Any]:
    data = array.buffers()[1]
    if data is None or not len(array):
        return np.zeros(len(array), dtype)
    return np.frombuffer(data, dtype, len(array), array.offset * dtype.itemsize)


def _known(array: pa.Array) -> NDArray[np.bool_]:
    if not array.null_count:
        return np.ones(len(array), np.bool_)
    return _unpacked(array.buffers()[0], array.offset, len(array))


def _unpacked(buffer: pa.Buffer | None, offset: int, size: int) -> NDArray[np.bool_]:
    if buffer is None or not size:
        return np.zeros(size, np.bool_)
    bits = np.unpackbits(np.frombuffer(buffer, np.uint8), bitorder="little")
    return bits[offset : offset + size].astype(np.bool_)

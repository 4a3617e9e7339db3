"""Columns between Arrow and NumPy: the same as pyarrow's own conversions, which load pandas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrocli.results.arrow import from_numpy, to_numpy

STAMP = pa.timestamp("us", tz="UTC")
FLOATS = st.lists(st.one_of(st.none(), st.floats(width=64)), max_size=40)
INTEGERS = st.lists(st.one_of(st.none(), st.integers(-(2**62), 2**62)), max_size=40)
TEXTS = st.lists(st.one_of(st.none(), st.text(max_size=6)), max_size=40)
FLAGS = st.lists(st.booleans(), max_size=40)


def same(mine: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any]) -> None:
    assert mine.dtype == theirs.dtype
    np.testing.assert_array_equal(mine, theirs)


def cut(array: pa.Array) -> pa.ChunkedArray:
    """In three parts that begin inside a byte of the bits."""
    size = len(array)
    return pa.chunked_array([array[: size // 3], array[size // 3 : size // 2], array[size // 2 :]], array.type)


@pytest.mark.parametrize(("kind", "values"), [(pa.float64(), FLOATS), (pa.int64(), INTEGERS), (pa.string(), TEXTS)])
@given(data=st.data())
def test_columns_with_missing_values(kind: pa.DataType, values: Any, data: Any) -> None:
    given_values = data.draw(values)
    mine, theirs = from_numpy(given_values, kind), pa.array(given_values, kind, from_pandas=True)
    mine.validate(full=True)
    assert mine.equals(theirs) or kind == pa.float64()
    assert mine.null_count == theirs.null_count
    if kind == pa.int64() and theirs.null_count:
        np.testing.assert_array_equal(to_numpy(cut(mine)), cut(theirs).to_numpy())
    else:
        same(to_numpy(cut(mine)), cut(theirs).to_numpy())


@given(FLAGS)
def test_flags(values: list[bool]) -> None:
    mine, theirs = from_numpy(np.array(values, np.bool_), pa.bool_()), pa.array(values, pa.bool_())
    mine.validate(full=True)
    assert mine.equals(theirs)
    same(to_numpy(cut(mine)), cut(theirs).to_numpy())


def test_times_and_integers_of_numpy() -> None:
    times = np.array(["2014-09-15T00:00:00", "NaT", "1960-01-01T00:00:01"], "datetime64[s]")
    mine, theirs = from_numpy(times, STAMP), pa.array(times.astype("datetime64[us]"), STAMP, from_pandas=True)
    assert mine.equals(theirs)
    same(to_numpy(cut(mine)), cut(theirs).to_numpy())
    small = np.array([1, 2, 3], np.int16)
    assert from_numpy(small, pa.int64()).equals(pa.array(small, pa.int64()))


def test_texts_that_are_a_dictionary() -> None:
    words = pa.chunked_array([pa.array(["a", None, "b", "a"]).dictionary_encode()])
    assert to_numpy(words).tolist() == ["a", None, "b", "a"]


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises((TypeError, ValueError)):
        from_numpy(["a", "b"], pa.float64())
    with pytest.raises((TypeError, ValueError)):
        from_numpy([1.5, 2.0], pa.int64())

"""Values as plain ones, for JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from typing import Any


def to_jsonable(value: Any) -> Any:
    """The value with strings, numbers, lists and dictionaries only.

    Numbers that are not finite become null; times, paths and all else become strings. NumPy arrays and scalars are
    recognised by their dtype, so that the command line does not load NumPy for this.
    """
    if isinstance(value, Mapping):
        return {str(key): to_jsonable(item) for key, item in value.items()}
    if hasattr(value, "dtype"):
        return to_jsonable((value.astype(str) if value.dtype.kind == "M" else value).tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [to_jsonable(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, date):
        return value.isoformat()
    return value if value is None or isinstance(value, str | int) else str(value)

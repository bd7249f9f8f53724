"""Arrays from lists: columns of one type, and where consecutive ranges begin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def array(values: Sequence[Any], kind: Any) -> NDArray[Any]:
    """Return values as an array of one dimension."""
    return np.array(values, dtype=kind).reshape(len(values))


def firsts(counts: Sequence[int] | NDArray[Any], kind: Any = np.int64) -> NDArray[Any]:
    """Return where each of consecutive ranges begins, and where the last ends."""
    found = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(np.asarray(counts, dtype=np.int64), out=found[1:])
    return found.astype(kind)

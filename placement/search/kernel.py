"""How every kernel of the search is compiled: once, whatever widths of whole numbers its callers have."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import njit, types

OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy", "_nrt": False}
MODULES = (
    "address", "bench", "changes", "dynamic", "index", "insertion", "kernel", "layout", "losing", "pricing",
    "resuming", "ruining", "settling", "stacking", "state", "sweeping", "ways",
)  # fmt: skip
"""Modules with kernels, and with the constants and types that are compiled into them."""

Function = TypeVar("Function", bound=Callable[..., Any])


def _sources() -> str:
    """Return a digest of everything that kernels are made from."""
    here = Path(__file__).parent
    return hashlib.sha256(b"".join((here / f"{name}.py").read_bytes() for name in MODULES)).hexdigest()


SOURCES = _sources()


def kernel(function: Function) -> Function:
    """Compile a function when it is first called and keep it on disk; it holds no lock of the interpreter.

    It makes no arrays of its own, so none are counted. Numba would compile it again for every mixture of int32, int64
    and literal arguments, and everything that it calls as well; here whole numbers come in as int64.
    """
    compiled = njit(**OPTIONS)(function)
    # Numba would look at the file of this function alone, not at what it calls.
    compiled._cache._cache_file._source_stamp = SOURCES
    ask = compiled.get_call_template

    def get_call_template(args: tuple[Any, ...], kws: dict[str, Any]) -> Any:
        return ask(tuple(_wide(kind) for kind in args), {name: _wide(kind) for name, kind in kws.items()})

    compiled.get_call_template = get_call_template
    return cast("Function", compiled)


def _wide(kind: Any) -> Any:
    if isinstance(kind, types.Integer) and kind != types.uint64:
        return types.int64
    return types.unliteral(kind)  # type: ignore[no-untyped-call]

"""A tuple of arrays handed to a kernel as one address, so that a hundred arrays compile like one argument.

Numba passes a tuple by spelling out every word of every array at every call: seconds of compiling for each function,
and hundreds of words on the stack. Here the words lie in memory once, and `tuple.field` in a kernel reads its own.
"""

# The extension interface of numba has no types.
# mypy: disable-error-code="no-untyped-call, call-overload, override, import-untyped, misc"

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from llvmlite import ir
from numba import typeof, types
from numba.core.imputils import impl_ret_borrowed
from numba.core.typing.templates import AttributeTemplate
from numba.extending import (
    NativeValue,
    infer_getattr,
    lower_getattr_generic,
    models,
    register_model,
    typeof_impl,
    unbox,
)

WORD = 8
Parts = TypeVar("Parts", bound=NamedTuple)


class AddressType(types.Type):
    """The type of a tuple by address: what each field is, and how many bytes behind the address it lies."""

    def __init__(self, noun: str, parts: tuple[tuple[str, Any, int], ...]) -> None:
        self.parts = {name: (kind, offset) for name, kind, offset in parts}
        said = hashlib.sha256(repr([(name, str(kind), offset) for name, kind, offset in parts]).encode()).hexdigest()
        super().__init__(name=f"{noun}_{said[:12]}")


class Address:
    """A tuple of arrays, numbers and further such tuples, with its words in memory; keeps all of them alive."""

    def __init__(self, parts: NamedTuple) -> None:
        self.kept: list[Any] = []
        words: list[int] = []
        self.kind = self._write(parts, words)
        self.words = np.array(words, np.uint64)
        self.address = self.words.ctypes.data

    def _write(self, parts: NamedTuple, words: list[int]) -> AddressType:
        begin, fields = len(words), []
        for name, part in parts._asdict().items():
            offset = WORD * (len(words) - begin)
            if isinstance(part, tuple):
                fields.append((name, self._write(cast("NamedTuple", part), words), offset))
            elif isinstance(part, np.ndarray):
                fields.append((name, self._write_array(part, words), offset))
            else:
                kind = typeof(part)
                words.append(int(np.array(part, np.dtype(str(kind))).view(np.uint64)))
                fields.append((name, kind, offset))
        return AddressType(type(parts).__name__, tuple(fields))

    def _write_array(self, array: np.ndarray[Any, Any], words: list[int]) -> Any:
        """Write what numba keeps of an array: two owners (none), items, bytes of one, where they are, shape, steps."""
        array = np.ascontiguousarray(array)  # what has gaps is copied
        self.kept.append(array)
        words += [0, 0, array.size, array.itemsize, array.ctypes.data, *array.shape, *array.strides]
        return _array_type(array.dtype, array.ndim)


@lru_cache
def _array_type(dtype: np.dtype[Any], ndim: int) -> Any:
    """Return the type of arrays; to ask numba takes longer than to write one down."""
    return types.Array(typeof(np.empty(0, dtype)).dtype, ndim, "C")


def by_address(parts: Parts) -> Parts:
    """Return what kernels take in place of a tuple; its arrays are shared. Only kernels can read it."""
    return cast("Parts", Address(parts))


@typeof_impl.register(Address)
def _typeof(value: Address, _context: object) -> AddressType:
    return value.kind


@register_model(AddressType)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: AddressType) -> None:
        super().__init__(manager, kind, ir.IntType(64))


@infer_getattr
class _Fields(AttributeTemplate):
    key = AddressType

    def generic_resolve(self, kind: AddressType, name: str) -> Any:
        """Return the type of a field; None when there is none of this name."""
        return kind.parts[name][0] if name in kind.parts else None


@lower_getattr_generic(AddressType)
def _load(context: Any, builder: Any, kind: AddressType, value: Any, name: str) -> Any:
    field, offset = kind.parts[name]
    place = builder.add(value, ir.Constant(ir.IntType(64), offset))
    if isinstance(field, AddressType):
        return place
    pointer = builder.inttoptr(place, context.get_value_type(field).as_pointer())
    return impl_ret_borrowed(context, builder, field, builder.load(pointer))


@unbox(AddressType)
def _unbox(_kind: AddressType, value: Any, c: Any) -> Any:
    number = c.pyapi.object_getattr_string(value, "address")
    address = c.pyapi.long_as_longlong(number)
    c.pyapi.decref(number)
    return NativeValue(address, is_error=c.pyapi.c_api_error())

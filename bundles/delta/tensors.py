"""Finds where the tensors of an ONNX or safetensors file lie, by name, without loading them.

Only the encoder at headquarters asks. An ONNX file is walked as Protobuf, because the `onnx` package gives tensors and
not their places; initializers with raw data count, and those whose data lie in a file beside the graph.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Buffer = NDArray[np.uint8]
Field = tuple[int, int, int, int]
"""One Protobuf field: number, value of a varint, start and end of its bytes."""

_ONNX_WIDTHS = {1: 4, 4: 2, 5: 2, 6: 4, 7: 8, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}
_SAFE_WIDTHS = {"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2}
_GRAPH, _INITIALIZER, _TYPE, _NAME, _RAW, _EXTERNAL = 7, 5, 2, 8, 9, 13


@dataclass(frozen=True)
class Place:
    """Where a tensor's elements lie: first byte, bytes, and the bytes of one element."""

    start: int
    length: int
    width: int

    @property
    def end(self) -> int:
        """The byte after the last."""
        return self.start + self.length


@dataclass(frozen=True)
class _Tensor:
    """An initializer: its place in the graph's file, or the file beside it and its place there."""

    name: str
    place: Place
    file: str = ""


def tensors_in(name: str, files: Mapping[str, Path]) -> dict[str, Place]:
    """Return tensor -> place in file `name`; `files` are it and those beside it, by name. Empty when it has none."""
    path = files[name]
    if name.endswith(".safetensors"):
        return _of_safetensors(path)
    if name.endswith(".onnx"):
        return {tensor.name: tensor.place for tensor in _of_onnx(path) if not tensor.file}
    graphs = [file for other, file in sorted(files.items()) if other.endswith(".onnx")]
    return {tensor.name: tensor.place for graph in graphs for tensor in _of_onnx(graph) if tensor.file == name}


def mapped(path: Path) -> Buffer:
    """Return the bytes of a file, read as they are needed."""
    if not path.stat().st_size:
        return np.zeros(0, np.uint8)
    return np.memmap(path, np.uint8, "r")


def _of_safetensors(path: Path) -> dict[str, Place]:
    data = mapped(path)
    size = int.from_bytes(bytes(data[:8]), "little")
    header = json.loads(bytes(data[8 : 8 + size]))
    found = {}
    for name, entry in header.items():
        if name != "__metadata__":
            first, last = entry["data_offsets"]
            found[name] = Place(8 + size + first, last - first, _SAFE_WIDTHS.get(entry["dtype"], 1))
    return found


def _of_onnx(path: Path) -> Iterator[_Tensor]:
    data = mapped(path)
    for graph in _fields(data, 0, len(data)):
        if graph[0] == _GRAPH:
            for field in _fields(data, graph[2], graph[3]):
                if field[0] == _INITIALIZER and (tensor := _initializer(data, field[2], field[3])):
                    yield tensor


def _initializer(data: Buffer, start: int, end: int) -> _Tensor | None:
    name, width, place, pairs = "", 1, None, {}
    for number, value, first, last in _fields(data, start, end):
        if number == _TYPE:
            width = _ONNX_WIDTHS.get(value, 1)
        elif number == _NAME:
            name = bytes(data[first:last]).decode()
        elif number == _RAW:
            place = (first, last - first)
        elif number == _EXTERNAL:
            pair = {key: bytes(data[at:stop]).decode() for key, _, at, stop in _fields(data, first, last)}
            pairs[pair.get(1, "")] = pair.get(2, "")
    if "location" in pairs:
        place = (int(pairs.get("offset", 0)), int(pairs.get("length", 0)))
    return _Tensor(name, Place(*place, width), pairs.get("location", "")) if place and name else None


def _fields(data: Buffer, start: int, end: int) -> Iterator[Field]:
    """Yield the fields of the Protobuf message in `data[start:end]`.

    Raises:
        ValueError: it is no Protobuf message.
    """
    at = start
    while at < end:
        key, at = _varint(data, at)
        kind, value, first = key & 7, 0, at
        if kind == 0:
            value, at = _varint(data, at)
        elif kind == 2:
            length, first = _varint(data, at)
            at = first + length
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError(f"no Protobuf message: wire type {kind}")
        if at > end:
            raise ValueError("no Protobuf message: a field reaches beyond its end")
        yield key >> 3, value, first, at


def _varint(data: Buffer, at: int) -> tuple[int, int]:
    """Return (value, the byte after it)."""
    value = 0
    for shift in range(0, 70, 7):
        byte = int(data[at])
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
    raise ValueError("no Protobuf message: a number without an end")

"""What an ONNX file says its input is: OpenCV loads the model and does not tell.

Source: onnx.proto of ONNX (ModelProto.graph = 7, GraphProto.input = 11, initializer = 5, ValueInfoProto.type = 2,
TypeProto.tensor_type = 1, Tensor.shape = 2, TensorShapeProto.dim = 1, Dimension.dim_value = 1). Only these are read.
"""

from collections.abc import Iterator
from typing import Final

VARINT_MAX: Final = 10
"""Bytes of a 64-bit number."""


class BadOnnx(ValueError):
    """Not the bytes of an ONNX model."""


def input_shape(data: bytes) -> tuple[int, ...]:
    """The shape of the first input that is no weight; 0 for a size that is left open. Raises BadOnnx."""
    for graph in _parts(memoryview(data), 7):
        weights = {bytes(name) for one in _parts(graph, 5) for name in _parts(one, 8)}
        for given in _parts(graph, 11):
            if any(bytes(name) in weights for name in _parts(given, 1)):
                continue
            shapes = [s for kind in _parts(given, 2) for t in _parts(kind, 1) for s in _parts(t, 2)]
            if shapes:
                return tuple(next(_numbers(one, 1), 0) for one in _parts(shapes[0], 1))
    raise BadOnnx("no graph with an input")


def _parts(data: memoryview, field: int) -> Iterator[memoryview]:
    return (value for number, value in _fields(data) if number == field and isinstance(value, memoryview))


def _numbers(data: memoryview, field: int) -> Iterator[int]:
    return (value for number, value in _fields(data) if number == field and isinstance(value, int))


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """The fields of one message, in the wire format of protocol buffers."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        wire = key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if wire == 2:
            size, at = _varint(data, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise BadOnnx(f"wire type {wire}")
        if at + size > len(data):
            raise BadOnnx("cut off")
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for index in range(VARINT_MAX):
        if at + index >= len(data):
            raise BadOnnx("cut off")
        byte = data[at + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, at + index + 1
    raise BadOnnx("a number without end")

"""A small model in the layout of YOLOX, written as ONNX byte by byte, so that the real loader and the real inference
run in tests without a model from elsewhere.

It finds bright squares: at each of the strides 8, 16 and 32 one convolution, as wide as its stride, takes the mean of
a cell. Objectness is sigmoid(mean brightness); class 0 is sigmoid(red - blue), class 1 sigmoid(blue - red); boxes sit
in the middle of their cell and are `2 * stride` wide. Field numbers: onnx.proto of ONNX IR version 8.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FLOAT, INT64 = 1, 7
STRIDES = (8, 16, 32)


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value & (1 << 64) - 1)


def part(field: int, data: bytes | str) -> bytes:
    data = data.encode() if isinstance(data, str) else data
    return varint(field << 3 | 2) + varint(len(data)) + data


def tensor(name: str, values: NDArray[np.float32] | NDArray[np.int64]) -> bytes:
    """TensorProto."""
    kind = FLOAT if values.dtype == np.float32 else INT64
    dims = b"".join(number(1, size) for size in values.shape)
    return dims + number(2, kind) + part(8, name) + part(9, values.tobytes())


def integer(name: str, value: int) -> bytes:
    """AttributeProto of type INT."""
    return part(1, name) + number(3, value) + number(20, 2)


def integers(name: str, values: Sequence[int]) -> bytes:
    """AttributeProto of type INTS."""
    return part(1, name) + b"".join(number(8, value) for value in values) + number(20, 7)


def node(op: str, inputs: Sequence[str], output: str, *attributes: bytes) -> bytes:
    """NodeProto."""
    names = b"".join(part(1, name) for name in inputs)
    return names + part(2, output) + part(3, output) + part(4, op) + b"".join(part(5, one) for one in attributes)


def value(name: str, shape: Sequence[int]) -> bytes:
    """ValueInfoProto of a float tensor."""
    dims = b"".join(part(1, number(1, size)) for size in shape)
    return part(1, name) + part(2, part(1, number(1, FLOAT) + part(2, dims)))


def model(nodes: Sequence[bytes], tensors: Sequence[bytes], shape_in: Sequence[int], shape_out: Sequence[int]) -> bytes:
    """ModelProto."""
    graph = b"".join(part(1, one) for one in nodes) + part(2, "bright") + b"".join(part(5, one) for one in tensors)
    graph += part(11, value("images", shape_in)) + part(12, value("output", shape_out))
    return number(1, 8) + part(7, graph) + part(8, part(1, "") + number(2, 13))


def bright_squares(size: tuple[int, int] = (128, 128), classes: int = 2) -> bytes:
    """The model; `size` is height and width."""
    nodes: list[bytes] = []
    tensors: list[bytes] = [tensor("flat", np.array([1, 5 + classes, -1], np.int64))]
    for stride in STRIDES:
        boxes = np.zeros((4, 3, stride, stride), np.float32)
        shift = np.array([0.5, 0.5, np.log(2), np.log(2)], np.float32)
        marks = np.zeros((1 + classes, 3, stride, stride), np.float32)
        cell = stride * stride
        marks[0] = 0.1 / (3 * cell)  # objectness: 0.5 at a mean of 200
        for index in range(classes):
            sign = 1 if index == 0 else -1
            marks[1 + index, 0], marks[1 + index, 2] = -0.1 * sign / cell, 0.1 * sign / cell
        floor = np.array([-20.0, *[0.0] * classes], np.float32)
        window = (integers("kernel_shape", [stride, stride]), integers("strides", [stride, stride]))
        s = str(stride)
        tensors += [tensor("wb" + s, boxes), tensor("bb" + s, shift), tensor("wm" + s, marks), tensor("bm" + s, floor)]
        nodes += [
            node("Conv", ["images", "wb" + s, "bb" + s], "box" + s, *window),
            node("Conv", ["images", "wm" + s, "bm" + s], "raw" + s, *window),
            node("Sigmoid", ["raw" + s], "mark" + s),
            node("Concat", ["box" + s, "mark" + s], "head" + s, integer("axis", 1)),
            node("Reshape", ["head" + s, "flat"], "row" + s),
        ]
    nodes.append(node("Concat", [f"row{s}" for s in STRIDES], "rows", integer("axis", 2)))
    nodes.append(node("Transpose", ["rows"], "output", integers("perm", [0, 2, 1])))
    cells = sum(size[0] // s * (size[1] // s) for s in STRIDES)
    return model(nodes, tensors, (1, 3, *size), (1, cells, 5 + classes))


def identity(size: int = 64) -> bytes:
    """A model that is none of ours: it gives the picture back."""
    return model([node("Sigmoid", ["images"], "output")], [], (1, 3, size, size), (1, 3, size, size))

# SPDX-License-Identifier: Apache-2.0
"""How much arithmetic a network is: read from its ONNX file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import shape_inference

from nepi_ros.errors import BundleError


@dataclass(frozen=True)
class Complexity:
    """Multiply-accumulates for one frame, parameters (weights and biases), bytes of the file."""

    macs: int
    parameters: int
    file_bytes: int


def complexity(path: Path, size: tuple[int, int]) -> Complexity:
    """Count the convolutions and matrix products of a network that takes images of `size` (width, height), or latents.
    Raises BundleError naming a file that is no network.

    Additions, activations, resizing and pooling are not counted, as is the custom.
    """
    try:
        model = shape_inference.infer_shapes(_sized(onnx.load(str(path)), size), strict_mode=True)
    except Exception as error:  # protobuf and onnx raise classes of their own for each kind of damage
        raise BundleError(f"{path}: cannot be read as a network ({error}); restore the bundle") from error
    shapes = _shapes(model.graph)
    macs = parameters = 0
    for node in model.graph.node:
        if node.op_type not in _MACS:
            continue
        source, weight, *bias = (shapes[name] for name in node.input if name)
        macs += _MACS[node.op_type](source, weight, shapes[node.output[0]], node)
        parameters += math.prod(weight) + sum(map(math.prod, bias))
    return Complexity(macs, parameters, path.stat().st_size)


def _sized(model: onnx.ModelProto, size: tuple[int, int]) -> onnx.ModelProto:
    """The model with one image's width and height where its input leaves them open."""
    for value in model.graph.input:
        dims = value.type.tensor_type.shape.dim
        if len(dims) == 4:
            first = 1 if dims[3].dim_value == 3 else 2  # of the sides: [N, H, W, 3] or [N, 3, H, W]
            for dim, side in zip(dims[first:], size[::-1], strict=False):
                dim.dim_value = dim.dim_value or side
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")  # what it leaves open would stand in the way of what can be inferred
    return model


def _conv(_source: Sequence[int], weight: Sequence[int], output: Sequence[int], _node: onnx.NodeProto) -> int:
    return math.prod(output) * math.prod(weight[1:])  # weight is [out, in / groups, *kernel]


def _conv_transpose(source: Sequence[int], weight: Sequence[int], _out: Sequence[int], _node: onnx.NodeProto) -> int:
    return math.prod(source) * math.prod(weight[1:])  # weight is [in, out / groups, *kernel]


def _product(source: Sequence[int], _weight: Sequence[int], output: Sequence[int], node: onnx.NodeProto) -> int:
    transposed = any(a.name == "transA" and a.i for a in node.attribute)
    return math.prod(output) * source[-2 if transposed else -1]


_MACS = {"Conv": _conv, "ConvTranspose": _conv_transpose, "Gemm": _product, "MatMul": _product}


def _shapes(graph: onnx.GraphProto) -> dict[str, list[int]]:
    """Shapes of all values; a dimension without a number is the batch, of one frame."""
    shapes = {entry.name: list(entry.dims) for entry in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        shapes[value.name] = [d.dim_value or 1 for d in value.type.tensor_type.shape.dim]
    return shapes

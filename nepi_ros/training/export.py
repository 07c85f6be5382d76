# SPDX-License-Identifier: Apache-2.0
"""Trained networks as ONNX files with the inputs and outputs that a bundle promises."""

from __future__ import annotations

import contextlib
import copy
import io
import math
import warnings
from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional as F

from nepi_ros.errors import BundleError
from nepi_ros.tasks import REGISTRY
from nepi_ros.training.blocks import Bottleneck
from nepi_ros.training.codec import LATENT_LIMIT, Codec
from nepi_ros.training.latent import MAP_CELL, LatentLayout, grid
from nepi_ros.training.networks import Answerer, Encoder, Painter
from nepi_ros.training.targets import fuse_batch_norm, weight_scale

# The newest opset that the TorchScript-based exporter writes without conversion; ONNX Runtime 1.13 and later read it.
_OPSET = 17
_MISTAKEN = 0.01  # of a map's classes, at most
_CHANNELS = 16  # at a time in 8-bit kernels


class DeployedEncoder(nn.Module):
    """image uint8 [N,H,W,3] -> flat latent int8 [N,T], at its end the map of classes where there is one.

    Takes `encoder` over, its batch norms fused."""

    def __init__(self, encoder: Encoder, layout: LatentLayout, values: int) -> None:
        """`values`: how many values of the latent, from the first, are given out."""
        super().__init__()
        self.encoder, self.layout, self.values = encoder, layout, values
        _fold(encoder.trunk.stages[0][0], encoder.trunk.SCALE / 255.0, encoder.trunk.SHIFT)

    def forward(self, image: Tensor) -> Tensor:
        features = self.encoder.trunk.features(image.permute(0, 3, 1, 2).float())
        maps, logits = self.encoder.read(features)
        latent = self.layout.flat(maps)[:, : self.values].round().clamp(-LATENT_LIMIT, LATENT_LIMIT).to(torch.int8)
        return latent if logits is None else torch.cat([latent, logits.argmax(1).flatten(1).to(torch.int8)], dim=1)


@torch.no_grad()
def _fold(convolution: nn.Conv2d, scale: float, shift: float) -> None:
    """Make a convolution without padding do its input's scaling, which at full size takes as long as itself."""
    convolution.bias += shift * convolution.weight.sum((1, 2, 3))
    convolution.weight *= scale


class DeployedDecoder(nn.Module):
    """flat latent int8 [N,T] -> image float32 [N,3,H,W] of size (width, height), or what an Answerer gives. Values that
    are not given are 0; then comes the map of classes, where there is one."""

    def __init__(self, decoder: Painter | Answerer, layout: LatentLayout, size: tuple[int, int]) -> None:
        super().__init__()
        self.decoder, self.layout, self.size = decoder, layout, size
        self.values = sum(shape.size for shape in layout.shapes(size))

    def forward(self, latent: Tensor) -> tuple[Tensor, ...]:
        classes = self._classes(latent) if self.decoder.class_count else None
        values = latent[:, : self.values].float()
        whole = F.pad(values, (0, self.values - values.shape[1]))
        found = self.decoder(self.layout.maps(whole, self.size), classes)
        return tuple(found.values()) if isinstance(found, dict) else (found,)

    def _classes(self, latent: Tensor) -> Tensor:
        places = latent[:, self.values :].reshape(-1, 1, *grid(MAP_CELL, self.size)).int()
        return (places == torch.arange(self.decoder.class_count, dtype=torch.int32)[:, None, None]).float()


def export_codec(codec: Codec, size: tuple[int, int], kept: int | None = None) -> dict[str, bytes]:
    """encoder.onnx and decoder.onnx for images of size (width, height) and the first `kept` layers, all by default.

    The codec is left as it is.
    """
    codec = copy.deepcopy(codec).eval()
    fuse_batch_norm(codec)
    for block in codec.modules():
        if isinstance(block, Bottleneck):
            block.pad(_CHANNELS)
    values = sum(shape.size for shape in codec.layout.shapes(size)[:kept])
    encoder = DeployedEncoder(codec.encoder, codec.layout, values)
    decoder = DeployedDecoder(codec.decoder, codec.layout, size)
    halve_weights(codec)
    image = torch.randint(0, 256, (2, size[1], size[0], 3), dtype=torch.uint8)
    places = math.prod(grid(MAP_CELL, size)) if codec.class_count else 0
    latent = torch.randint(-1, 4, (2, values + places), dtype=torch.int8)
    return {
        "encoder.onnx": _export(encoder, image, "image", ["latent"], tolerance=1.0, names_from=values),
        "decoder.onnx": _export(decoder, latent, "latent", codec.decoder.outputs),
    }


@torch.no_grad()
def halve_weights(module: nn.Module) -> None:
    """Round all weights to what 16 bits hold, in place: they are stored so, in half the space.

    Done before anything is measured, so that what is measured is what is stored.
    """
    for weight in module.parameters():
        weight.copy_(weight.half())


def export_target(task: str, network: nn.Module, size: tuple[int, int]) -> bytes:
    """ONNX of a target network for images of size (width, height)."""
    image = torch.rand(2, 3, size[1], size[0])
    return _export(network, image, "image", [REGISTRY[task].output])


def _export(
    module: nn.Module,
    example: Tensor,
    source: str,
    results: Sequence[str],
    tolerance: float = 1e-2,
    names_from: int | None = None,
) -> bytes:
    """The ONNX network, checked as of `_check`."""
    module = module.cpu().float().eval().to(memory_format=torch.contiguous_format)
    buffer = io.BytesIO()
    # The older exporter keeps the parameters' names and warns that it is older.
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, (example,), buffer, dynamo=False, opset_version=_OPSET, input_names=[source],
            output_names=list(results), dynamic_axes={name: {0: "batch"} for name in (source, *results)},
        )  # fmt: skip
    data = shrunk(buffer.getvalue())
    _check(module, data, example[:1], source, tolerance, names_from)
    return data


def shrunk(data: bytes) -> bytes:
    """The ONNX network with every weight that needs no more stored as 8 bit times a scale per output channel, or as
    16 bit.

    Runtimes unfold that when they load the network, so it computes as before.
    """
    model = onnx.load_from_string(data)
    graph, kept, unfold = model.graph, [], []
    for weight in graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.ndim < 2:
            kept.append(weight)
        elif (eight_bit := _eight_bits(values)) is not None:
            whole, scale = f"{weight.name}.int8", f"{weight.name}.scale"
            kept += [numpy_helper.from_array(eight_bit[0], whole), numpy_helper.from_array(eight_bit[1], scale)]
            unfold.append(helper.make_node("Cast", [whole], [f"{whole}.float"], to=TensorProto.FLOAT))
            unfold.append(helper.make_node("Mul", [f"{whole}.float", scale], [weight.name]))
        elif np.array_equal(half := values.astype(np.float16), values):
            kept.append(numpy_helper.from_array(half, f"{weight.name}.half"))
            unfold.append(helper.make_node("Cast", [f"{weight.name}.half"], [weight.name], to=TensorProto.FLOAT))
        else:
            kept.append(weight)
    nodes = [*unfold, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend(nodes)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _eight_bits(values: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """int8 values and their float32 scale [out, 1, ...], or None when `values` are not of that kind."""
    scale = weight_scale(torch.from_numpy(values.copy())).numpy()
    whole = np.rint(values / scale)
    if not np.allclose(whole * scale, values, rtol=1e-4, atol=0):
        return None
    return whole.astype(np.int8), scale


def _check(
    module: nn.Module, data: bytes, example: Tensor, source: str, tolerance: float, names_from: int | None
) -> None:
    """The exported network must do what the trained one does, at another batch size than it was traced with.

    Values of an output [1,...] from `names_from` on are no numbers but classes, of which a few may lie at an edge.
    """
    with torch.no_grad():
        outputs = module(example)
    wanted = [output.float().numpy() for output in (outputs if isinstance(outputs, tuple) else (outputs,))]
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    for one, output in zip(wanted, session.run(None, {source: example.numpy()}), strict=True):
        got = output.astype(np.float32)
        apart = np.abs(got - one) if got.shape == one.shape else np.full((1, 1), np.inf)
        worst = float(apart[:, :names_from].max())
        mistaken = np.count_nonzero(apart[:, names_from:]) if names_from is not None else 0
        if not worst <= tolerance or mistaken > _MISTAKEN * apart.size:  # nor may it be no number
            raise BundleError(
                f"export: the ONNX network differs from the trained one by {worst:g}; please report this"
            )

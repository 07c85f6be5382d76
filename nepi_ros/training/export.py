# SPDX-License-Identifier: Apache-2.0
"""Trained networks as ONNX files with the inputs and outputs that a bundle promises."""

from __future__ import annotations

import contextlib
import io
import warnings

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from nepi_ros.errors import BundleError
from nepi_ros.training.codec import LATENT_LIMIT

# The newest opset that the TorchScript-based exporter writes without conversion; ONNX Runtime 1.13 and later read it.
_OPSET = 17
_TARGET_OUTPUT = {"segmentation": "logits", "depth": "depth", "classification": "logits"}


class DeployedEncoder(nn.Module):
    """image uint8 [N,H,W,3] -> latent int8 [N,C,h,w]."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, image: Tensor) -> Tensor:
        latent = self.encoder(image.permute(0, 3, 1, 2).float() / 255.0)
        return latent.round().clamp(-LATENT_LIMIT, LATENT_LIMIT).to(torch.int8)


class DeployedDecoder(nn.Module):
    """latent int8 [N,C,h,w] -> image float32 [N,3,H,W]."""

    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, latent: Tensor) -> Tensor:
        return self.decoder(latent.float())


def export_encoder(encoder: nn.Module, size: tuple[int, int]) -> bytes:
    """ONNX of an encoder for images of size (width, height)."""
    image = torch.randint(0, 256, (2, size[1], size[0], 3), dtype=torch.uint8)
    return _export(DeployedEncoder(encoder), image, "image", "latent", tolerance=1.0)


def export_decoder(decoder: nn.Module, latent_shape: tuple[int, int, int]) -> bytes:
    """ONNX of a decoder for latents of shape (C, h, w)."""
    latent = torch.randint(-3, 4, (2, *latent_shape), dtype=torch.int8)
    return _export(DeployedDecoder(decoder), latent, "latent", "image")


def export_target(task: str, network: nn.Module, size: tuple[int, int]) -> bytes:
    """ONNX of a target network for images of size (width, height)."""
    image = torch.rand(2, 3, size[1], size[0])
    return _export(network, image, "image", _TARGET_OUTPUT[task])


def _export(module: nn.Module, example: Tensor, source: str, result: str, tolerance: float = 1e-2) -> bytes:
    module = module.cpu().float().eval().to(memory_format=torch.contiguous_format)
    buffer = io.BytesIO()
    # The older exporter keeps the parameters' names and warns that it is older.
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, (example,), buffer, dynamo=False, opset_version=_OPSET, input_names=[source],
            output_names=[result], dynamic_axes={source: {0: "batch"}, result: {0: "batch"}},
        )  # fmt: skip
    data = buffer.getvalue()
    _check(module, data, example[:1], source, tolerance)
    return data


def _check(module: nn.Module, data: bytes, example: Tensor, source: str, tolerance: float) -> None:
    """The exported network must do what the trained one does, at another batch size than it was traced with."""
    with torch.no_grad():
        wanted = module(example).float().numpy()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    got = session.run(None, {source: example.numpy()})[0].astype(np.float32)
    worst = float(np.abs(got - wanted).max()) if got.shape == wanted.shape else float("inf")
    if worst > tolerance:
        raise BundleError(f"export: the ONNX network differs from the trained one by {worst:g}; please report this")

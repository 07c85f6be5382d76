# SPDX-License-Identifier: Apache-2.0
"""The light encoder in 8-bit arithmetic, for a robot's processor: twice as fast, and nearly the same latents.

Static quantisation by ONNX Runtime (Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", CVPR 2018): weights by output channel, activations by the range that they have on
frames of the training set. Entropy tables and profile are made with the quantised encoder.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

CALIBRATION_FRAMES = 64
# Sums too: between two convolutions of 8 bits they would have to be unfolded to 32 and back.
_OPERATORS = ["Conv", "Gemm", "Add", "Relu"]


def quantised(encoder: bytes, images: np.ndarray) -> bytes:
    """An exported encoder with convolutions in 8 bits, calibrated on images uint8 [N,H,W,3]."""
    with TemporaryDirectory() as folder, _quiet():
        folded, done = Path(folder) / "folded.onnx", Path(folder) / "done.onnx"
        _fold(encoder, folded)
        # A bit less for weights: where a processor lacks VNNI, its sums of two products would overflow.
        quantize_static(
            folded, done, _Frames(images), quant_format=QuantFormat.QDQ, op_types_to_quantize=_OPERATORS,
            per_channel=True, reduce_range=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        )  # fmt: skip
        return done.read_bytes()


def _fold(encoder: bytes, file: Path) -> None:
    """Write the network with its constants worked out, which are stored in 16 bits and unfolded."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(file)
    onnxruntime.InferenceSession(encoder, options, providers=["CPUExecutionProvider"])


class _Frames(CalibrationDataReader):
    """Some of the images, evenly spread, one at a time."""

    def __init__(self, images: np.ndarray) -> None:
        chosen = np.unique(np.linspace(0, len(images) - 1, CALIBRATION_FRAMES).astype(int))
        self._images: Iterator[np.ndarray] = (images[k] for k in chosen)

    def get_next(self) -> dict[str, np.ndarray] | None:
        image = next(self._images, None)
        return None if image is None else {"image": image[None]}


class _quiet:  # noqa: N801 - read as a statement
    """No advice in the log on how to prepare a network, which is prepared already."""

    def __enter__(self) -> None:
        logging.disable(logging.WARNING)

    def __exit__(self, *_: object) -> None:
        logging.disable(logging.NOTSET)

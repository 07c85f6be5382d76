# SPDX-License-Identifier: Apache-2.0
"""The codec: frames to layers of bytes and back. Knows neither ROS nor torch."""

from nepi_ros.codec.arrangement import LayerShape
from nepi_ros.codec.entropy import EntropyTables, LayeredCoder
from nepi_ros.codec.fitting import fit_tables
from nepi_ros.codec.header import DamagedEpitomeError, EpitomeHeader, ForeignBundleError, UnavailableTaskError
from nepi_ros.codec.networks import Decoder, EncodedFrame, Encoder, TargetNetworks, untouched
from nepi_ros.codec.packing import checksum, join, pack, packed_size, split, unpack
from nepi_ros.codec.sessions import make_session

__all__ = [
    "DamagedEpitomeError", "Decoder", "EncodedFrame", "Encoder", "EntropyTables", "EpitomeHeader",
    "ForeignBundleError", "LayerShape", "LayeredCoder", "TargetNetworks", "UnavailableTaskError", "checksum",
    "fit_tables", "join", "make_session", "pack", "packed_size", "split", "unpack", "untouched",
]  # fmt: skip

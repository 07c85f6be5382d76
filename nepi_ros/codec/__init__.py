# SPDX-License-Identifier: Apache-2.0
"""The codec: frames to layers of bytes and back. Knows neither ROS nor torch."""

from nepi_ros.codec.arrangement import LayerShape, parted
from nepi_ros.codec.entropy import CodedLatent, EntropyTables, LayeredCoder, Segment
from nepi_ros.codec.fitting import fit_tables
from nepi_ros.codec.header import DamagedEpitomeError, EpitomeHeader, ForeignBundleError, UnavailableTaskError
from nepi_ros.codec.networks import Decoder, EncodedFrame, Encoder, TargetNetworks, untouched
from nepi_ros.codec.picture import PictureFormat
from nepi_ros.codec.sessions import make_session

__all__ = [
    "CodedLatent", "DamagedEpitomeError", "Decoder", "EncodedFrame", "Encoder", "EntropyTables", "EpitomeHeader",
    "ForeignBundleError", "LayerShape", "LayeredCoder", "PictureFormat", "Segment", "TargetNetworks",
    "UnavailableTaskError", "fit_tables", "make_session", "parted", "untouched",
]  # fmt: skip

# SPDX-License-Identifier: Apache-2.0
"""The codec: frames to layers of bytes and back. Knows neither ROS nor torch."""

from nepi_ros.codec.arrangement import LayerShape, class_layers, parted
from nepi_ros.codec.classfitting import fit_class_tables
from nepi_ros.codec.classtables import ClassTables
from nepi_ros.codec.fitting import fit_tables
from nepi_ros.codec.header import DamagedEpitomeError, EpitomeHeader, ForeignBundleError, UnavailableTaskError
from nepi_ros.codec.layered import CodedLatent, Earlier, Kind, LayeredCoder, Segment
from nepi_ros.codec.memory import Answered, ReceivedFrames, SentFrames
from nepi_ros.codec.networks import Content, Decoder, EncodedFrame, Encoder, TargetNetworks, View, untouched
from nepi_ros.codec.picture import PictureFormat
from nepi_ros.codec.sessions import make_session
from nepi_ros.codec.tables import EntropyTables

__all__ = [
    "Answered", "ClassTables", "CodedLatent", "Content", "DamagedEpitomeError", "Decoder", "Earlier", "EncodedFrame",
    "Encoder", "EntropyTables", "EpitomeHeader", "ForeignBundleError", "Kind", "LayeredCoder", "LayerShape",
    "PictureFormat", "ReceivedFrames", "Segment", "SentFrames", "TargetNetworks", "UnavailableTaskError", "View",
    "class_layers", "fit_class_tables", "fit_tables", "make_session", "parted", "untouched",
]  # fmt: skip

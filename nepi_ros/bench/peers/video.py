# SPDX-License-Identifier: Apache-2.0
"""Video codecs through PyAV: HEVC with intra frames alone, and H.264, HEVC and AV1 with low delay.

Low delay: no look-ahead and no frames that wait for later ones, so each frame's packet is there before the next
frame comes. Parameter sets are the same for all frames and would be sent once: they are not counted, nor are the
encoders' comments.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np

from nepi_ros.bench.peers.base import PixelPeer, Setting
from nepi_ros.bench.peers.yuv420 import from_planes, to_planes

os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 otherwise writes a page per stream
av.logging.set_level(av.logging.PANIC)

_START = b"\x00\x00\x01"
_GLOBAL_HEADER = 1 << 22  # AV_CODEC_FLAG_GLOBAL_HEADER: parameter sets apart from the packets
_FRAMES_PER_S = 30


@dataclass(frozen=True)
class Codec:
    """An encoder and its options. `rate` is the option that is swept; `side` the NAL unit types that do not count."""

    encoder: str
    decoder: str
    rate: str
    values: tuple[int, ...]
    options: dict[str, str]
    parameters: tuple[str, str] = ("", "")  # name of the option with the encoder's own parameters, and those
    side: frozenset[int] = frozenset()


_X265_QUIET = "info=0:frame-threads=1:pools=none:log-level=none"
_HEVC_SIDE = frozenset({32, 33, 34, 39, 40})  # VPS, SPS, PPS, SEI (H.265, table 7-1)
CODECS = {
    "hevc_intra": Codec(
        "libx265", "hevc", "qp", (51, 48, 45, 42, 39, 36, 33, 30, 27, 24, 21, 18, 14, 10),
        {"preset": "slow"}, ("x265-params", f"keyint=1:bframes=0:rc-lookahead=0:{_X265_QUIET}"), _HEVC_SIDE,
    ),
    "h264": Codec(
        "libx264", "h264", "crf", (51, 47, 43, 40, 37, 34, 31, 28, 25, 22, 19, 15, 11),
        {"preset": "slow", "tune": "zerolatency"}, ("x264-params", "keyint=infinite:scenecut=0"),
        frozenset({6, 7, 8, 9}),  # SEI, SPS, PPS, delimiter (H.264, table 7-1)
    ),
    "hevc": Codec(
        "libx265", "hevc", "crf", (51, 47, 43, 40, 37, 34, 31, 28, 25, 22, 19, 15, 11),
        {"preset": "slow", "tune": "zerolatency"}, ("x265-params", f"keyint=-1:scenecut=0:{_X265_QUIET}"), _HEVC_SIDE,
    ),
    "av1": Codec(
        "libsvtav1", "libdav1d", "crf", (63, 60, 57, 54, 51, 48, 44, 40, 36, 31, 26, 20, 14),
        {"preset": "4"}, ("svtav1-params", "pred-struct=1:keyint=-1:lp=1:tune=1"),
    ),
}  # fmt: skip


class VideoPeer(PixelPeer):
    """A run of frames through a video codec."""

    def __init__(self, name: str) -> None:
        self.name, self._codec = name, CODECS[name]
        self.version = f"{av.__version__} {self._codec.options} {self._codec.parameters}"
        self.video = name != "hevc_intra"

    def problem(self) -> str | None:
        for name, mode in ((self._codec.encoder, "w"), (self._codec.decoder, "r")):
            try:
                av.codec.Codec(name, mode)
            except (av.error.FFmpegError, ValueError):
                return f"this PyAV ({av.__version__}) was built without {name}"
        return None

    def settings(self) -> list[Setting]:
        return [{self._codec.rate: value} for value in self._codec.values]

    def transcode(self, pictures: Iterator[np.ndarray], setting: Setting) -> Iterator[tuple[int, np.ndarray]]:
        first = next(pictures)
        size = first.shape[1::-1]
        stream = _Encoder(self._codec, setting, to_planes(first).shape)
        packets = [stream.packet(first), *(stream.packet(picture) for picture in pictures)]
        stream.close()
        decoder = av.CodecContext.create(self._codec.decoder, "r")
        decoder.thread_count = 1
        if stream.parameter_sets:
            decoder.extradata = stream.parameter_sets
        decoded = [frame for data in packets for frame in decoder.decode(av.Packet(data))]
        decoded += decoder.decode(None)
        for data, frame in zip(packets, decoded, strict=True):
            yield len(data), from_planes(frame.to_ndarray(), size)


class _Encoder:
    def __init__(self, codec: Codec, setting: Setting, planes: tuple[int, ...]) -> None:
        self._codec, self._count = codec, 0
        self._context = context = av.CodecContext.create(codec.encoder, "w")
        context.width, context.height, context.pix_fmt = planes[1], planes[0] * 2 // 3, "yuv420p"
        context.time_base, context.framerate = Fraction(1, _FRAMES_PER_S), Fraction(_FRAMES_PER_S, 1)
        context.thread_count = 1
        context.flags |= _GLOBAL_HEADER
        name, parameters = codec.parameters
        rate = {codec.rate: str(setting[codec.rate])}
        if codec.rate == "qp":  # PyAV knows no such option of x265's
            parameters, rate = f"qp={setting['qp']}:{parameters}", {}
        context.options = {**codec.options, **rate, name: parameters}

    @property
    def parameter_sets(self) -> bytes | None:
        return self._context.extradata

    def packet(self, picture: np.ndarray) -> bytes:
        """The packet of the next picture, which a low-delay encoder gives at once."""
        frame = av.VideoFrame.from_ndarray(to_planes(picture), format="yuv420p")
        frame.pts, self._count = self._count, self._count + 1
        packets = self._context.encode(frame)
        if len(packets) != 1:
            raise RuntimeError(f"{self._codec.encoder} delays frames: {len(packets)} packets for one")
        return without_units(bytes(packets[0]), self._codec.side)

    def close(self) -> None:
        """End the stream, of which nothing is due any more."""
        self._context.encode(None)


def without_units(data: bytes, types: frozenset[int]) -> bytes:
    """An H.264 or HEVC packet (Annex B) without NAL units of some types; the two number their types differently."""
    if not types:
        return data
    is_hevc = max(types) > 31
    units = data.split(_START)[1:]
    kept = []
    for unit in units:
        kind = unit[0] >> 1 & 0x3F if is_hevc else unit[0] & 0x1F
        if kind not in types:
            kept.append(_START + unit.rstrip(b"\x00"))  # the zero belongs to the next start code
    return b"".join(kept)

# SPDX-License-Identifier: Apache-2.0
"""One frame's epitome as a file: what an Epitome message says of it, without a clock and without ROS.

The first line is JSON, so that `head -1` shows what the file is; the layers follow, in one stream as in the message.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from pathlib import Path

from nepi_ros.bundle import Bundle
from nepi_ros.codec import ForeignBundleError, Segment
from nepi_ros.compressed import MAX_SIDE
from nepi_ros.errors import CodecError
from nepi_ros.files import write_atomic

SUFFIX = ".epitome"
_FORMAT = 2
_MAX_LINE = 1024
_NOT_ONE = "is not an epitome file, or it was cut or changed; make it again with: nepi encode"


@dataclass(frozen=True)
class EpitomeFile:
    """The first `layers` layers of one frame, of a source of `width` by `height` pixels."""

    bundle_id: int
    width: int
    height: int
    layers: int
    stream: bytes

    @property
    def segment(self) -> Segment:
        """All layers, as a decoder takes them."""
        return Segment(0, self.layers, self.stream)

    def write(self, path: Path) -> int:
        """Write the file; returns its size in bytes. Raises ConfigError when that cannot be done."""
        head = {
            "nepi_epitome": _FORMAT,
            "bundle": f"{self.bundle_id:016x}",
            "width": self.width,
            "height": self.height,
            "layers": self.layers,
            "crc32": zlib.crc32(self.stream),
        }
        content = json.dumps(head).encode() + b"\n" + self.stream
        write_atomic(path, content)
        return len(content)

    @classmethod
    def read(cls, path: Path) -> EpitomeFile:
        """Read a file. Raises CodecError when it is none or damaged."""
        try:
            line, _, stream = path.read_bytes().partition(b"\n")
        except OSError as error:
            raise CodecError(f"{path}: cannot be read ({error.strerror})") from error
        try:
            head = json.loads(line[:_MAX_LINE])
            counts = width, height, layers = int(head["width"]), int(head["height"]), int(head["layers"])
            sound = head["nepi_epitome"] == _FORMAT and head["crc32"] == zlib.crc32(stream)
            sound = sound and min(counts) > 0 and max(width, height) <= MAX_SIDE
            epitome = cls(int(head["bundle"], 16), width, height, layers, stream)
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise CodecError(f"{path}: {_NOT_ONE}") from error
        if not sound:
            raise CodecError(f"{path}: {_NOT_ONE}")
        return epitome

    def check_bundle(self, bundle: Bundle, path: Path) -> None:
        """Raise ForeignBundleError unless `bundle` made this epitome."""
        if self.bundle_id != bundle.id:
            raise ForeignBundleError(
                f"{path}: made with bundle {self.bundle_id:016x}, not with {bundle.name} ({bundle.id:016x}); "
                "name its bundle with --bundle"
            )

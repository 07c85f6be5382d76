# SPDX-License-Identifier: Apache-2.0
"""The identifying fields of an epitome message, and the checks a receiver makes before it decodes."""

import struct
import zlib
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any

from nepi_ros.compressed import MAX_SIDE
from nepi_ros.errors import CodecError

if TYPE_CHECKING:
    from nepi_ros.bundle import Bundle

SEQUENCES = 1 << 32
"""How many numbers there are before an epitome's begin anew."""
MOST_BACK = 32
"""How many frames before another one may lie that it is coded given: at 30 frames a second one second."""
_FIELDS = struct.Struct("<IQBHHBBBqIBB")


class ForeignBundleError(CodecError):
    """An epitome was made with another bundle."""


class DamagedEpitomeError(CodecError):
    """An epitome was changed on its way, or claims what cannot be."""


class UnavailableTaskError(CodecError):
    """An epitome asks for a task that does not exist or that the bundle lacks."""


@dataclass(frozen=True)
class EpitomeHeader:
    """The fields of Epitome.msg that the checksum covers, by the same names and in the checksum's order."""

    sequence: int
    bundle_id: int
    task_mask: int
    width: int
    height: int
    first_layer: int
    layer_count: int
    frame_layers: int
    handover_ns: int
    result_bytes: int = 0
    yields: int = 0
    back: int = 0

    @classmethod
    def from_message(cls, message: Any) -> "EpitomeHeader":
        """The fields of an Epitome message (or anything with such attributes)."""
        return cls(**{name: int(getattr(message, name)) for name in cls.__dataclass_fields__})

    def checksum(self, data: bytes) -> int:
        """The CRC-32 that a message with these fields and `data` carries, as Epitome.msg says.

        Raises CodecError for a field out of range.
        """
        try:
            fields = _FIELDS.pack(*astuple(self))
        except struct.error as error:
            raise CodecError(f"an epitome's field is out of range: {error}") from error
        return zlib.crc32(data, zlib.crc32(fields))

    def validate_against(self, bundle: "Bundle", data: bytes, received_checksum: int) -> None:
        """Raise unless a receiver with `bundle` can go on to unpack and decode `data`.

        DamagedEpitomeError: checksum, sizes or layer counts wrong. ForeignBundleError: made with another bundle.
        UnavailableTaskError: unknown tasks, or tasks that the bundle has no network for.
        """
        if self.checksum(data) != received_checksum:
            raise DamagedEpitomeError(
                f"epitome {self.sequence} is damaged: its checksum does not match; it was changed on its way"
            )
        if self.bundle_id != bundle.id:
            raise ForeignBundleError(
                f"epitome made with bundle {self.bundle_id:016x}, but this side has {bundle.name} ({bundle.id:016x}); "
                "set the same `bundle` on the robot and the edge"
            )
        if self.back > MOST_BACK:
            raise DamagedEpitomeError(
                f"epitome {self.sequence} claims to be coded given the frame {self.back} before it; "
                f"1 to {MOST_BACK} are possible"
            )
        self._validate_sizes(bundle.layer_count)
        self._validate_tasks(bundle)

    def _validate_sizes(self, layers: int) -> None:
        if not (1 <= self.width <= MAX_SIDE and 1 <= self.height <= MAX_SIDE):
            raise DamagedEpitomeError(
                f"epitome {self.sequence} claims a source of {self.width} x {self.height} pixels; "
                f"1 to {MAX_SIDE} are possible"
            )
        last = self.first_layer + self.layer_count
        if not (self.layer_count >= 1 and self.first_layer >= 0 and last <= self.frame_layers <= layers):
            raise DamagedEpitomeError(
                f"epitome {self.sequence} claims {self.layer_count} layers from {self.first_layer} "
                f"of {self.frame_layers}; the bundle has {layers}"
            )

    def _validate_tasks(self, bundle: "Bundle") -> None:
        if self.task_mask == 0 or self.task_mask & ~bundle.task_mask:
            raise UnavailableTaskError(
                f"epitome {self.sequence} asks for tasks {self.task_mask:#05b}, but bundle {bundle.name} has "
                f"{', '.join(bundle.tasks)}; set `tasks` on the robot accordingly"
            )

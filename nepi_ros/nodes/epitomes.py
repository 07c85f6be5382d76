# SPDX-License-Identifier: Apache-2.0
"""A frame's segments as Epitome messages, and what those cost on the wire."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from rclpy.serialization import serialize_message
from std_msgs.msg import Header

from nepi_ros.codec import EncodedFrame, EpitomeHeader, Segment
from nepi_ros.link.budget import Choices
from nepi_ros.link.wire import single_packet, wire_bytes
from nepi_ros.msg import Epitome

_INEXACT = 2  # bytes by which the model says too much; by more only of layers that are all zeros, which are not missed


@lru_cache(maxsize=16)
def envelope_bytes(frame_id: str) -> int:
    """Serialised size of an Epitome without data, in bytes; it depends on the length of frame_id alone."""
    return len(serialize_message(Epitome(header=Header(frame_id=frame_id))))


def data_room(frame_id: str, mtu: int) -> int:
    """Bytes of data that fit one IP packet: the path MTU less all headers, IP to Epitome; at least 1."""
    return max(single_packet(mtu) - envelope_bytes(frame_id), 1)


def wire_size(segments: Iterable[Segment], frame_id: str, mtu: int) -> int:
    """Bytes on the wire that a frame's segments cost, each in a message of its own, all headers included."""
    return sum(wire_bytes(envelope_bytes(frame_id) + len(segment.stream), mtu) for segment in segments)


@dataclass(frozen=True)
class Cuts:
    """The prefixes of a frame that say anything: what each costs on the wire, and what it is `worth` (one per layer).

    Costs are by the entropy coder's model, and true to a few bytes, until a prefix is written."""

    frame: EncodedFrame
    worth: Sequence[float]
    frame_id: str
    mtu: int

    @cached_property
    def _about(self) -> list[int]:
        """Bytes on the wire of the first 1, 2, ... layers."""
        envelope, prefixes = envelope_bytes(self.frame_id), self.frame.sizes_about(self._room)
        return [sum(wire_bytes(envelope + size, self.mtu) for size in sizes) for sizes in prefixes]

    @property
    def _room(self) -> int:
        return data_room(self.frame_id, self.mtu)

    def least_bytes(self) -> int:
        """What the shortest costs, written."""
        return self._cost(self.frame.segments(self.frame.least, self._room))

    def choices(self) -> Choices:
        """All of them for the rule that sizes frames. Ordinary are those without a picture."""
        first, latents = self.frame.least - 1, self.frame.latent.layers
        sizes, worth = np.array(self._about[first:]), np.array(self.worth[first : self.frame.layers])
        return Choices(sizes, worth, max(self._about[:latents]))

    def within(self, budget: int) -> list[Segment]:
        """That of most worth of those that cost at most `budget` bytes, the shortest of equals; empty when not even the
        shortest fits. What is counted is what was written."""
        least = self.frame.least
        sizes = enumerate(self._about[least - 1 :], least)
        fitting = [layers for layers, size in sizes if size <= budget + _INEXACT]
        # The shortest is tried whatever the model says of it: nothing else is left.
        for layers in sorted(fitting or [least], key=lambda layers: (-self.worth[layers - 1], layers)):
            segments = self.frame.segments(layers, self._room)
            if self._cost(segments) <= budget:
                return segments
        return []

    def _cost(self, segments: Iterable[Segment]) -> int:
        return wire_size(segments, self.frame_id, self.mtu)


@dataclass(frozen=True)
class OutgoingFrame:
    """What all messages of one frame have in common; the fields are Epitome's."""

    header: Header
    sequence: int
    bundle_id: int
    task_mask: int
    width: int
    height: int
    result_bytes: int = 0
    yields: int = 0
    back: int = 0

    def messages(self, segments: Sequence[Segment], handover_ns: int) -> list[bytes]:
        """The frame as serialised Epitome messages, one for each segment."""
        return [self._message(segment, segments[-1].stop, handover_ns) for segment in segments]

    def _message(self, segment: Segment, frame_layers: int, handover_ns: int) -> bytes:
        fields = EpitomeHeader(
            sequence=self.sequence,
            bundle_id=self.bundle_id,
            task_mask=self.task_mask,
            width=self.width,
            height=self.height,
            first_layer=segment.first,
            layer_count=segment.count,
            frame_layers=frame_layers,
            handover_ns=handover_ns,
            result_bytes=self.result_bytes,
            yields=self.yields,
            back=self.back,
        )
        return serialize_message(
            Epitome(header=self.header, **vars(fields), checksum=fields.checksum(segment.stream), data=segment.stream)
        )

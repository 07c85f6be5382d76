# SPDX-License-Identifier: Apache-2.0
"""QoS of the radio topics, and subscriptions that survive what is not a message."""

from __future__ import annotations

from typing import TypeVar

from rclpy.duration import Duration
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message

from nepi_ros.errors import NepiError

Message = TypeVar("Message")

FRAME_MESSAGES = 16
"""Queue depth, in messages, where one frame may be several: the newest frame wins in the assembler."""


def newest(depth: int = 1, lifespan_s: float | None = None) -> QoSProfile:
    """Best effort, volatile, keep the last: what a topic over a lossy link needs.

    A lifespan belongs on publishers only. On a subscription the middleware would compare the sender's
    clock with the receiver's, which are not synchronised.
    """
    qos = QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=ReliabilityPolicy.BEST_EFFORT
    )
    if lifespan_s is not None:
        qos.lifespan = Duration(nanoseconds=round(lifespan_s * 1e9))
    return qos


def reliable(depth: int = 1) -> QoSProfile:
    """Reliable, volatile, shallow: for small topics that stay on one computer."""
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=ReliabilityPolicy.RELIABLE)


def parse(data: bytes, message_type: type[Message], topic: str) -> Message:
    """The message in its serialised form.

    Nodes subscribe to the serialised form, because rclpy ends the whole node over bytes that it cannot
    read, and because what is replaced by newer data then never costs the parsing.

    Raises:
        NepiError: the bytes are not such a message.
    """
    try:
        return deserialize_message(data, message_type)
    except Exception as error:  # the middleware raises its own, undocumented types
        raise NepiError(
            f"{topic}: {len(data)} bytes cannot be read as {message_type.__name__}; "
            "is its sender built with other message definitions?"
        ) from error

# SPDX-License-Identifier: Apache-2.0
"""A node's state on /diagnostics, once a second."""

from __future__ import annotations

from collections.abc import Mapping

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node
from rclpy.qos_overriding_options import QoSOverridingOptions

from nepi_ros.nodes.topics import reliable

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


def format_value(value: object) -> str:
    """A diagnostic value as text: numbers short, everything else as it is.

    >>> format_value(12.3456), format_value(7), format_value("idle")
    ('12.35', '7', 'idle')
    """
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def make_status(name: str, level: bytes, message: str, values: Mapping[str, object]) -> DiagnosticStatus:
    """A DiagnosticStatus; `level` is one of OK, WARN, ERROR."""
    pairs = [KeyValue(key=key, value=format_value(value)) for key, value in values.items()]
    return DiagnosticStatus(level=level, name=name, message=message, values=pairs)


class DiagnosticsPublisher:
    """Publishes statuses of one node on /diagnostics, in any lifecycle state."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._prefix = node.get_fully_qualified_name().lstrip("/")
        self._publisher = node.create_publisher(
            DiagnosticArray,
            "/diagnostics",
            reliable(),
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )

    def publish(self, level: bytes, message: str, values: Mapping[str, object]) -> None:
        """Publish the node's status now."""
        array = DiagnosticArray(status=[make_status(self._prefix, level, message, values)])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(array)

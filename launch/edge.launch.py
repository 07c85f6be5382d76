# SPDX-License-Identifier: Apache-2.0
"""The edge's side: epitomes of one or several robots to results."""

from pathlib import Path

from launch import LaunchDescription

from nepi_ros.launching import arguments, node

CONFIG = Path(__file__).parent.parent / "config"


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription([
        *arguments(namespace="", params_file=str(CONFIG / "edge.yaml"), robots=""),
        node("edge_node"),
    ])  # fmt: skip

# SPDX-License-Identifier: Apache-2.0
"""Robot, thin link and edge on one machine, with a camera that plays scenes. `nepi demo` runs the same and reports."""

from pathlib import Path

from launch import LaunchDescription

from nepi_ros.launching import arguments, node

CONFIG = Path(__file__).parent.parent / "config"


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription([
        *arguments(params_file=str(CONFIG / "demo.yaml"), source=""),
        node("image_source_node", "robot"),
        node("encoder_node", "robot"),
        node("link_emulator_node", ""),
        node("edge_node", "edge"),
        node("result_node", "robot"),
    ])  # fmt: skip

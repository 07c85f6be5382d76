# SPDX-License-Identifier: Apache-2.0
"""The robot's side: images to epitomes, compressed results to images."""

from pathlib import Path

from launch import LaunchDescription

from nepi_ros.launching import arguments, node

CONFIG = Path(__file__).parent.parent / "config"


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription([
        *arguments(namespace="", params_file=str(CONFIG / "robot.yaml"), image="image", image_transport=""),
        node("encoder_node"),
        node("result_node"),
    ])  # fmt: skip

# SPDX-License-Identifier: Apache-2.0
"""What the launch files share: their arguments, and nodes that take them. Needs an installed ROS 2 (launch_ros)."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any

import yaml
from launch import LaunchContext
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

_DESCRIPTIONS = {
    "namespace": "Namespace of the nodes and their topics, as in robot_1.",
    "params_file": "YAML file with the nodes' parameters.",
    "bundle": "Folder or name of the bundle, the same on robot and edge; empty takes it from params_file.",
    "image": "Topic of the camera's images; /compressed follows it, and camera_info lies beside it.",
    "image_transport": "Which of the two is subscribed: raw or compressed; empty takes it from params_file.",
    "robots": "Namespaces of the robots to serve, as in '[robot_1, robot_2]'; empty takes them from params_file.",
    "source": "What the camera plays: a folder of images, a video file or patrol; empty takes it from params_file.",
    "log_level": "Least severity of what the nodes log.",
    "use_sim_time": "Take the time from /clock; empty takes it from params_file.",
    "autostart": "Configure and activate the nodes at start; false leaves it to a lifecycle manager, empty takes "
    "it from params_file.",
}
_CHOICES = {
    "image_transport": ["", "raw", "compressed"],
    "log_level": ["debug", "info", "warn", "error", "fatal"],
    "use_sim_time": ["", "true", "false"],
    "autostart": ["", "true", "false"],
}
_COMMON = {"bundle": "", "log_level": "info", "use_sim_time": "", "autostart": ""}


def arguments(**defaults: str) -> list[DeclareLaunchArgument]:
    """Declare these launch arguments and those that every launch file has, each with its description."""
    return [
        DeclareLaunchArgument(
            name, default_value=default, description=_DESCRIPTIONS[name], choices=_CHOICES.get(name)
        )
        for name, default in {**defaults, **_COMMON}.items()
    ]


def node(executable: str, namespace: str | None = None) -> OpaqueFunction:
    """The node of that name, set up by whichever of the arguments its launch file declares.

    `namespace` for a launch file without such an argument.
    """
    return OpaqueFunction(function=_node, args=[executable, namespace])


def _node(context: LaunchContext, executable: str, namespace: str | None) -> list[Node]:
    given = {name: LaunchConfiguration(name, default="").perform(context) for name in _DESCRIPTIONS}
    overrides = _overrides(given)
    return [
        Node(
            package="nepi_ros",
            executable=executable,
            name=executable,
            namespace=given["namespace"] if namespace is None else namespace,
            parameters=[given["params_file"], overrides] if overrides else [given["params_file"]],
            remappings=_remappings(given["image"]),
            ros_arguments=["--log-level", given["log_level"]],
            output="screen",
        )
    ]


def _overrides(given: Mapping[str, str]) -> dict[str, Any]:
    """Parameters that an argument sets. The others are left to params_file."""
    overrides: dict[str, Any] = {
        name: given[name] == "true" for name in ("autostart", "use_sim_time") if given[name]
    }
    overrides |= {name: given[name] for name in ("bundle", "image_transport", "source") if given[name]}
    if given["robots"]:
        robots = yaml.safe_load(given["robots"])
        overrides["robots"] = [str(robot) for robot in robots] if isinstance(robots, list) else [str(robots)]
    return overrides


def _remappings(image: str) -> list[tuple[str, str]]:
    """A camera's topics: a remapping of `image` alone would leave its companions behind."""
    if not image:
        return []
    camera_info = posixpath.join(posixpath.dirname(image), "camera_info")
    return [("image", image), ("image/compressed", f"{image}/compressed"), ("camera_info", camera_info)]

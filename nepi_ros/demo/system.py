# SPDX-License-Identifier: Apache-2.0
"""The demo's nodes: their names and processes, and the parameters they run with."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from nepi_ros.demo.processes import NodeSpec
from nepi_ros.demo.readiness import Topic
from nepi_ros.errors import ConfigError

ROBOT, EDGE = "/robot", "/edge"
CAMERA, ENCODER, RESULT = (f"{ROBOT}/{name}" for name in ("image_source_node", "encoder_node", "result_node"))
EDGE_NODE, LINK = f"{EDGE}/edge_node", "/link_emulator_node"
LIFECYCLE = (ENCODER, EDGE_NODE, RESULT)


@dataclass(frozen=True)
class System:
    """Nodes that share a parameter file; `overrides` are what the command line says otherwise, by node."""

    file: Path
    parameters: Mapping[str, Mapping[str, Any]]
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def load(cls, file: Path) -> System:
        """Read a ROS parameter file with one section per node. Raises ConfigError when it is none."""
        try:
            content = yaml.safe_load(file.read_text())
            parameters = {node: dict(section["ros__parameters"]) for node, section in content.items()}
        except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"{file}: not a ROS parameter file ({error})") from error
        return cls(file, parameters)

    def with_overrides(self, overrides: Mapping[str, Mapping[str, Any]]) -> System:
        """The same nodes with other values for some parameters; None leaves one as it is."""
        given = {node: {k: v for k, v in values.items() if v is not None} for node, values in overrides.items()}
        return replace(self, overrides=given)

    def value(self, node: str, name: str) -> Any:
        """A node's parameter as the command line or the file has it. Raises ConfigError when neither does."""
        for source in (self.overrides, self.parameters):
            if name in source.get(node, {}):
                return source[node][name]
        raise ConfigError(f"{self.file}: needs the parameter {name} of {node}")

    def spec(self, node: str, may_finish: bool = False) -> NodeSpec:
        """How to start a node: its module is its name."""
        namespace, _, name = node.rpartition("/")
        command = [sys.executable, "-m", f"nepi_ros.nodes.{name}", "--ros-args"]
        # What a node says goes to its log here, not to ~/.ros as well.
        command += ["--disable-external-lib-logs", "-r", f"__ns:={namespace or '/'}", "--params-file", str(self.file)]
        for parameter, value in self.overrides.get(node, {}).items():
            # JSON is YAML in which a text stays a text, whatever it looks like.
            command += ["-p", f"{parameter}:={json.dumps(value)}"]
        return NodeSpec(name, tuple(command), may_finish)


def radio_topics(tasks: tuple[str, ...]) -> list[Topic]:
    """What must be connected before the first frame is worth sending."""
    return [
        # The camera begins when the observer subscribes too.
        Topic(f"{ROBOT}/image"),
        # To the link, to result_node and to the observer.
        Topic(f"{ROBOT}/epitome", 1, 3),
        Topic(f"{EDGE}{ROBOT}/epitome"),
        Topic(f"{EDGE}{ROBOT}/results"),
        *results_topics(tasks),
    ]


def results_topics(tasks: tuple[str, ...]) -> list[Topic]:
    """The way of results on the robot: to result_node, and from there to encoder_node and the observer."""
    return [Topic(f"{ROBOT}/{name}") for name in ("results", "link_report", *tasks)]


def config_file(name: str) -> Path:
    """A file of config/, of the checkout or of the installed package. Raises ConfigError when there is none."""
    prefixes = [Path(p) for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    folders = [Path(__file__).resolve().parents[2] / "config"]
    folders += [p / "share" / "nepi_ros" / "config" for p in prefixes]
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise ConfigError(f"{name}: not found in {', '.join(map(str, folders))}; is the package installed whole?")

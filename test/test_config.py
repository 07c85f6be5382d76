# SPDX-License-Identifier: Apache-2.0
"""The configuration files that ship say what the nodes' parameter tables know."""

from importlib import import_module
from pathlib import Path

import pytest
import yaml

from nepi_ros.errors import ConfigError
from nepi_ros.nodes.parameters import Parameter

CONFIG = Path(__file__).resolve().parent.parent / "config"
NODES = {"robot.yaml": ("encoder_node", "result_node"), "edge.yaml": ("edge_node",)}


def table_of(node: str) -> dict[str, Parameter]:
    return {entry.name: entry for entry in import_module(f"nepi_ros.nodes.{node}").PARAMETERS}


@pytest.mark.parametrize("file", NODES)
def test_every_value_is_the_default_of_a_parameter(file):
    content = yaml.safe_load((CONFIG / file).read_text())
    for pattern, section in content.items():
        nodes = NODES[file] if pattern == "/**" else (pattern.removeprefix("/**/"),)
        for node in nodes:
            table = table_of(node)
            for name, value in section["ros__parameters"].items():
                assert table[name].accept(value) == table[name].default, f"{file}: {node}: {name}"


def test_every_parameter_is_listed():
    for file, nodes in NODES.items():
        content = yaml.safe_load((CONFIG / file).read_text())
        common = content.get("/**", {"ros__parameters": {}})["ros__parameters"]
        for node in nodes:
            listed = common.keys() | content[f"/**/{node}"]["ros__parameters"].keys()
            assert listed == table_of(node).keys()


def test_two_robots_of_one_name_are_refused():
    robots = table_of("edge_node")["robots"]
    assert robots.accept(["", "/a/b"]) == ("", "/a/b")
    with pytest.raises(ConfigError, match="twice"):
        robots.accept(["a", "/a"])

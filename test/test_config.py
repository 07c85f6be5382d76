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
def test_the_files_list_every_parameter_with_its_default(file):
    """Under one key, so that what follows on a command line overrides it: rcl merges values by key."""
    content = yaml.safe_load((CONFIG / file).read_text())
    assert list(content) == ["/**"]
    values = content["/**"]["ros__parameters"]
    tables = [table_of(node) for node in NODES[file]]
    assert values.keys() == {name for table in tables for name in table}
    for table in tables:
        for name in table.keys() & values.keys():
            assert table[name].accept(values[name]) == table[name].default, name


def test_two_robots_of_one_name_are_refused():
    robots = table_of("edge_node")["robots"]
    assert robots.accept(["", "/a/b"]) == ("", "/a/b")
    with pytest.raises(ConfigError, match="twice"):
        robots.accept(["a", "/a"])

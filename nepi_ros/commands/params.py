# SPDX-License-Identifier: Apache-2.0
"""`nepi params`: the nodes' parameters, from the tables that declare them."""

from __future__ import annotations

import argparse
from importlib import import_module

from nepi_ros.errors import ConfigError
from nepi_ros.nodes.parameters import markdown

NODES = ("encoder_node", "edge_node", "result_node", "image_source_node", "link_emulator_node")

_HEAD = """# Parameters

From the tables in the nodes themselves: `nepi params` prints this page. "At run time: unconfigured" means while the
lifecycle node is not configured.

"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `nepi params`."""
    parser.add_argument("nodes", nargs="*", metavar="NODE", help=f"some of {', '.join(NODES)} (default: all)")


def main(arguments: argparse.Namespace) -> int:
    """Print one Markdown table per node."""
    print(_HEAD + "\n".join(f"## {node}\n\n{table_of(node)}" for node in arguments.nodes or NODES).rstrip())
    return 0


def table_of(node: str) -> str:
    """The Markdown table of a node's parameters. Raises ConfigError for an unknown node."""
    if node not in NODES:
        raise ConfigError(f"{node}: no such node; there are {', '.join(NODES)}")
    return markdown(import_module(f"nepi_ros.nodes.{node}").PARAMETERS)

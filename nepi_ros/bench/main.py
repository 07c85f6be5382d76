# SPDX-License-Identifier: Apache-2.0
"""`nepi bench`: measure epitomes beside everything else."""

from __future__ import annotations

import argparse

from nepi_ros.bench import codec_speed, rate_accuracy
from nepi_ros.bench.link import command as link
from nepi_ros.bench.path import command as path

_BENCHES = {"rate-accuracy": rate_accuracy, "codec": codec_speed, "link": link, "path": path}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `nepi bench`."""
    benches = parser.add_subparsers(metavar="BENCH", required=True)
    for name, module in _BENCHES.items():
        summary = module.SUMMARY
        subparser = benches.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        module.add_arguments(subparser)
        subparser.set_defaults(bench=module.main)


def main(arguments: argparse.Namespace) -> int:
    """Run the chosen bench."""
    return arguments.bench(arguments)

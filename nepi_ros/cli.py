# SPDX-License-Identifier: Apache-2.0
"""The command `nepi`. A subcommand is a module with add_arguments(parser) and main(arguments) -> exit status.

Only the module of the subcommand at hand is imported: `nepi demo` must not need what `nepi train` needs.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

import nepi_ros
from nepi_ros.errors import NepiError


@dataclass(frozen=True)
class Command:
    """A subcommand: where it is, what it does, and what to install when it does not import."""

    module: str
    summary: str
    needs: str = "nepi_ros"


COMMANDS = {
    "demo": Command(
        "nepi_ros.demo.main", "play a camera through encoder, thin link and edge, and report", "nepi_ros[ros]"
    ),
    "train": Command("nepi_ros.training.main", "train a bundle on a folder of frames", "nepi_ros[train]"),
    "bench": Command("nepi_ros.bench.main", "measure epitomes beside what else one could send", "nepi_ros[bench]"),
    "inspect": Command("nepi_ros.commands.inspect", "show what is in a bundle or an epitome file"),
    "encode": Command("nepi_ros.commands.encode", "turn image files into epitome files"),
    "decode": Command("nepi_ros.commands.decode", "turn epitome files into results"),
    "params": Command("nepi_ros.commands.params", "list the nodes' parameters", "nepi_ros[ros]"),
}

_EXPLAINED = 2
_INTERRUPTED = 130
_UNHEARD = 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run `nepi`; returns the exit status: 2 for what the user can put right, after one line that says how."""
    argv = sys.argv[1:] if argv is None else list(argv)
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    try:
        parser, module = _parser(argv)
        arguments = parser.parse_args(argv)
        status = module.main(arguments) or 0
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # The reader has seen enough, as in `nepi inspect patrol | head`; Python would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _UNHEARD
    except NepiError as error:
        print(f"nepi: {error}", file=sys.stderr)
        return _EXPLAINED
    except KeyboardInterrupt:
        print("nepi: interrupted", file=sys.stderr)
        return _INTERRUPTED


def _parser(argv: Sequence[str]) -> tuple[argparse.ArgumentParser, ModuleType | None]:
    """The parser for this command line, and the module of its subcommand (None when it names none)."""
    parser = argparse.ArgumentParser(
        prog="nepi", description=nepi_ros.__doc__, epilog="nepi COMMAND --help explains a command."
    )
    parser.add_argument("--version", action="version", version=f"nepi_ros {nepi_ros.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    chosen = next((word for word in argv if not word.startswith("-")), None)
    module = None
    for name, command in COMMANDS.items():
        subparser = commands.add_parser(name, help=command.summary, description=_sentence(command.summary))
        if name == chosen:
            module = _load(name, command)
            module.add_arguments(subparser)
    return parser, module


def _load(name: str, command: Command) -> ModuleType:
    try:
        return import_module(command.module)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("nepi_ros") and error.name != "nepi_ros.msg":
            raise
        target = name if name in ("train", "bench") else "demo"
        raise NepiError(
            f"{name} needs the Python module {error.name}. In a checkout: make {target}; "
            f"elsewhere: pip install '{command.needs}'"
        ) from error


def _sentence(summary: str) -> str:
    return f"{summary[0].upper()}{summary[1:]}."


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""`nepi train CONFIG`: from a folder of frames to a bundle."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from nepi_ros.bundle import Bundle
from nepi_ros.training.assemble import make_bundle
from nepi_ros.training.codec import train_codec
from nepi_ros.training.config import TrainConfig
from nepi_ros.training.data import FrameFolders, Frames
from nepi_ros.training.loop import pick_device
from nepi_ros.training.targets import target_networks

_LOG = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `nepi train`."""
    parser.add_argument("config", type=Path, help="YAML file, for instance models/patrol/train.yaml")
    parser.add_argument("-o", "--out", type=Path, help="folder of the bundle (default: the configuration's)")
    goes_on = "folder for checkpoints (default: %(default)s); a run that was stopped goes on from there"
    parser.add_argument("--runs", type=Path, default="runs", help=goes_on)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="default: cuda if there is")



def main(args: argparse.Namespace) -> int:
    """Train, export, measure; print the profile. Raises ConfigError for what is wrong in the configuration."""
    train(args.config, args.out or args.config.parent, args.runs, args.device)
    return 0


def train(config_file: Path, out: Path, runs: Path, device_name: str = "auto") -> Bundle:
    """Make the bundle that a configuration file describes. Stages already finished in `runs` are not repeated."""
    config = TrainConfig.load(config_file)
    device = pick_device(device_name)
    folder = runs / config.name
    _LOG.info("training %s on %s, checkpoints in %s", config.name, device, folder)
    folders = FrameFolders.of(config, config_file, runs)
    frames = Frames(folders.train, (config.input.width, config.input.height), device)
    targets = target_networks(config, frames, folder)
    codec = train_codec(config, frames, targets, folder)
    files = {"train.yaml": config_file.read_bytes()}
    bundle = make_bundle(config, files, codec, targets, frames, folders.val, out)
    print(profile_table(bundle))
    return bundle


def profile_table(bundle: Bundle) -> str:
    """The bundle's profile as a table: a row per number of layers."""
    profile, tasks = bundle.profile, list(bundle.tasks)
    lines = [f"bundle {bundle.name}, {profile.frames} validation frames: agreement with the target networks"]
    lines.append("layers   bytes  " + "  ".join(f"{task:>14}" for task in tasks))
    for index, size in enumerate(profile.bytes):
        row = "  ".join(f"{profile.agreement[task][index]:14.4f}" for task in tasks)
        lines.append(f"{index + 1:6}  {size:6.0f}  {row}")
    known = ", ".join(f"{task} {value:.4f}" for task, value in profile.target_accuracy.items())
    return "\n".join([*lines, f"target networks on untouched frames, against labels: {known or 'no labels'}"])

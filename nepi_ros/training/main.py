# SPDX-License-Identifier: Apache-2.0
"""`nepi train CONFIG`: from a folder of frames to a bundle."""

from __future__ import annotations

import argparse
import logging
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from nepi_ros.bundle import Bundle, check_place
from nepi_ros.bundle_files import beside
from nepi_ros.errors import ConfigError
from nepi_ros.files import write_atomic
from nepi_ros.tasks import TASKS
from nepi_ros.training.assemble import accuracy_of, make_bundle
from nepi_ros.training.config import TrainConfig
from nepi_ros.training.data import FrameFolders, Frames, FrameSets
from nepi_ros.training.export import export_target
from nepi_ros.training.loop import pick_device
from nepi_ros.training.stages import train_codec
from nepi_ros.training.targets import check_network, robust_networks, target_networks, trained_networks

_LOG = logging.getLogger(__name__)

_STAGES = (
    "Stages: the target networks (unless the configuration names them), a strong codec that reads what those networks "
    "see, a light encoder that imitates its own, and the light codec that goes into the bundle. Then it is measured on "
    "the validation frames. Interrupted with Ctrl-C, the same command goes on at the last checkpoint, at most a "
    "minute old. doc/method.md explains the configuration."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `nepi train`."""
    parser.epilog = _STAGES
    parser.add_argument("config", type=Path, help="YAML file, for instance models/patrol/train.yaml")
    parser.add_argument("-o", "--out", type=Path, help="folder of the bundle (default: the configuration's)")
    goes_on = "folder for checkpoints (default: %(default)s); a run that was stopped goes on from there"
    parser.add_argument("--runs", type=Path, default="runs", help=goes_on)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="default: cuda if there is")
    only = "train only the target networks, or only copies of them with JPEG among the augmentations, in OUT-robust"
    parser.add_argument("--only", choices=("targets", "robust"), help=only)


def main(args: argparse.Namespace) -> int:
    """Train, export, measure; print what came out. Raises ConfigError for what is wrong in the configuration."""
    out = args.out or args.config.parent
    if args.only:
        train_targets(args.config, out, args.runs, args.device, robust=args.only == "robust")
    else:
        train(args.config, out, args.runs, args.device)
    return 0


def train(config_file: Path, out: Path, runs: Path, device_name: str = "auto") -> Bundle:
    """Make the bundle that a configuration file describes. Stages already finished in `runs` are not repeated."""
    check_place(out, ["train.yaml", *(f"{task}.onnx" for task in TASKS)])
    run = _Run.open(config_file, runs, device_name)
    targets = target_networks(run.config, run.home, run.frames, run.folder)
    codec = train_codec(run.config, run.frames, targets, run.folder)
    files = {"train.yaml": config_file.read_bytes()} | run.target_files(targets)
    bundle = make_bundle(run.config, files, codec, run.frames, run.val, out, run.films)
    print(profile_table(bundle))
    return bundle


def train_targets(config_file: Path, out: Path, runs: Path, device_name: str = "auto", robust: bool = False) -> None:
    """Write the target networks alone to `out`, or the robust ones beside it, and print how good they are.

    Raises ConfigError where a network is already: it is frozen, and what was trained against it would no longer fit.
    """
    config, home = TrainConfig.load(config_file), config_file.parent
    place = beside(out, "robust") if robust else out
    for file in (place / f"{task}.onnx" for task in config.tasks):
        if file.exists():
            raise ConfigError(f"{file}: is there already; remove it, and what was trained against it, to train it anew")
    run = _Run.open(config_file, runs, device_name, given=robust)
    if robust:
        plain = target_networks(config, home, run.frames, run.folder)
        networks = robust_networks(config, plain, run.frames, run.folder)
    else:
        networks = trained_networks(config, tuple(config.tasks), run.frames, run.folder)
    for task, network in networks.items():
        print(f"{task}: {accuracy_of(run.config, task, network, run.val):.4f} on {len(run.val)} validation frames")
        write_atomic(place / f"{task}.onnx", export_target(task, network, run.size))


@dataclass(frozen=True)
class _Run:
    """A configuration with its frames, and where its checkpoints lie."""

    config: TrainConfig
    home: Path
    folder: Path
    frames: Frames
    val: FrameSets
    films: FrameSets

    @classmethod
    def open(cls, config_file: Path, runs: Path, device_name: str, given: bool = True) -> _Run:
        """Check all that is named, then read the frames. `given`: whether the run uses the networks that are named."""
        config, home = TrainConfig.load(config_file), config_file.parent
        device = pick_device(device_name)
        for task, file in config.targets.networks.items() if given else ():
            check_network(task, config, home / file)
        _LOG.info("training %s on %s, checkpoints in %s", config.name, device, runs / config.name)
        folders = FrameFolders.of(config, config_file, runs)
        parts = folders.train, folders.val, folders.films
        train, val, films = (FrameSets.open(part, config.places) for part in parts)
        frames = Frames(train, (config.input.width, config.input.height), device)
        return cls(config, home, runs / config.name, frames, val, films)

    @property
    def size(self) -> tuple[int, int]:
        return self.config.input.width, self.config.input.height

    def target_files(self, networks: dict[str, nn.Module]) -> dict[str, bytes]:
        """The networks' ONNX files: given ones as they are, others as they are exported."""
        given = self.config.targets.networks
        return {
            f"{task}.onnx": (self.home / given[task]).read_bytes()
            if task in given
            else export_target(task, network, self.size)
            for task, network in networks.items()
        }


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

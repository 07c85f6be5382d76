# SPDX-License-Identifier: Apache-2.0
"""`nepi decode`: epitome files to the results of the target networks, as files."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from nepi_ros.bundle import Bundle, resolve_bundle
from nepi_ros.codec import Content, Decoder, TargetNetworks
from nepi_ros.commands.encode import distinct
from nepi_ros.epitome_file import EpitomeFile
from nepi_ros.errors import ConfigError
from nepi_ros.files import write_atomic
from nepi_ros.letterbox import Letterbox
from nepi_ros.tasks import REGISTRY, TASKS
from nepi_ros.tasks.classification import ranked


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `nepi decode`."""
    parser.add_argument("epitomes", nargs="+", type=Path, metavar="EPITOME", help="files that nepi encode wrote")
    parser.add_argument("-b", "--bundle", default="patrol", help="folder or name (default: %(default)s)")
    parser.add_argument(
        "-t", "--tasks", nargs="+", choices=TASKS, metavar="TASK", help=f"some of {', '.join(TASKS)} (default: all)"
    )
    parser.add_argument("-l", "--layers", type=int, help="decode only so many layers of each file")
    parser.add_argument("-o", "--out", type=Path, default=Path("."), help="folder for the results (default: here)")


def main(arguments: argparse.Namespace) -> int:
    """Decode each file; writes NAME.TASK.png and prints the class."""
    bundle = Bundle.load(resolve_bundle(arguments.bundle))
    if arguments.layers is not None and arguments.layers < 1:
        raise ConfigError(f"--layers {arguments.layers}: at least one layer is needed")
    decoder, targets = Decoder(bundle), TargetNetworks(bundle, arguments.tasks or bundle.tasks)
    distinct(arguments.epitomes)
    for path in arguments.epitomes:
        epitome = EpitomeFile.read(path)
        epitome.check_bundle(bundle, path)
        (view,) = decoder.views([_content(decoder, epitome, arguments.layers, path)])
        letterbox = Letterbox((epitome.width, epitome.height), bundle.input_size)
        if (picture := view.picture) is not None:
            _write(arguments.out / path.stem, "decoded", cv2.cvtColor(letterbox.crop(picture), cv2.COLOR_RGB2BGR))
        for task, outputs in targets.see([view]).items():
            result = REGISTRY[task].result(outputs[0], bundle.input_size, bundle.tasks[task])
            if REGISTRY[task].dense:
                _write(arguments.out / path.stem, task, _as_image(task, letterbox.crop(result)))
            else:
                best = ranked(result, bundle.tasks[task].classes, 3)
                print(f"{path.stem}: " + ", ".join(f"{name} {score:.2f}" for name, score in best))
    return 0


def _content(decoder: Decoder, epitome: EpitomeFile, layers: int | None, path: Path) -> Content:
    """What the first `layers` layers of a file say (None: all)."""
    content = decoder.read([epitome.segment])
    if layers is None or layers >= epitome.layers:
        return content
    if content.latent is None:
        raise ConfigError(f"--layers {layers}: {path} is a picture, which has no layers to leave out")
    return Content(decoder.coder.prefix(content.latent, layers))


def _as_image(task: str, result: np.ndarray) -> np.ndarray:
    """Class ids stay; metres become 16 bit millimetres, as in ROS's 16UC1 (REP 118)."""
    return (result.clip(0, 65.535) * 1000).round().astype(np.uint16) if task == "depth" else result


def _write(stem: Path, kind: str, image: np.ndarray) -> None:
    target = stem.with_name(f"{stem.name}.{kind}.png")
    write_atomic(target, cv2.imencode(".png", image)[1].tobytes())
    print(target)

# SPDX-License-Identifier: Apache-2.0
"""`nepi encode`: image files to epitome files."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2

from nepi_ros.bundle import Bundle, resolve_bundle
from nepi_ros.codec import Encoder
from nepi_ros.epitome_file import SUFFIX, EpitomeFile
from nepi_ros.errors import ConfigError, ImageError
from nepi_ros.letterbox import Letterbox


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `nepi encode`."""
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="JPEG, PNG, WebP, ...")
    parser.add_argument("-b", "--bundle", default="patrol", help="folder or name (default: %(default)s)")
    layers = "how many layers, fewer is smaller; after the latent's come pictures (default: the latent's)"
    parser.add_argument("-l", "--layers", type=int, help=layers)
    parser.add_argument("-o", "--out", type=Path, default=Path("."), help="folder for NAME.epitome (default: here)")


def main(arguments: argparse.Namespace) -> int:
    """Encode each image; prints a line for each."""
    bundle = Bundle.load(resolve_bundle(arguments.bundle))
    if arguments.layers is not None and not 1 <= arguments.layers <= bundle.layer_count:
        raise ConfigError(f"--layers {arguments.layers}: bundle {bundle.name} has 1 to {bundle.layer_count} layers")
    encoder, layers = Encoder(bundle), arguments.layers or len(bundle.layers)
    distinct(arguments.images)
    for image in arguments.images:
        target = arguments.out / f"{image.stem}{SUFFIX}"
        size = _encode(image, bundle, encoder, layers).write(target)
        picture = ", a picture" if layers > len(bundle.layers) else ""
        print(f"{target}  {layers} layers{picture}, {size} bytes; {image.name} has {image.stat().st_size}")
    return 0


def distinct(files: Sequence[Path]) -> None:
    """Raise ConfigError where two files would be written under one name."""
    seen: dict[str, Path] = {}
    for file in files:
        if seen.setdefault(file.stem, file) != file:
            raise ConfigError(f"{file} and {seen[file.stem]} would be written under one name; name them one at a time")


def _encode(path: Path, bundle: Bundle, encoder: Encoder, layers: int) -> EpitomeFile:
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise ImageError(f"{path}: not a readable image")
    height, width = pixels.shape[:2]
    letterbox = Letterbox((width, height), bundle.input_size)
    frame = encoder.encode(letterbox.apply(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)), layers)
    return EpitomeFile(bundle.id, width, height, frame.layers, frame.segment().stream)

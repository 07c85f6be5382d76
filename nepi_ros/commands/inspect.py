# SPDX-License-Identifier: Apache-2.0
"""`nepi inspect`: what is in a bundle or an epitome file."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from nepi_ros.bundle import Bundle, resolve_bundle
from nepi_ros.codec import LayerShape, PictureFormat
from nepi_ros.epitome_file import SUFFIX, EpitomeFile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `nepi inspect`."""
    parser.add_argument("what", help=f"a bundle's folder or name, or a file NAME{SUFFIX}")


def main(arguments: argparse.Namespace) -> int:
    """Print the description."""
    path = Path(arguments.what)
    is_epitome = path.suffix == SUFFIX
    print(describe_epitome(path) if is_epitome else describe_bundle(Bundle.load(resolve_bundle(arguments.what))))
    return 0


def describe_epitome(path: Path) -> str:
    """Size and number of layers of an epitome file."""
    epitome = EpitomeFile.read(path)
    return (
        f"epitome of a {epitome.width} x {epitome.height} image, made with bundle {epitome.bundle_id:016x}\n"
        f"{epitome.layers} layers, {len(epitome.stream)} bytes"
    )


def describe_bundle(bundle: Bundle) -> str:
    """Tasks, sizes and profile of a bundle."""
    width, height = bundle.input_size
    size = sum(file.stat().st_size for file in bundle.path.iterdir() if file.is_file())
    lines = [
        f"bundle  {bundle.name} {bundle.id:016x}",
        f"folder  {bundle.path} ({size / 1e6:.1f} MB)",
        f"made    {bundle.metadata['created']}",
        f"input   {width} x {height}",
        f"latent  {len(bundle.layers)} layers of channels on a grid: {', '.join(_groups(bundle.layers))}",
    ]
    if bundle.coder().takes_earlier:
        lines.append("        frames of a video are coded given earlier ones")
    if bundle.pictures:
        lines.append(f"        then pictures, as JPEG: {', '.join(map(_picture, bundle.pictures))}")
    for name, spec in bundle.tasks.items():
        meaning = ", ".join(spec.classes) or f"{spec.min_m:g} to {spec.max_m:g} m"
        lines.append(f"{name}: {meaning}")
    return "\n".join([*lines, "", *_profile(bundle)])


def _groups(layers: Sequence[LayerShape]) -> Iterator[str]:
    """Groups of channels, those alike together, and in how many parts each is sent."""
    for first, alike in groupby(layer for layer in layers if not layer.part):
        count = len(list(alike))
        times, parts = "" if count == 1 else f"{count} times ", "" if first.parts == 1 else f" in {first.parts} parts"
        what = f"a map of {first.classes} classes" if first.classes else f"{times}{first.channels}"
        yield f"{what} on {first.width} x {first.height}{parts}"


def _picture(picture: PictureFormat) -> str:
    sampling = "4:4:4" if picture.full_colour else "4:2:0"
    beside = " beside the latent" if picture.beside else ""
    return f"{picture.width} x {picture.height} {sampling} at quality {picture.quality}{beside}"


def _profile(bundle: Bundle) -> list[str]:
    profile, tasks = bundle.profile, list(bundle.tasks)
    lines = [f"agreement with the target networks, {profile.frames} validation frames"]
    lines.append("layers   bytes" + "".join(f"{task:>16}" for task in tasks))
    for layer, size in enumerate(profile.bytes):
        lines.append(f"{layer + 1:6}{size:8.0f}" + "".join(f"{profile.agreement[t][layer]:16.4f}" for t in tasks))
    return lines

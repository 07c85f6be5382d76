# SPDX-License-Identifier: Apache-2.0
"""From trained networks to a bundle on disk: export, fit the entropy tables, measure the profile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnxruntime
import torch
from torch import nn
from tqdm import tqdm

from nepi_ros.bundle import Bundle, write_bundle
from nepi_ros.bundle_files import CLASS_TABLES
from nepi_ros.codec import (
    Decoder,
    Encoder,
    Kind,
    LayeredCoder,
    LayerShape,
    TargetNetworks,
    class_layers,
    fit_class_tables,
    fit_tables,
    parted,
    untouched,
)
from nepi_ros.codec.classlattice import class_lattice
from nepi_ros.codec.tables import MAX_LAYERS
from nepi_ros.letterbox import Letterbox
from nepi_ros.measure import result_over_source, result_size, truth_of
from nepi_ros.profile import Profile
from nepi_ros.tasks import REGISTRY
from nepi_ros.training.codec import Codec
from nepi_ros.training.config import TrainConfig
from nepi_ros.training.data import FILM_STEP, Frames, FrameSets
from nepi_ros.training.export import export_codec
from nepi_ros.training.gauge import Gauge, Reference
from nepi_ros.training.latent import MAP_CELL, LatentLayout, grid
from nepi_ros.training.pictures import choose_pictures
from nepi_ros.training.quantise import quantised
from nepi_ros.training.succession import all_pairs, pairs_by_pace

_SIZED_FRAMES = 100


def make_bundle(
    config: TrainConfig,
    files: dict[str, bytes],
    codec: Codec,
    frames: Frames,
    val: FrameSets,
    out: Path,
    films: FrameSets | None = None,
) -> Bundle:
    """Write the bundle to `out`: networks, tables fitted on the training frames, and on those of `films`, profile
    measured on the frames `val`. files are those that are there already: the target networks, TASK.onnx, and what else
    goes into it."""
    size = (config.input.width, config.input.height)
    files = files | export_codec(codec, size, config.codec.kept)
    images = frames.image.permute(0, 2, 3, 1).cpu().numpy()
    files["encoder.onnx"] = quantised(files["encoder.onnx"], images)
    latents = encode_all(files["encoder.onnx"], images)
    runs = frames.runs
    if films:
        latents, runs = _with_films(files["encoder.onnx"], latents, films, size)
    by_pace = pairs_by_pace(runs)
    groups = codec.layout.shapes(size)[: config.codec.kept]
    numbers, places = np.split(latents, [sum(group.size for group in groups)], axis=1)
    tables = fit_tables(numbers, groups, pairs_by_pace=by_pace)
    files["entropy.npz"] = tables.to_npz()
    of_map: tuple[LayerShape, ...] = ()
    if codec.class_count:
        map_size = grid(MAP_CELL, size)
        of_map = class_layers(*map_size, codec.class_count)
        maps = places.reshape(-1, *map_size)
        files[CLASS_TABLES] = fit_class_tables(maps, codec.class_count, all_pairs(by_pace)).to_npz()
    parts = fine_parts(LayeredCoder(tables, groups), groups, numbers, MAX_LAYERS - len(of_map))
    layers = _in_order(codec.layout, groups, parts, of_map)
    if config.notice:
        files["NOTICE"] = config.notice.strip().encode() + b"\n"
    metadata = _metadata(config, codec, layers)
    with TemporaryDirectory() as folder:
        # A profile is measured with the bundle it goes into; so the bundle is first written with an empty one.
        unmeasured = {**metadata, "profile": _empty_profile(config, len(layers)).to_json()}
        draft = write_bundle(Path(folder) / config.name, unmeasured, files)
        profile, pictures = measure_profile(draft, val), ()
        profiles = {kind: measure_profile(draft, val, kind, tasks) for kind, tasks in _alone(config, codec).items()}
        if config.codec.pictures:
            pictures, go_on = choose_pictures(draft, profile, val)
            profile, profiles = go_on(profile), {kind: go_on(one) for kind, one in profiles.items()}
    metadata |= {"pictures": [asdict(picture) for picture in pictures], "profile": profile.to_json()}
    if profiles:
        metadata["profiles"] = {kind.name: one.to_json() for kind, one in profiles.items()}
    return write_bundle(out, metadata, files)


def _with_films(
    encoder: bytes, latents: np.ndarray, films: FrameSets, size: tuple[int, int]
) -> tuple[np.ndarray, list[tuple[int, ...]]]:
    """Latents with those of films behind them, and the films' runs among them all."""
    images = np.stack([Letterbox(sample.rgb.shape[1::-1], size).apply(sample.rgb) for sample in films])
    runs = [tuple(len(latents) + place for place in run) for run in films.runs(FILM_STEP)]
    return np.concatenate([latents, encode_all(encoder, images)]), runs


def encode_all(encoder: bytes, images: np.ndarray) -> np.ndarray:
    """Flat latents int8 [N,T] of images uint8 [N,H,W,3], by the exported encoder."""
    session = onnxruntime.InferenceSession(encoder, providers=["CPUExecutionProvider"])
    bar = tqdm(images, desc="encoding", unit="frame", leave=False)
    return np.concatenate([session.run(None, {"image": image[None]})[0] for image in bar])


def fine_parts(
    coder: LayeredCoder, groups: Sequence[LayerShape], latents: np.ndarray, most: int = MAX_LAYERS
) -> list[int]:
    """In how many parts each trained layer is cut, so that an epitome's sizes come in even steps, as few as that takes.

    A part is at most a share of the bytes up to its end: a fifteenth, or more where that makes over `most` layers.
    """
    some = latents[:: -(-len(latents) // _SIZED_FRAMES)]
    ends = np.mean([coder.code(latent).bits for latent in some], axis=0)
    for share in np.geomspace(1 / 15, 1.0, 40):
        parts = np.ceil(np.diff(ends) / (share * ends[1:] + 1e-9)).clip(1, 8).astype(int).tolist()
        if len(parted(groups, parts)) <= most:
            return parts
    return [1] * len(groups)


def _in_order(
    layout: LatentLayout, groups: Sequence[LayerShape], parts: Sequence[int], of_map: Sequence[LayerShape]
) -> tuple[LayerShape, ...]:
    """The bundle's layers: those of the layout, cut in parts, and those of the map of classes where they belong."""
    cut = [parted([group], [count]) for group, count in zip(groups, parts, strict=True)]
    if not of_map:
        return tuple(chain.from_iterable(cut))
    grids, layers, done = class_lattice(of_map[0].height, of_map[0].width).grids, [], 0
    for channels, cell in layout.layers:
        if channels:
            layers += cut.pop(0)
        else:
            until = grids.get(cell // MAP_CELL, 0)
            layers += of_map[done:until]
            done = until
    return tuple(layers)


def _alone(config: TrainConfig, codec: Codec) -> dict[Kind, list[str]]:
    """The kinds of layers that are enough for some of the tasks, and those tasks."""
    others = [task for task in config.tasks if task != "segmentation"]
    return {Kind.CLASSES: ["segmentation"], Kind.NUMBERS: others} if codec.class_count and others else {}


def measure_profile(
    bundle: Bundle, frames: FrameSets, kind: Kind = Kind.BOTH, tasks: Sequence[str] | None = None
) -> Profile:
    """Bytes, agreement and accuracy of every prefix of layers on `frames`, coded and decoded for real; of layers of one
    kind for some of the tasks."""
    encoder, decoder = Encoder(bundle), Decoder(bundle)
    specs = {task: bundle.tasks[task] for task in tasks or bundle.tasks}
    networks = TargetNetworks(bundle, tuple(specs))
    prefixes = range(1, len(bundle.layers) + 1)
    sizes = np.zeros(len(bundle.layers))
    curves = [Gauge(specs) for _ in prefixes]
    target = Gauge(specs)
    for sample in tqdm(frames, desc=f"measuring {bundle.name} for {', '.join(specs)}", unit="frame"):
        box = Letterbox(sample.rgb.shape[1::-1], bundle.input_size)
        image = box.apply(sample.rgb)
        encoded = encoder.encode(image, kind=kind)
        segments = [encoded.segment(0, k) for k in prefixes]
        sizes += [len(segment.stream) for segment in segments]
        wanted = networks.run(untouched(image[None]))
        reference = Reference.of(specs, wanted, sample, box)
        target.add(wanted, reference)
        outputs: dict[str, list[np.ndarray]] = {}
        for curve, segment, layer in zip(curves, segments, bundle.layers, strict=True):
            sent = (Kind.CLASSES if layer.classes else Kind.NUMBERS) in kind
            if sent or not outputs:
                outputs = networks.see(decoder.decode([[segment]], kind))
            curve.add(outputs, reference)
    return Profile(
        # A layer of zeros may leave a stream a byte shorter than it was.
        bytes=tuple(np.maximum.accumulate(sizes / len(frames))),
        agreement={task: tuple(c.agreement[task].value() for c in curves) for task in specs},
        accuracy={task: tuple(c.accuracy[task].value() for c in curves) for task in target.measured()},
        target_accuracy={task: target.accuracy[task].value() for task in target.measured()},
        frames=len(frames),
    )


@torch.no_grad()
def accuracy_of(config: TrainConfig, task: str, network: nn.Module, frames: FrameSets) -> float:
    """Accuracy of a target network against the labels of `frames`, as the task measures it."""
    spec = config.spec(task)
    meter, device = REGISTRY[task].accuracy(spec), next(network.parameters()).device
    for sample in tqdm(frames, desc=f"measuring {task}", unit="frame", leave=False):
        box = Letterbox(sample.rgb.shape[1::-1], (config.input.width, config.input.height))
        image = torch.from_numpy(untouched(box.apply(sample.rgb)[None])).to(device)
        truth = truth_of(sample, task)
        if truth is not None:
            output = network(image)[0].float().cpu().numpy()
            meter.add(result_over_source(REGISTRY[task], output, result_size(truth, box), spec, box), truth)
    return meter.value()


def _metadata(config: TrainConfig, codec: Codec, layers: Sequence[LayerShape]) -> dict:
    return {
        "name": config.name,
        "input": asdict(config.input),
        "layers": [asdict(layer) for layer in layers],
        "answers": list(codec.decoder.answered),
        "tasks": {task: {"network": f"{task}.onnx", **settings} for task, settings in config.tasks.items()},
    }


def _empty_profile(config: TrainConfig, layers: int) -> Profile:
    nothing = (0.0,) * layers
    return Profile(bytes=nothing, agreement={task: nothing for task in config.tasks})

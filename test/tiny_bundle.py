# SPDX-License-Identifier: Apache-2.0
"""A real bundle in well under a second: a block-cosine encoder and decoder, and three networks of a layer or two.

What a large bundle does, this one does: a longer prefix gives a better picture, the tables are fitted to latents,
the profile is measured. No torch.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import onnx.compose
from onnx import TensorProto, helper, numpy_helper

from nepi_ros.bundle import Bundle, write_bundle
from nepi_ros.codec import (
    Decoder,
    Encoder,
    Kind,
    LayerShape,
    PictureFormat,
    TargetNetworks,
    class_layers,
    fit_class_tables,
    fit_tables,
    untouched,
)
from nepi_ros.codec.sessions import Network
from nepi_ros.profile import Profile
from nepi_ros.tasks import REGISTRY, TASKS

PICTURES = (PictureFormat(120, 90, 80, True), PictureFormat(160, 120, 90, False), PictureFormat(160, 120, 95, True))
"""Pictures for 160 x 120 pixels."""
BLOCK = 8
CELL = 4
LAYERS = (1, 2, 2, 3, 3, 3)
CHANNELS = sum(LAYERS)
CLASSES = ("floor", "wall", "door", "shelf")
PLACES = ("hall", "office", "store", "dock", "lab")
_STEP = 0.06  # quantisation step of a coefficient, of pixels 0 to 1
_OPSET = 17
_YCC = np.array([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]])


def tiny_frames(count: int, width: int = 160, height: int = 120, seed: int = 0) -> np.ndarray:
    """Smooth coloured scenes with moving boxes and a little noise: uint8 [count, height, width, 3]."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / max(width, height)
    frames = np.empty((count, height, width, 3), np.float32)
    for frame in frames:
        colours = random.uniform(0.1, 0.9, (3, 3)).astype(np.float32)
        frame[:] = colours[0] + (colours[1] - colours[0]) * x[..., None] + 0.4 * (colours[2] - 0.5) * y[..., None]
        for _ in range(4):
            left, top = random.integers(0, width - 8), random.integers(0, height - 8)
            across, down = random.integers(8, max(width // 3, 9)), random.integers(8, max(height // 3, 9))
            frame[top : top + down, left : left + across] = random.uniform(0, 1, 3)
        frame += random.normal(0, 0.01, frame.shape)
    return (frames.clip(0, 1) * 255).round().astype(np.uint8)


def make_tiny_bundle(
    path: str | Path,
    *,
    width: int = 160,
    height: int = 120,
    name: str = "tiny",
    seed: int = 0,
    tasks: Sequence[str] = TASKS,
    pictures: Sequence[PictureFormat] = (),
    mapped: bool = False,
    film: bool = False,
) -> Bundle:
    """Write a bundle for `width` x `height` images (multiples of 8) to `path` and load it; `mapped`: with the map of
    the segmentation network's classes as its last layers, and a decoder that gives answers: what the networks of dense
    tasks make of what it paints; `film`: with tables that code frames given an earlier one, fitted to frames that stay.

    Another `name`, `seed` or `pictures`, or a `film`, gives another id; equal arguments give equal bundles.
    """
    if width % BLOCK or height % BLOCK:
        raise ValueError(f"{width} x {height} is not in whole blocks of {BLOCK} pixels")
    basis, random = _basis(), np.random.default_rng(seed)
    networks = {
        "segmentation": segmentation_network(random),
        "depth": _depth(random),
        "classification": _classification(random),
    }
    colours = _colours(np.random.default_rng(seed)) if mapped else None
    encoder = _encoder(basis, colours)
    frames = tiny_frames(10, width, height, seed)
    numbers = CHANNELS * height * width // BLOCK**2
    latents, maps = np.split(_latents(encoder, frames, Path(path)), [numbers], axis=1)
    groups = [LayerShape(channels, height // BLOCK, width // BLOCK) for channels in LAYERS]
    layers = [*groups, *(class_layers(height // CELL, width // CELL, len(CLASSES)) if mapped else ())]
    metadata = {
        "name": name,
        "created": "2024-01-01T00:00:00+00:00",
        "input": {"width": width, "height": height},
        "layers": [asdict(layer) for layer in layers],
        "pictures": [asdict(picture) for picture in pictures],
        "answers": [task for task in TASKS if mapped and task in tasks and REGISTRY[task].dense],
        "tasks": {task: {"network": f"{task}.onnx", **_TASKS[task]} for task in TASKS if task in tasks},
    }
    nothing = (0.0,) * (len(layers) + len(pictures))
    metadata["profile"] = Profile(nothing, dict.fromkeys(tasks, nothing)).to_json()
    decoder = _decoder(basis, height, width, colours)
    if mapped:
        decoder = _answering(decoder, {task: networks[task] for task in metadata["answers"]}, metadata["tasks"])
    files = {"encoder.onnx": encoder, "decoder.onnx": decoder}
    files |= {f"{task}.onnx": networks[task] for task in tasks}
    stays = [(number, number) for number in range(len(frames))] if film else []
    tables = fit_tables(latents, groups, pairs_by_pace=[stays, stays] if film else [])
    files |= {"entropy.npz": tables.to_npz(), "train.yaml": f"seed: {seed}\n".encode()}
    if mapped:
        places = maps.reshape(-1, height // CELL, width // CELL)
        files["classes.npz"] = fit_class_tables(places, len(CLASSES), stays).to_npz()
    draft = write_bundle(path, metadata, files)
    metadata["profile"] = _profile(draft, frames[:4], tasks).to_json()
    if mapped:
        alone = {Kind.CLASSES: ["segmentation"], Kind.NUMBERS: [task for task in tasks if task != "segmentation"]}
        metadata["profiles"] = {k.name: _profile(draft, frames[:4], t, k).to_json() for k, t in alone.items()}
    return write_bundle(path, metadata, files)


_TASKS = {
    "segmentation": {
        "classes": list(CLASSES),
        "palette": [[90, 90, 90], [200, 180, 140], [160, 60, 40], [40, 90, 180]],
    },
    "depth": {"min_m": 0.2, "max_m": 10.0},
    "classification": {"classes": list(PLACES)},
}


def _profile(bundle: Bundle, frames: np.ndarray, tasks: Sequence[str], kind: Kind = Kind.BOTH) -> Profile:
    """Agreement with the untouched frames, and bytes, of every prefix; no truth, so no accuracy."""
    encoder, decoder, targets = Encoder(bundle), Decoder(bundle), TargetNetworks(bundle, tasks)
    own, encoded = targets.run(untouched(frames)), [encoder.encode(frame, kind=kind) for frame in frames]
    sizes, agreement = [], {task: [] for task in tasks}
    for k in range(1, bundle.layer_count + 1):
        sizes.append(float(np.mean([len(frame.segment(0, k).stream) for frame in encoded])))
        outputs = targets.see(decoder.decode([[frame.segment(0, k)] for frame in encoded], kind))
        for task in tasks:
            entry, spec = REGISTRY[task], bundle.tasks[task]
            meter = entry.agreement(spec)
            for got, wanted in zip(outputs[task], own[task], strict=True):
                meter.add(*(entry.result(output, bundle.input_size, spec) for output in (got, wanted)))
            agreement[task].append(meter.value())
    return Profile(tuple(sizes), {task: tuple(curve) for task, curve in agreement.items()}, frames=len(frames))


def _latents(encoder: bytes, frames: np.ndarray, path: Path) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.parent / f".{path.name}.encoder.onnx"
    file.write_bytes(encoder)
    try:
        network = Network(file, ("image", np.uint8, frames.shape[1:]), [("latent", np.int8, (None,))])
        return network.run(frames)[0]
    finally:
        file.unlink()


def _basis() -> np.ndarray:
    """Orthonormal patterns float32 [CHANNELS, 3, BLOCK, BLOCK]: low cosines of luma, means of both chromas."""
    k, x = np.mgrid[0:BLOCK, 0:BLOCK]
    cosines = np.cos(np.pi * (2 * x + 1) * k / (2 * BLOCK)) * np.where(k == 0, np.sqrt(1 / BLOCK), np.sqrt(2 / BLOCK))
    colours, _ = np.linalg.qr(_YCC.T)
    wanted = [(0, 0, 0), (1, 0, 0), (2, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1), (0, 0, 2), (0, 2, 0)]
    wanted += [(1, 0, 1), (1, 1, 0), (2, 0, 1), (2, 1, 0), (0, 1, 2), (0, 2, 1)]
    patterns = [np.einsum("c,y,x->cyx", colours[:, c], cosines[v], cosines[u]) for c, v, u in wanted]
    return np.stack(patterns).astype(np.float32)


def _colours(random: np.random.Generator) -> np.ndarray:
    """A colour for each class, float64 [4, 3], of pixels from 0 to 1; the first that a bundle draws from its seed."""
    return random.uniform(0.2, 0.8, (len(CLASSES), 3))


def _nearest(colours: np.ndarray, white: float = 1.0) -> dict[str, np.ndarray]:
    """Weights of a convolution whose logits are largest for the nearest colour, for pixels from 0 to `white`."""
    return {"weight": 20 / white * colours[:, :, None, None], "bias": -10 * (colours**2).sum(axis=1)}


def _encoder(basis: np.ndarray, colours: np.ndarray | None = None) -> bytes:
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["pixels"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Sub", ["planes", "grey"], ["centred"]),
        helper.make_node("Conv", ["centred", "basis"], ["coefficients"], strides=[BLOCK, BLOCK]),
        helper.make_node("Round", ["coefficients"], ["rounded"]),
        helper.make_node("Clip", ["rounded", "low", "high"], ["clipped"]),
        helper.make_node("Cast", ["clipped"], ["whole"], to=TensorProto.INT8),
        helper.make_node("Flatten", ["whole"], ["latent" if colours is None else "numbers"]),
    ]
    constants = {"grey": 127.5, "basis": basis / (255 * _STEP), "low": -127, "high": 127}
    if colours is not None:  # as segmentation_network, of pixels from 0 to 255
        nodes += [
            helper.make_node("AveragePool", ["planes"], ["small"], kernel_shape=[CELL, CELL], strides=[CELL, CELL]),
            helper.make_node("Conv", ["small", "weight", "bias"], ["logits"]),
            helper.make_node("ArgMax", ["logits"], ["likeliest"], axis=1),
            helper.make_node("Cast", ["likeliest"], ["classes"], to=TensorProto.INT8),
            helper.make_node("Flatten", ["classes"], ["places"]),
            helper.make_node("Concat", ["numbers", "places"], ["latent"], axis=1),
        ]
        constants |= _nearest(colours, white=255)
    source, result = (
        ("image", TensorProto.UINT8, ["N", "H", "W", 3]),
        ("latent", TensorProto.INT8, ["N", "T"]),
    )
    return _model(nodes, constants, source, result)


def _decoder(basis: np.ndarray, height: int, width: int, colours: np.ndarray | None = None) -> bytes:
    """What the numbers say; where there are `colours` of classes, and no numbers, the colours of the map."""
    nodes = [
        helper.make_node("Reshape", ["latent" if colours is None else "numbers", "shape"], ["whole"]),
        helper.make_node("Cast", ["whole"], ["coefficients"], to=TensorProto.FLOAT),
        helper.make_node("ConvTranspose", ["coefficients", "basis", "grey"], ["pixels"], strides=[BLOCK, BLOCK]),
        helper.make_node("Clip", ["pixels", "low", "high"], ["image" if colours is None else "seen"]),
    ]
    shape = np.array([-1, CHANNELS, height // BLOCK, width // BLOCK])
    constants = {"basis": basis * _STEP, "grey": [0.5] * 3, "low": 0, "high": 1, "shape": shape}
    if colours is not None:
        nodes = [
            helper.make_node("Split", ["latent", "sizes"], ["numbers", "places"], axis=1),
            *nodes,
            helper.make_node("Reshape", ["places", "grid"], ["map"]),
            helper.make_node("Cast", ["map"], ["classes"], to=TensorProto.INT64),
            helper.make_node("Gather", ["colours", "classes"], ["last"]),
            helper.make_node("Transpose", ["last"], ["coloured"], perm=[0, 3, 1, 2]),
            helper.make_node("Resize", ["coloured", "", "scales"], ["painted"], mode="nearest"),
            helper.make_node("Abs", ["coefficients"], ["strengths"]),
            helper.make_node("ReduceMax", ["strengths"], ["strength"], axes=[1, 2, 3]),
            helper.make_node("Cast", ["strength"], ["any"], to=TensorProto.BOOL),
            helper.make_node("Where", ["any", "seen", "painted"], ["image"]),
        ]
        grid = np.array([-1, height // CELL, width // CELL])
        sizes = np.array([np.prod(shape[1:]), np.prod(grid[1:])])
        constants |= {"sizes": sizes, "grid": grid, "colours": colours, "scales": [1, 1, CELL, CELL]}
    source = ("latent", TensorProto.INT8, ["N", "T"])
    return _model(nodes, constants, source, ("image", TensorProto.FLOAT, ["N", 3, "H", "W"]))


def _answering(decoder: bytes, networks: dict[str, bytes], tasks: Iterable[str]) -> bytes:
    """A decoder with networks that look at what it paints, which other tasks get."""
    model = onnx.load_from_string(decoder)
    image = model.graph.output.pop()
    if set(networks) < set(tasks):
        model.graph.output.append(image)
    for task, data in networks.items():
        network = onnx.compose.add_prefix(onnx.load_from_string(data), f"{task}.")
        network.graph.node.insert(0, helper.make_node("Identity", [image.name], [network.graph.input[0].name]))
        network.graph.node.append(helper.make_node("Identity", [network.graph.output[0].name], [task]))
        network.graph.output[0].name = task
        model.graph.node.extend(network.graph.node)
        model.graph.initializer.extend(network.graph.initializer)
        model.graph.output.extend(network.graph.output)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def segmentation_network(random: np.random.Generator) -> bytes:
    """Each quarter-size pixel goes to the nearest of four colours."""
    nodes = [
        helper.make_node("AveragePool", ["image"], ["small"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Conv", ["small", "weight", "bias"], ["logits"]),
    ]
    constants = _nearest(_colours(random))
    return _model(nodes, constants, _IMAGE, ("logits", TensorProto.FLOAT, ["N", len(CLASSES), "h", "w"]))


def _depth(random: np.random.Generator) -> bytes:
    """The brighter, the nearer: 1 to 6 metres."""
    nodes = [
        helper.make_node("AveragePool", ["image"], ["small"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Conv", ["small", "weight", "bias"], ["near"]),
        helper.make_node("Relu", ["near"], ["depth"]),
    ]
    constants = {"weight": -random.dirichlet([9, 9, 9])[None, :, None, None] * 5, "bias": [6.0]}
    return _model(nodes, constants, _IMAGE, ("depth", TensorProto.FLOAT, ["N", 1, "h", "w"]))


def _classification(random: np.random.Generator) -> bytes:
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["colour"]),
        helper.make_node("Gemm", ["colour", "weight", "bias"], ["logits"]),
    ]
    constants = {"weight": random.normal(0, 8, (3, len(PLACES))), "bias": random.normal(0, 1, len(PLACES))}
    return _model(nodes, constants, _IMAGE, ("logits", TensorProto.FLOAT, ["N", len(PLACES)]))


_IMAGE = ("image", TensorProto.FLOAT, ["N", 3, "H", "W"])


def _model(nodes: list, constants: dict, source: tuple, result: tuple) -> bytes:
    whole = {key: isinstance(value, np.ndarray) and value.dtype == np.int64 for key, value in constants.items()}
    tensors = [
        numpy_helper.from_array(np.asarray(value, np.int64 if whole[key] else np.float32), key)
        for key, value in constants.items()
    ]
    ports = [helper.make_tensor_value_info(*port) for port in (source, result)]
    graph = helper.make_graph(nodes, "tiny", ports[:1], ports[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()

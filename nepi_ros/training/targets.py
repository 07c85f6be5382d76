# SPDX-License-Identifier: Apache-2.0
"""Target networks: trained from labels where none are given, loaded and frozen where they are.

Training has two parts. One trunk learns all tasks together, which a small set of frames needs; then each
task gets a network of its own from a copy of that trunk and is tuned alone.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from nepi_ros.codec.sessions import Network
from nepi_ros.errors import BundleError, ConfigError
from nepi_ros.tasks import REGISTRY
from nepi_ros.training.answers import view_size
from nepi_ros.training.basis import basis_of
from nepi_ros.training.config import StageConfig, TrainConfig
from nepi_ros.training.data import Batch, Frames
from nepi_ros.training.degrade import degraded
from nepi_ros.training.loop import Stage, mixed_precision
from nepi_ros.training.losses import FROM_LABELS
from nepi_ros.training.networks import ClassificationNetwork, DepthNetwork, SegmentationNetwork, Trunk

_BUILDERS = {
    "segmentation": lambda task, width: SegmentationNetwork(len(task["classes"]), width),
    "depth": lambda task, width: DepthNetwork(task["min_m"], task["max_m"], width),
    "classification": lambda task, width: ClassificationNetwork(len(task["classes"]), width),
}


def build_target(task: str, settings: dict, width: float) -> nn.Module:
    """The project's own network for a task, untrained. settings are the task's in the configuration."""
    return _BUILDERS[task](settings, width)


def target_networks(config: TrainConfig, home: Path, frames: Frames, folder: Path) -> dict[str, nn.Module]:
    """A frozen network for every task, on the frames' device: the configured files seen from `home`, the others
    trained; checkpoints go to `folder`."""
    given = {task: load_network(task, config, home / file) for task, file in config.targets.networks.items()}
    if config.codec.objective == "answers":
        for task in (task for task in given if REGISTRY[task].dense):
            _check_views(config, task, given[task])
    trained = trained_networks(config, [task for task in config.tasks if task not in given], frames, folder)
    networks = {task: given.get(task) or trained[task] for task in config.tasks}
    return {task: _frozen(network, frames) for task, network in networks.items()}


def trained_networks(config: TrainConfig, tasks: Sequence[str], frames: Frames, folder: Path) -> dict[str, nn.Module]:
    """Networks for `tasks`, trained from labels. Raises ConfigError naming a task for which no frame has any."""
    _check_labels(config, tasks, frames)
    torch.manual_seed(config.seed)
    networks = {task: build_target(task, config.tasks[task], config.targets.width) for task in tasks}
    for network in networks.values():
        network.to(frames.image.device, memory_format=torch.channels_last)
    if networks:
        trunk = _train_trunk(config, frames, networks, folder)
        for task, network in networks.items():
            network.trunk.load_state_dict(trunk.state_dict())
            _tune(config, frames, task, network, folder)
            fuse_batch_norm(network)
            round_weights(network)
    return {task: _frozen(network, frames) for task, network in networks.items()}


def robust_networks(
    config: TrainConfig, networks: dict[str, nn.Module], frames: Frames, folder: Path
) -> dict[str, nn.Module]:
    """Copies of `networks`, tuned on frames that were JPEG or smaller before. Raises ConfigError without
    targets.robust, or naming a task for which no frame has a label."""
    stage = config.targets.robust
    if stage is None:
        raise ConfigError("targets.robust: missing; say there for how many steps the networks are to be tuned")
    _check_labels(config, tuple(networks), frames)
    made = {}
    for task, network in networks.items():
        made[task] = copy.deepcopy(network)
        given = [network] if task in config.targets.networks else []
        _fit(f"robust-{task}", config, stage, 3, frames, task, made[task], folder, degraded, given)
        round_weights(made[task])
    return {task: _frozen(network, frames) for task, network in made.items()}


def _check_labels(config: TrainConfig, tasks: Sequence[str], frames: Frames) -> None:
    for task in tasks:
        if not frames.labelled(task, config.spec(task)):
            raise ConfigError(
                f"tasks.{task}: no training frame has a label for it; add labels (nepi_ros/datasets.py says where), "
                "or name a network under targets.networks, or leave the task out"
            )


def check_network(task: str, config: TrainConfig, path: Path) -> None:
    """Whether a network of the user's has the input and the output that a bundle promises. Raises ConfigError."""
    if not path.is_file():
        raise ConfigError(f"targets.networks.{task}: {path}: no such file")
    entry = REGISTRY[task]
    image, shape = (3, config.input.height, config.input.width), entry.output_shape(config.spec(task))
    try:
        Network(path, ("image", np.float32, image), [(entry.output, np.float32, shape)])
    except BundleError as error:
        raise ConfigError(f"targets.networks.{task}: {error}") from error


@torch.no_grad()
def _check_views(config: TrainConfig, task: str, network: nn.Module) -> None:
    """Whether the user's network takes all views of a frame. Raises ConfigError naming one that fails."""
    for zoom in config.codec.views.zoom:
        height, width = view_size((config.input.height, config.input.width), zoom)
        try:
            network(torch.zeros(1, 3, height, width))
        except Exception as error:  # whatever the user's operators raise
            raise ConfigError(
                f"codec.views.zoom: targets.networks.{task} does not take {width} x {height} pixels; leave "
                f"{zoom:g} out ({str(error).splitlines()[0]})"
            ) from error


def load_network(task: str, config: TrainConfig, path: Path) -> nn.Module:
    """The network in an ONNX file as a module that passes gradients on: one of the project's own, or the user's.

    Raises ConfigError naming the file.
    """
    try:
        model = onnx.load(str(path))
    except Exception as error:  # protobuf raises a class of its own for each kind of damage
        raise ConfigError(f"targets.networks.{task}: {path}: no readable ONNX file ({error})") from error
    network = build_target(task, config.tasks[task], config.targets.width)
    fuse_batch_norm(network)
    weights = stored_weights(model)
    if weights.keys() >= network.state_dict().keys():
        try:
            network.load_state_dict({name: weights[name] for name in network.state_dict()})
        except RuntimeError as error:
            raise ConfigError(f"targets.networks.{task}: {path}: is not for these classes or this width") from error
        return network
    return _converted(task, path)


def stored_weights(model: onnx.ModelProto) -> dict[str, Tensor]:
    """The weights of a network that export.py wrote, by the names of its parameters."""
    found = {entry.name: torch.from_numpy(numpy_helper.to_array(entry).copy()) for entry in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Mul" and node.input[0].endswith(".int8.float"):
            whole, scale = found[node.input[0].removesuffix(".float")], found[node.input[1]]
            found[node.output[0]] = whole.float() * scale
        elif node.op_type == "Identity" and node.input[0] in found:  # the exporter keeps equal weights once
            found[node.output[0]] = found[node.input[0]]
    return found


def _converted(task: str, path: Path) -> nn.Module:
    try:
        from onnx2torch import convert
    except ImportError as error:
        # Without the version pip would put another torch in the place of the one that is here.
        install = f"pip install onnx2torch torch=={torch.__version__.partition('+')[0]}"
        needs = f"{path} is not one of nepi's networks and needs the package {error.name}; {install}"
        raise ConfigError(f"targets.networks.{task}: {needs}") from error
    try:
        return convert(path)
    except Exception as error:
        raise ConfigError(f"targets.networks.{task}: {path}: cannot be converted for training ({error})") from error


def _frozen(network: nn.Module, frames: Frames) -> nn.Module:
    network = network.to(frames.image.device, memory_format=torch.channels_last)
    return network.eval().requires_grad_(False)


def fuse_batch_norm(module: nn.Module) -> None:
    """Fold every batch norm of a frozen network into the convolution before it, in place; names stay."""
    for child in module.children():
        fuse_batch_norm(child)
    if isinstance(module, nn.Sequential):
        for index in range(len(module) - 1):
            if isinstance(module[index], nn.Conv2d) and isinstance(module[index + 1], nn.BatchNorm2d):
                module[index] = fuse_conv_bn_eval(module[index].eval(), module[index + 1].eval())
                module[index + 1] = nn.Identity()


@torch.no_grad()
def round_weights(module: nn.Module) -> None:
    """Round the weights of every convolution and linear layer to 8 bits with a scale per output channel, in place.

    They stay float32 in memory; export.py stores them as the 8 bits they have, so that a bundle is a quarter of
    the size. Done before the codec is trained and anything is measured: the rounded network is the target network.
    """
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            scale = weight_scale(layer.weight)
            layer.weight.copy_((layer.weight / scale).round() * scale)


def weight_scale(weight: Tensor) -> Tensor:
    """Scale of each output channel of a weight [out, ...] that brings its largest magnitude to 127."""
    largest = weight.abs().amax(tuple(range(1, weight.dim())), keepdim=True)
    return largest.clamp(min=1e-12) / 127


def _loss(task: str, output: Tensor, batch: Batch, weights: dict[str, Tensor]) -> Tensor:
    return FROM_LABELS[task](output, batch, weights.get(task))


def _class_weights(config: TrainConfig, frames: Frames) -> dict[str, Tensor]:
    if "segmentation" not in config.tasks:
        return {}
    return {"segmentation": frames.class_weights(len(config.tasks["segmentation"]["classes"]))}


def _train_trunk(config: TrainConfig, frames: Frames, networks: dict[str, nn.Module], folder: Path) -> Trunk:
    trunk = Trunk(config.targets.width).to(frames.image.device, memory_format=torch.channels_last)
    together = nn.ModuleDict({"trunk": trunk, **networks})
    for network in networks.values():
        network.trunk.requires_grad_(False)
    weights, stage = _class_weights(config, frames), config.targets.joint

    def step(number: int) -> tuple[Tensor, dict[str, float]]:
        batch = frames.batch(stage, config.seed, number, config.augment)
        with mixed_precision(frames.image.device):
            features = trunk(batch.image.contiguous(memory_format=torch.channels_last))
            outputs = {task: network.read_out(features) for task, network in networks.items()}
        losses = {task: _loss(task, output, batch, weights) for task, output in outputs.items()}
        return sum(losses.values()), {task: value.item() for task, value in losses.items()}

    Stage("targets", folder, together, stage, basis=basis_of(config, frames, config.augment)).run(step)
    return trunk


def _tune(config: TrainConfig, frames: Frames, task: str, network: nn.Module, folder: Path) -> None:
    _fit(f"target-{task}", config, config.targets.tune, 1, frames, task, network, folder)


def _fit(
    name: str,
    config: TrainConfig,
    stage: StageConfig,
    seed: int,
    frames: Frames,
    task: str,
    network: nn.Module,
    folder: Path,
    change: Callable[[Tensor], Tensor] = lambda image: image,
    given: Sequence[nn.Module] = (),
) -> None:
    """Train one network on labelled frames, whose images are put through `change` first. `given` is what it was before,
    where the user gave that."""
    network.requires_grad_(True)
    weights = _class_weights(config, frames)

    def step(number: int) -> tuple[Tensor, dict[str, float]]:
        batch = frames.batch(stage, config.seed + seed, number, config.augment)
        image = change(batch.image).contiguous(memory_format=torch.channels_last)
        with mixed_precision(frames.image.device):
            output = network(image)
        return _loss(task, output, batch, weights), {}

    Stage(name, folder, network, stage, basis=basis_of(config, frames, config.augment, given)).run(step)

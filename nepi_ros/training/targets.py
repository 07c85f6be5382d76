# SPDX-License-Identifier: Apache-2.0
"""Target networks: trained from labels where none are given, loaded and frozen where they are.

Training has two parts. One trunk learns all tasks together, which a small set of frames needs; then each
task gets a network of its own from a copy of that trunk and is tuned alone.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from nepi_ros.errors import ConfigError
from nepi_ros.training.config import TrainConfig
from nepi_ros.training.data import Batch, Frames
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
    try:
        return _BUILDERS[task](settings, width)
    except KeyError as error:
        raise ConfigError(f"tasks.{task}: {error.args[0]} is missing") from error


def target_networks(config: TrainConfig, frames: Frames, folder: Path) -> dict[str, nn.Module]:
    """A frozen network for every task of the configuration, on the frames' device; checkpoints go to `folder`."""
    device = frames.image.device
    given = {task: load_onnx(path) for task, path in config.targets.networks.items()}
    missing = [task for task in config.tasks if task not in given]
    torch.manual_seed(config.seed)
    trained = {task: build_target(task, config.tasks[task], config.targets.width) for task in missing}
    for network in trained.values():
        network.to(device, memory_format=torch.channels_last)
    if trained:
        trunk = _train_trunk(config, frames, trained, folder)
        for task, network in trained.items():
            network.trunk.load_state_dict(trunk.state_dict())
            _tune(config, frames, task, network, folder)
            fuse_batch_norm(network)
            round_weights(network)
    networks = {task: given.get(task) or trained[task] for task in config.tasks}
    for network in networks.values():
        network.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)
    return networks


def load_onnx(path: str) -> nn.Module:
    """A user's own ONNX network as a module that passes gradients to its input."""
    try:
        from onnx2torch import convert
    except ImportError as error:
        raise ConfigError(f"targets.networks: {path} needs the package onnx2torch; pip install onnx2torch") from error
    try:
        return convert(path)
    except Exception as error:
        raise ConfigError(f"targets.networks: {path}: cannot be converted for training ({error})") from error


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
        batch = frames.batch(stage.batch, config.seed, number, config.augment)
        with mixed_precision(frames.image.device):
            features = trunk(batch.image.contiguous(memory_format=torch.channels_last))
            outputs = {task: network.read_out(features) for task, network in networks.items()}
        losses = {task: _loss(task, output, batch, weights) for task, output in outputs.items()}
        return sum(losses.values()), {task[:5]: value.item() for task, value in losses.items()}

    Stage("targets", folder, together, stage).run(step)
    return trunk


def _tune(config: TrainConfig, frames: Frames, task: str, network: nn.Module, folder: Path) -> None:
    network.requires_grad_(True)
    weights, stage = _class_weights(config, frames), config.targets.tune

    def step(number: int) -> tuple[Tensor, dict[str, float]]:
        batch = frames.batch(stage.batch, config.seed + 1, number, config.augment)
        with mixed_precision(frames.image.device):
            output = network(batch.image.contiguous(memory_format=torch.channels_last))
        return _loss(task, output, batch, weights), {}

    Stage(f"target-{task}", folder, network, stage).run(step)

# SPDX-License-Identifier: Apache-2.0
"""What trained weights come from, so that those of other frames or settings are not taken for this run's."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from torch import nn

from nepi_ros.training.config import AugmentConfig, TrainConfig
from nepi_ros.training.data import Frames


def basis_of(config: TrainConfig, frames: Frames, augment: AugmentConfig, given: Sequence[nn.Module] = ()) -> str:
    """What a stage's weights depend on beside its own steps, short enough to compare in a message. `given`: networks
    of the user's that it learns from.

    The classes' colours are left out, from which nothing is learnt. So are numbers of the stage and the codec, as
    steps and target_bytes: for these to count, a finished stage's file must be removed.
    """
    tasks = {task: {k: v for k, v in entry.items() if k != "palette"} for task, entry in config.tasks.items()}
    size = f"{config.input.width}x{config.input.height}"
    parts = {"frames": frames.digest, "tasks": _short(tasks), "input": size, "augment": _short(augment)}
    if given:
        parts["networks"] = digest_of(given)
    return ", ".join(f"{name} {value}" for name, value in (parts | {"seed": config.seed}).items())


def digest_of(networks: Sequence[nn.Module]) -> str:
    """Eight letters that change with the networks' weights."""
    return _short([weight.cpu().numpy().tobytes() for network in networks for weight in network.state_dict().values()])


def _short(content: object) -> str:
    return hashlib.sha256(repr(content).encode()).hexdigest()[:8]

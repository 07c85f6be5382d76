# SPDX-License-Identifier: Apache-2.0
"""What moves the weights: AdamW, and Muon for the codec's.

Muon (Jordan, 2024; here with the step size of Liu et al., 2025) moves a matrix of weights by its gradient with all
singular values made equal. A codec's gradients are dominated by a few directions, brightness and colour first; so it
learns the others about twice as fast, and two cores have time for few steps.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Muon

from nepi_ros.training.config import StageConfig


class Optimiser:
    """AdamW for the weights of a module, with `orthogonal` Muon for those of its convolutions and linear layers.

    The module must stay where it is, on its device and in its memory format.
    """

    def __init__(self, module: nn.Module, stage: StageConfig, orthogonal: bool = False) -> None:
        wanted = [weight for weight in module.parameters() if weight.requires_grad]
        layers = [m for m in module.modules() if isinstance(m, (nn.Conv2d, nn.Linear))] if orthogonal else []
        self._weights = [layer.weight for layer in layers if layer.weight.requires_grad]
        self._matrices = [_matrix(weight.detach()) for weight in self._weights]
        taken = set(map(id, self._weights))
        rest = [weight for weight in wanted if id(weight) not in taken]
        self._parts: list[torch.optim.Optimizer] = [AdamW(rest, lr=stage.rate, weight_decay=stage.decay)]
        if self._matrices:
            self._parts.append(
                Muon(self._matrices, lr=stage.rate, weight_decay=stage.decay, adjust_lr_fn="match_rms_adamw")
            )

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for weight in self._weights:
            weight.grad = None
        for part in self._parts:
            part.zero_grad(set_to_none=True)

    def step(self, rate: float) -> None:
        """Move the weights by their gradients, at a learning rate."""
        for weight, matrix in zip(self._weights, self._matrices, strict=True):
            matrix.grad = None if weight.grad is None else _matrix(weight.grad)
        for part in self._parts:
            for group in part.param_groups:
                group["lr"] = rate
            part.step()

    def state_dict(self) -> dict[str, Any]:
        return {str(number): part.state_dict() for number, part in enumerate(self._parts)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for number, part in enumerate(self._parts):
            part.load_state_dict(state[str(number)])


def _matrix(weight: Tensor) -> Tensor:
    """A weight [outputs, ...] as [outputs, inputs]. Of channels-last memory too this is the same memory, not a copy;
    in which order the inputs stand is nothing to Muon."""
    if weight.ndim == 4 and not weight.is_contiguous():
        weight = weight.permute(0, 2, 3, 1)
    return weight.flatten(1)

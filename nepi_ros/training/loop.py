# SPDX-License-Identifier: Apache-2.0
"""An optimisation that can be stopped at any moment and goes on where its last checkpoint was."""

from __future__ import annotations

import contextlib
import functools
import math
import pickle
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from nepi_ros.errors import ConfigError
from nepi_ros.progress import progress_bar
from nepi_ros.training.config import StageConfig
from nepi_ros.training.optimiser import Optimiser

_SAVE_EVERY_S = 60.0
_WARM_UP = 0.03

StepFunction = Callable[[int], tuple[Tensor, Mapping[str, float]]]


def pick_device(name: str = "auto") -> torch.device:
    """The GPU where there is one, unless told otherwise. Raises ConfigError when told of one that is not there."""
    found = torch.cuda.is_available()
    if name == "cuda" and not found:
        raise ConfigError(f"--device cuda: torch {torch.__version__} finds no GPU here; use --device cpu")
    return torch.device(("cuda" if found else "cpu") if name == "auto" else name)


def mixed_precision(device: torch.device) -> torch.autocast:
    """bfloat16 arithmetic for convolutions where the processor has it: faster there, and safe without loss scaling.

    Elsewhere it would be emulated: on a CPU with AVX2 a step of the codec took 8 times as long as in float32.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=has_bfloat16(device.type))


@functools.cache
def has_bfloat16(device_type: str) -> bool:
    """Whether this machine's `cpu` or `cuda` computes in bfloat16 itself."""
    if device_type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    able = torch.cpu.get_capabilities()
    return any(able.get(name, False) for name in ("amx_bf16", "avx512_bf16", "bf16"))


def learning_rate(step: int, stage: StageConfig) -> float:
    """Linear warm-up, then half a cosine to zero."""
    done = (step + 1) / stage.steps
    return stage.rate * min(1.0, done / _WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * done))


def _in_few_letters(figures: Mapping[str, float]) -> dict[str, str]:
    """Figures for a progress bar, which has one line for all of them."""
    return {name[:5]: f"{value:.3g}" for name, value in figures.items()}


@torch.no_grad()
def _running_average(average: list[Tensor], current: list[Tensor], count: Tensor | int) -> None:
    """Move `average` towards the `current` weights: the last tenth of a short run, at most about 500 steps.

    With the same small share from the first step on, the untrained weights would still be in it after a thousand.
    """
    share = max(1 / 500, 10 / (10 + int(count)))
    for kept, new in zip(average, current, strict=True):
        kept.lerp_(new, share) if kept.is_floating_point() else kept.copy_(new)


class Stateful(Protocol):
    """What can put its state into a checkpoint and take it back."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Stage:
    """Trains `module` for the steps of `config`, keeping a running average of its weights.

    step_function(step) gives the loss and figures to show. `extra` is further state that must survive a stop.
    `meaning` tells what the weights stand for beyond their shapes, `basis` what they come from: a checkpoint of
    another is refused. Those from before there was a basis have none, and are taken.
    `orthogonal`: as of Optimiser.
    After run() the module holds the averaged weights.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        module: nn.Module,
        config: StageConfig,
        extra: Stateful | None = None,
        meaning: str = "",
        orthogonal: bool = False,
        basis: str = "",
    ) -> None:
        self.name, self.module, self.config, self.extra = name, module, config, extra
        self.meaning, self.basis = meaning, basis
        self.file = folder / f"{name}.pt"
        self.average = AveragedModel(module, multi_avg_fn=_running_average, use_buffers=True)
        self.optimiser = Optimiser(module, config, orthogonal)
        self.step = 0

    def run(self, step_function: StepFunction) -> None:
        """Train to the end, from the checkpoint if there is one."""
        self._load()
        if self.step < self.config.steps:
            self._optimise(step_function)
            self._save()
        self.module.load_state_dict(self.average.module.state_dict())
        self.module.eval()

    def _optimise(self, step_function: StepFunction) -> None:
        saved = time.monotonic()
        self.module.train()
        steps = range(self.step, self.config.steps)
        bar = progress_bar(steps, desc=self.name, unit="step", initial=self.step, total=self.config.steps,
                           dynamic_ncols=True)  # fmt: skip
        for step in bar:
            torch.manual_seed(step)
            loss, shown = step_function(step)
            self._update(loss, step)
            if step % 20 == 0:
                bar.set_postfix(_in_few_letters({"loss": loss.item(), **shown}), refresh=False)
            if time.monotonic() - saved > _SAVE_EVERY_S:
                self._save()
                saved = time.monotonic()

    def _update(self, loss: Tensor, step: int) -> None:
        self.optimiser.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
        if not torch.isfinite(loss.detach() + norm):
            raise ConfigError(
                f"stage {self.name}: after {step} steps the loss is {loss.item():g}, its gradient {norm.item():g}; "
                "lower the stage's rate, or look for what is odd in the labels"
            )
        self.optimiser.step(learning_rate(step, self.config))
        self.average.update_parameters(self.module)
        self.step = step + 1

    def _save(self) -> None:
        state = {"step": self.step, "module": self.module.state_dict(), "average": self.average.state_dict(),
                 "optimiser": self.optimiser.state_dict(), "meaning": self.meaning, "basis": self.basis}  # fmt: skip
        if self.extra is not None:
            state["extra"] = self.extra.state_dict()
        partial = self.file.with_suffix(".partial")
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            torch.save(state, partial)
            partial.replace(self.file)
        except (OSError, RuntimeError) as error:  # torch has its own for a full disk
            with contextlib.suppress(OSError):
                partial.unlink()
            raise ConfigError(
                f"{self.file.parent}: the checkpoint cannot be written; make room there, and the same command goes on "
                f"from the one before, or choose another --runs folder ({str(error).splitlines()[0]})"
            ) from error

    def _load(self) -> None:
        if not self.file.exists():
            return
        try:
            state = torch.load(self.file, map_location=next(self.module.parameters()).device, weights_only=True)
            for mark, wanted in (("meaning", self.meaning), ("basis", self.basis)):
                if state.get(mark, wanted) != wanted:
                    raise ValueError(f"it is of {state[mark]}, not {wanted}")
            self.module.load_state_dict(state["module"])
            self.average.load_state_dict(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
            if self.extra is not None:
                self.extra.load_state_dict(state["extra"])
            self.step = state["step"]
        except (RuntimeError, KeyError, ValueError, EOFError, pickle.UnpicklingError) as error:
            raise ConfigError(
                f"{self.file}: damaged, or of another configuration; remove it or choose another --runs folder "
                f"({str(error).splitlines()[0]})"
            ) from error

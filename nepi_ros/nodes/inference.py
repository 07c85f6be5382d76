# SPDX-License-Identifier: Apache-2.0
"""The edge's networks at work on a batch of frames, of which some may be damaged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from onnxruntime import get_available_providers

from nepi_ros.bundle import Bundle
from nepi_ros.codec import Decoder, TargetNetworks
from nepi_ros.errors import CodecError
from nepi_ros.tasks import task_names


@dataclass(frozen=True)
class Job:
    """A frame to decode: its layers from layer 0 on, and the tasks wanted of it."""

    streams: Sequence[bytes]
    task_mask: int


@dataclass
class Outcome:
    """What became of a job: each task's network output (without batch dimension), or the error."""

    outputs: dict[str, np.ndarray] = field(default_factory=dict)
    error: Exception | None = None


class Inference:
    """Decodes frames and runs the target networks, each only on the frames that want its task.

    Of `providers`, in order of preference, those that ONNX Runtime does not have here are passed over.
    """

    def __init__(self, bundle: Bundle, providers: Sequence[str], threads: int) -> None:
        """Raises BundleError when a network of the bundle cannot be used."""
        there = [name for name in providers if name in get_available_providers()]
        self._decoder = Decoder(bundle, there, threads)
        self._targets = TargetNetworks(bundle, bundle.tasks, there, threads)

    @property
    def provider(self) -> str:
        """The execution provider in use."""
        return self._decoder.providers[0]

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        """One outcome per job. A job whose streams are damaged fails alone; one without any has no outputs."""
        outcomes = [Outcome() for _ in jobs]
        latents = [self._latent(job, outcome) for job, outcome in zip(jobs, outcomes, strict=True)]
        good = [index for index, latent in enumerate(latents) if latent is not None]
        if good:
            images = self._decoder.images(np.stack([latents[index] for index in good]))
            self._run_targets(images, [jobs[index] for index in good], [outcomes[index] for index in good])
        return outcomes

    def _latent(self, job: Job, outcome: Outcome) -> np.ndarray | None:
        if not job.streams:
            return None
        try:
            return self._decoder.coder.decode(job.streams)
        except CodecError as error:
            outcome.error = error
            return None

    def _run_targets(self, images: np.ndarray, jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> None:
        for task in self._targets.tasks:
            rows = [row for row, job in enumerate(jobs) if task in task_names(job.task_mask)]
            if not rows:
                continue
            batch = images if len(rows) == len(jobs) else images[rows]
            for row, output in zip(rows, self._targets.run(batch, (task,))[task], strict=True):
                outcomes[row].outputs[task] = output

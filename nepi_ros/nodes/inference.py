# SPDX-License-Identifier: Apache-2.0
"""The edge's networks at work on a batch of frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from onnxruntime import get_available_providers

from nepi_ros.bundle import Bundle
from nepi_ros.codec import Content, Decoder, Earlier, Segment, TargetNetworks
from nepi_ros.tasks import task_names


@dataclass(frozen=True)
class Job:
    """A frame's content as `Decoder.read` gives it (None where there was nothing to read), and the tasks wanted."""

    content: Content | None
    task_mask: int


class Inference:
    """Decodes frames and runs the target networks, each only on the frames that want its task.

    Of `providers`, in order of preference, those that ONNX Runtime does not have here are passed over.
    """

    def __init__(self, bundle: Bundle, providers: Sequence[str], threads: int) -> None:
        """Raises BundleError when a network of the bundle cannot be used."""
        there = [name for name in providers if name in get_available_providers()]
        self._bundle = bundle
        self._decoder = Decoder(bundle, there, threads)
        self._targets = TargetNetworks(bundle, bundle.tasks, there, threads)

    @property
    def provider(self) -> str:
        """The execution provider in use."""
        return self._decoder.providers[0]

    def content(
        self, segments: Sequence[Segment], task_mask: int, earlier: Earlier | None = None
    ) -> Content | None:
        """What the segments, from layer 0 on, of a frame for some tasks say, as `Decoder.read` gives it; None without
        any. `earlier`: the frame that it was coded given.

        Raises:
            CodecError: the segments are damaged.
        """
        return self._decoder.read(segments, self._bundle.kind(task_names(task_mask)), earlier) if segments else None

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, str, np.ndarray]]:
        """(index of the job, task, network output without batch dimension), each as soon as it is there."""
        rows = [row for row, job in enumerate(jobs) if job.content is not None]
        if not rows:
            return
        contents = [jobs[row].content for row in rows]
        views = self._decoder.views(contents)
        for task in self._targets.tasks:
            wanted = [place for place, row in enumerate(rows) if task in task_names(jobs[row].task_mask)]
            if wanted:
                outputs = self._targets.see([views[place] for place in wanted], (task,))[task]
                for place, output in zip(wanted, outputs, strict=True):
                    yield rows[place], task, output

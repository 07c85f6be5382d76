# SPDX-License-Identifier: Apache-2.0
"""Measures a bundle's profile on frames: coded bytes and results of every prefix of layers, decoded for real."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from nepi_ros.bundle import Bundle
from nepi_ros.codec import Decoder, Encoder, TargetNetworks, packed_size, untouched
from nepi_ros.profile import Profile
from nepi_ros.tasks import REGISTRY, Meter


@dataclass(frozen=True)
class MeasuredFrame:
    """An RGB image uint8 [H, W, 3] at the bundle's input size, and the truth of some tasks.

    Truths: labels uint8 [h, w], metres [h, w], class index; dense ones over the whole image, at any resolution.
    """

    rgb: np.ndarray
    truth: Mapping[str, np.ndarray] = field(default_factory=dict)


class _Curves:
    """Meters for each task and column, made when first fed (a task without truth has no accuracy)."""

    def __init__(self, bundle: Bundle, kind: str, columns: int) -> None:
        self._bundle, self._kind, self._columns = bundle, kind, columns
        self._meters: dict[str, list[Meter]] = {}

    def add(self, task: str, column: int, result: np.ndarray, truth: np.ndarray) -> None:
        if task not in self._meters:
            make = getattr(REGISTRY[task], self._kind)
            self._meters[task] = [make(self._bundle.tasks[task]) for _ in range(self._columns)]
        self._meters[task][column].add(result, truth)

    def values(self) -> dict[str, tuple[float, ...]]:
        curves = {task: tuple(meter.value() for meter in meters) for task, meters in self._meters.items()}
        return {task: curve for task, curve in curves.items() if not np.isnan(curve).any()}


def measure_profile(
    bundle: Bundle, frames: Iterable[MeasuredFrame], providers: list[str] | None = None, threads: int = 1
) -> Profile:
    """The profile of `bundle` on `frames`. Agreement is between results at the bundle's input size.

    Every prefix is entropy-coded and decoded as it would be between robot and edge. Raises ValueError without frames.
    """
    encoder, decoder = Encoder(bundle, threads, providers), Decoder(bundle, providers, threads)
    targets = TargetNetworks(bundle, bundle.tasks, providers, threads)
    prefixes = len(bundle.layers)
    sizes, count = np.zeros(prefixes), 0
    agreement, accuracy = _Curves(bundle, "agreement", prefixes), _Curves(bundle, "accuracy", prefixes)
    reference_accuracy = _Curves(bundle, "accuracy", 1)
    for frame in frames:
        streams = encoder.encode(frame.rgb).streams
        prefix_streams = [streams[: k + 1] for k in range(prefixes)]
        sizes += [packed_size(prefix) for prefix in prefix_streams]
        outputs = targets.run(decoder.decode(prefix_streams))
        references = targets.run(untouched(frame.rgb[None]))
        for task, batch in outputs.items():
            _add_frame(
                bundle, task, batch, references[task][0], frame, agreement, accuracy, reference_accuracy
            )
        count += 1
    if not count:
        raise ValueError("no frames to measure the profile on")
    return Profile(
        bytes=tuple(float(size) for size in sizes / count),
        agreement=agreement.values(),
        accuracy=accuracy.values(),
        target_accuracy={task: curve[0] for task, curve in reference_accuracy.values().items()},
        frames=count,
    )


def _add_frame(
    bundle: Bundle, task: str, outputs: np.ndarray, reference: np.ndarray, frame: MeasuredFrame,
    agreement: _Curves, accuracy: _Curves, reference_accuracy: _Curves,
) -> None:  # fmt: skip
    entry, spec, truth = REGISTRY[task], bundle.tasks[task], frame.truth.get(task)
    own = entry.result(reference, bundle.input_size, spec)
    for k, output in enumerate(outputs):
        agreement.add(task, k, entry.result(output, bundle.input_size, spec), own)
    if truth is not None:
        size = truth.shape[1::-1] if entry.dense else bundle.input_size
        reference_accuracy.add(task, 0, entry.result(reference, size, spec), truth)
        for k, output in enumerate(outputs):
            accuracy.add(task, k, entry.result(output, size, spec), truth)

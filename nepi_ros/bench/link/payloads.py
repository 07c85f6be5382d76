# SPDX-License-Identifier: Apache-2.0
"""What may be sent of each frame and each of its results: messages, bytes on the wire, and what they are worth."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

from nepi_ros.bench.link.measure import TOP_K, Measured
from nepi_ros.bench.wire import epitome_envelope, image_serialised, results_room, results_serialised
from nepi_ros.bundle import Bundle
from nepi_ros.link.returns import DENSE, SCALES, Step, grouped, ladder, named, named_bytes
from nepi_ros.link.wire import packets

FIXED_QUALITY = 50
Packets = tuple[int, ...]
"""Sizes of the IP packets of a message."""


@dataclass(frozen=True)
class Option:
    """One way to send a frame. `worth`: layers (or quality's place + 1) decoded once so many first messages came.
    `picture`: the last message says all by itself."""

    messages: tuple[Packets, ...]
    worth: tuple[int, ...]
    picture: bool = False

    def decoded(self, arrived: Collection[int]) -> int:
        """What can be decoded of the messages that arrived, by their places."""
        last = len(self.messages) - 1
        if self.picture and last in arrived:
            return self.worth[last]
        prefix = next((place for place in range(len(self.messages)) if place not in arrived), len(self.messages))
        return self.worth[prefix - 1] if prefix else 0

    @cached_property
    def wire(self) -> int:
        """Bytes on the wire."""
        return sum(map(sum, self.messages))


@dataclass(frozen=True)
class Payloads:
    """Frames as epitomes and as JPEG, their results, and accuracies.

    epitomes, jpegs: [F][options], smallest first; jpeg_fixed: quality 50 alone. results: [F][steps], full size
    first (as `ladder`); each is the packets of the result messages, of which the last has the report. report: the
    packets of a report alone. accuracy: of a prefix or quality (by its place + 1; 0: nothing) at a step.
    """

    epitomes: tuple[tuple[Option, ...], ...]
    jpegs: tuple[tuple[Option, ...], ...]
    jpeg_fixed: tuple[tuple[Option, ...], ...]
    results: tuple[tuple[tuple[Packets, ...], ...], ...]
    report: Packets
    epitome_accuracy: tuple[tuple[float, ...], ...]
    jpeg_accuracy: tuple[tuple[float, ...], ...]

    @cached_property
    def result_wire(self) -> tuple[tuple[int, ...], ...]:
        """Bytes on the wire of all results and the report: [F][steps]."""
        return tuple(tuple(sum(map(sum, step)) for step in steps) for steps in self.results)


def make_payloads(bundle: Bundle, measured: Measured, pictures: bool = False) -> Payloads:
    """Options from what was measured. `pictures`: whether they are among the layers. Of JPEG only qualities that are
    worth at least the smallest epitome."""
    tasks, latents = tuple(bundle.tasks), len(bundle.layers)
    steps, most = ladder(tasks), bundle.layer_count if pictures else latents
    useful, worthwhile = bundle.profile.useful_layers(tasks, most), bundle.profile.worthwhile(tasks, most)
    curves = {task: list(bundle.profile.agreement[task][:useful]) for task in tasks}
    epitome_accuracy = _accuracies(curves, measured, steps)
    jpeg_full = _accuracies(measured.jpeg_agreement, measured, steps)
    least = next((q for q in range(1, len(jpeg_full)) if jpeg_full[q][0] >= epitome_accuracy[1][0]), 1)
    fixed = measured.qualities.index(FIXED_QUALITY)
    return Payloads(
        tuple(
            _epitome_options([prefixes[count - 1] for count in worthwhile], latents) for prefixes in measured.epitomes
        ),
        tuple(_jpeg_options(sizes, least) for sizes in measured.jpeg),
        tuple(_jpeg_options(sizes[fixed : fixed + 1], 0, fixed) for sizes in measured.jpeg),
        tuple(_result_messages(bundle, measured, frame, steps) for frame in range(len(measured.epitomes))),
        packets(results_serialised(report=True)),
        epitome_accuracy,
        jpeg_full,
    )


def _accuracies(
    curves: dict[str, list[float]], measured: Measured, steps: Sequence[dict[str, float]]
) -> tuple[tuple[float, ...], ...]:
    """Worst of the tasks: [1 + points][steps]."""
    scales = {scale: place for place, scale in enumerate(SCALES)}
    kept = {
        task: [measured.retention[task][scales[step[task]]] if task in DENSE else 1.0 for step in steps]
        for task in curves
    }
    points = len(next(iter(curves.values())))
    rows = [tuple(min(curves[t][p] * kept[t][s] for t in curves) for s in range(len(steps))) for p in range(points)]
    return (tuple(0.0 for _ in steps), *rows)


def _epitome_options(prefixes: Sequence[Sequence[Sequence[int]]], latents: int) -> tuple[Option, ...]:
    """Prefixes, each in its messages; those of more layers than `latents` are pictures."""
    envelope = epitome_envelope()
    return tuple(
        Option(
            tuple(packets(envelope + size) for _, size in messages),
            tuple(layers for layers, _ in messages),
            messages[-1][0] > latents,
        )
        for messages in prefixes
    )


def _jpeg_options(sizes: Sequence[int], least: int, first: int = 0) -> tuple[Option, ...]:
    """One message each, which IP fragments; worth from `least` on. `first`: the place of sizes[0]."""
    worths = ((worth, size) for worth, size in enumerate(sizes, first + 1) if worth >= least)
    return tuple(Option((packets(image_serialised(size, "jpeg")),), (worth,)) for worth, size in worths)


def _result_messages(
    bundle: Bundle, measured: Measured, frame: int, steps: Sequence[Step]
) -> tuple[tuple[Packets, ...], ...]:
    """Packets of a frame's result messages at every step, put together as edge_node does it."""
    made = []
    for step in steps:
        sizes = {t: measured.results[t][frame][SCALES.index(step[t])] for t in DENSE if t in step}
        names: Sequence[str] = ()
        if "classification" in step:
            names = bundle.tasks["classification"].classes[: named(TOP_K, step["classification"])]
        groups = grouped(sizes | ({"classification": named_bytes(names)} if names else {}), results_room())
        made.append(tuple(
            packets(results_serialised(
                names if "classification" in group else (), *(sizes[t] if t in group else 0 for t in DENSE),
                report=group is groups[-1],
            ))
            for group in groups
        ))  # fmt: skip
    return tuple(made)

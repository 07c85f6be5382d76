# SPDX-License-Identifier: Apache-2.0
"""The methods that are compared, and what each did on one pair of traces."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nepi_ros.bench.link.oracle import oracle
from nepi_ros.bench.link.payloads import Option, Payloads
from nepi_ros.bench.link.replay import Conditions, Outcome, Replay, Robot
from nepi_ros.bench.link.rules import GccLike, NoControl
from nepi_ros.link.budget import Choices
from nepi_ros.link.control import ControlSettings, LinkControl, Rule
from nepi_ros.link.trace import Schedule

METHODS = ("epitome", "jpeg", "fixed_epitome", "jpeg_q50", "gcc", "oracle")
LABELS = {
    "epitome": "epitome",
    "jpeg": "JPEG, same control",
    "fixed_epitome": "epitome, all layers",
    "jpeg_q50": "JPEG, quality 50",
    "gcc": "epitome, GCC-like",
    "oracle": "oracle",
}


@dataclass(frozen=True)
class Link:
    """Both directions of a link, and for how long they are played, in seconds."""

    up: Schedule
    down: Schedule
    seconds: float


@dataclass(frozen=True)
class Run:
    """A method's outcomes, accuracies [worth][step] to judge them with, and seconds of each decision."""

    outcomes: list[Outcome]
    accuracy: Sequence[Sequence[float]]
    decision_s: list[float]


def control(conditions: Conditions) -> LinkControl:
    """The control under test, as it is by default."""
    return LinkControl(ControlSettings(deadline_s=conditions.deadline_s))


def choices_of(options: Sequence[tuple[Option, ...]], accuracy: Sequence[Sequence[float]]) -> list[Choices]:
    """For each frame what its options cost, how accurate they are with full results, and the largest that is ordinary:
    no picture, or the smallest of all."""
    return [
        Choices(
            *np.array([(option.wire, accuracy[option.worth[-1]][0]) for option in each]).T,
            ordinary=max((option.wire for option in each if not option.picture), default=each[0].wire),
        )
        for each in options
    ]


def run(method: str, payloads: Payloads, link: Link, conditions: Conditions) -> Run:
    """Play a method over a link."""
    if method == "oracle":
        outcomes = oracle(
            payloads.epitomes, payloads.epitome_accuracy, payloads, link.up, link.down, conditions, link.seconds
        )
        return Run(outcomes, payloads.epitome_accuracy, [])
    rule, options = _makers(payloads, conditions)[method]
    accuracy = payloads.jpeg_accuracy if method.startswith("jpeg") else payloads.epitome_accuracy
    robot = Robot(rule(), options, choices_of(options, accuracy))
    Replay([robot], payloads, link.up, link.down, conditions, time.perf_counter).run(link.seconds)
    return Run(robot.outcomes, accuracy, robot.decision_s)


def run_two(payloads: Payloads, link: Link, conditions: Conditions) -> tuple[list[Outcome], list[Outcome]]:
    """Two robots with epitomes on one link, the second half a period behind the first."""
    choices = choices_of(payloads.epitomes, payloads.epitome_accuracy)
    first, second = (Robot(control(conditions), payloads.epitomes, choices) for _ in range(2))
    second = replace(second, offset_s=0.5 / conditions.fps)
    Replay([first, second], payloads, link.up, link.down, conditions).run(link.seconds)
    return first.outcomes, second.outcomes


def _makers(
    payloads: Payloads, conditions: Conditions
) -> dict[str, tuple[Callable[[], Rule], Sequence[tuple[Option, ...]]]]:
    whole = tuple(options[-1:] for options in payloads.epitomes)
    return {
        "epitome": (lambda: control(conditions), payloads.epitomes),
        "jpeg": (lambda: control(conditions), payloads.jpegs),
        "fixed_epitome": (NoControl, whole),
        "jpeg_q50": (NoControl, payloads.jpeg_fixed),
        "gcc": (lambda: GccLike(conditions.fps), payloads.epitomes),
    }

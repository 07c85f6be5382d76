# SPDX-License-Identifier: Apache-2.0
"""Which pictures a bundle's last layers are: those that are worth their bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

from tqdm import tqdm

from nepi_ros.bundle import Bundle
from nepi_ros.codec import PictureFormat, TargetNetworks, untouched
from nepi_ros.codec.tables import MAX_LAYERS
from nepi_ros.datasets import Sample
from nepi_ros.letterbox import Letterbox
from nepi_ros.profile import Profile
from nepi_ros.training.data import FrameSets
from nepi_ros.training.gauge import Gauge

_SCALES = (0.5, 0.75, 1.0)
_QUALITIES = (8, 11, 15, 20, 26, 33, 41, 50, 60, 70, 79, 86, 91, 95)
_STEP = 1.08  # times as many bytes as the layer before has, at least
_GAIN = 0.001  # of the worst task's agreement, over all layers before
_ENOUGH = 0.99  # of it: no larger pictures than the first with so much


@dataclass
class _Candidate:
    format: PictureFormat
    gauge: Gauge
    bytes: float = 0.0

    @property
    def agreement(self) -> float:
        return min(meter.value() for meter in self.gauge.agreement.values())


def choose_pictures(
    bundle: Bundle, profile: Profile, frames: FrameSets | Sequence[Sample]
) -> tuple[tuple[PictureFormat, ...], Callable[[Profile], Profile]]:
    """The pictures that a bundle of latents alone, with such a profile, gets after these, smallest first, and what goes
    on with a profile as far as them. Each has more agreement with the target networks than all layers before it,
    measured on `frames`."""
    size, best = profile.bytes[-1], profile.accuracy_of(len(bundle.layers), bundle.tasks)
    chosen: list[_Candidate] = []
    for candidate in sorted(_measured(bundle, frames), key=lambda one: one.bytes):
        if best < _ENOUGH and candidate.bytes >= size * _STEP and candidate.agreement >= best + _GAIN:
            size, best = candidate.bytes, candidate.agreement
            chosen.append(candidate)
    del chosen[MAX_LAYERS - len(bundle.layers) :]
    return tuple(candidate.format for candidate in chosen), partial(_with, chosen)


def _candidates(bundle: Bundle) -> list[_Candidate]:
    return [
        _Candidate(PictureFormat(*(max(8, round(side * scale)) for side in bundle.input_size), quality, full_colour),
                   Gauge(bundle.tasks))
        for scale, quality, full_colour in product(_SCALES, _QUALITIES, (False, True))
    ]  # fmt: skip


def _measured(bundle: Bundle, frames: FrameSets | Sequence[Sample]) -> list[_Candidate]:
    networks, candidates = TargetNetworks(bundle, tuple(bundle.tasks)), _candidates(bundle)
    for sample in tqdm(frames, desc=f"measuring pictures for {bundle.name}", unit="frame"):
        box = Letterbox(sample.rgb.shape[1::-1], bundle.input_size)
        image = box.apply(sample.rgb)
        wanted = networks.run(untouched(image[None]))
        for candidate in candidates:
            stream = candidate.format.write(image)
            candidate.bytes += len(stream) / len(frames)
            shown = candidate.format.read(stream, bundle.input_size)
            candidate.gauge.add(networks.run(untouched(shown[None])), wanted, sample, box)
    return candidates


def _with(chosen: Sequence[_Candidate], profile: Profile) -> Profile:
    """A profile that goes on with what was measured of pictures."""
    more = [candidate.gauge for candidate in chosen]
    agreement = {task: (*old, *(g.agreement[task].value() for g in more)) for task, old in profile.agreement.items()}
    accuracy = {task: (*old, *(g.accuracy[task].value() for g in more)) for task, old in profile.accuracy.items()}
    sizes = (*profile.bytes, *(candidate.bytes for candidate in chosen))
    return replace(profile, bytes=sizes, agreement=agreement, accuracy=accuracy)

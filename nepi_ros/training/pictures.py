# SPDX-License-Identifier: Apache-2.0
"""Which pictures a bundle's last layers are: those that are worth their bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby, product

from tqdm import tqdm

from nepi_ros.bundle import Bundle
from nepi_ros.codec import Content, Decoder, Encoder, PictureFormat, TargetNetworks, View, untouched
from nepi_ros.codec.picture import joined
from nepi_ros.codec.tables import MAX_LAYERS
from nepi_ros.datasets import Sample
from nepi_ros.letterbox import Letterbox
from nepi_ros.profile import Profile
from nepi_ros.training.data import FrameSets
from nepi_ros.training.gauge import Gauge, Reference

_SCALES = (0.5, 0.75, 1.0)
_QUALITIES = (8, 11, 15, 20, 26, 33, 41, 50, 60, 70, 79, 86, 91, 95)
_STEP = 1.08  # times as many bytes as the layer before has, at least
_GAIN = 0.001  # of the worst task's agreement, over all layers before
_ENOUGH = 0.99  # of it: no larger pictures than the first with so much
# How much the decoder's answers may count beside those of networks that look at a picture, the poorer that is the more.
_BESIDE = (0.125, 0.25, 0.5)


@dataclass
class _Candidate:
    format: PictureFormat
    gauge: Gauge
    bytes: float = 0.0
    """Of the picture; what comes with it is counted by `_bytes_with`."""

    @property
    def agreement(self) -> float:
        return min(meter.value() for meter in self.gauge.agreement.values())


def choose_pictures(
    bundle: Bundle, profile: Profile, frames: FrameSets | Sequence[Sample]
) -> tuple[tuple[PictureFormat, ...], Callable[[Profile], Profile]]:
    """The pictures that a bundle of latents alone, with such a profile, gets after these, smallest first, and what goes
    on with a profile as far as them. Each has more agreement with the target networks than all layers before it,
    measured on `frames`. Where the bundle's decoder gives answers, the latent comes with each."""
    size, best = profile.bytes[-1], profile.accuracy_of(len(bundle.layers), bundle.tasks)
    chosen: list[_Candidate] = []
    for candidate in sorted(_measured(bundle, frames), key=lambda one: (one.bytes, -one.agreement)):
        whole = _bytes_with(candidate, profile)
        if best < _ENOUGH and whole >= size * _STEP and candidate.agreement >= best + _GAIN:
            size, best = whole, candidate.agreement
            chosen.append(candidate)
    del chosen[MAX_LAYERS - len(bundle.layers) :]
    return tuple(candidate.format for candidate in chosen), partial(_with, chosen)


def _candidates(bundle: Bundle) -> list[_Candidate]:
    sizes = ([max(8, round(side * scale)) for side in bundle.input_size] for scale in _SCALES)
    settings = product(sizes, _QUALITIES, (False, True), _BESIDE if bundle.answers else (0.0,))
    return [_Candidate(PictureFormat(*size, *rest), Gauge(bundle.tasks)) for size, *rest in settings]


def _measured(bundle: Bundle, frames: FrameSets | Sequence[Sample]) -> list[_Candidate]:
    networks, candidates = TargetNetworks(bundle, tuple(bundle.tasks)), _candidates(bundle)
    encoder, decoder = Encoder(bundle), Decoder(bundle)
    for sample in tqdm(frames, desc=f"measuring pictures for {bundle.name}", unit="frame"):
        box = Letterbox(sample.rgb.shape[1::-1], bundle.input_size)
        image = box.apply(sample.rgb)
        reference = Reference.of(bundle.tasks, networks.run(untouched(image[None])), sample, box)
        answers = decoder.views([Content(latent) for latent in encoder.latents(image[None])])[0].answers
        for _, alike in groupby(candidates, lambda one: replace(one.format, beside=0.0)):
            some = list(alike)
            stream = some[0].format.write(image)
            shown = View.of(some[0].format.read(stream, bundle.input_size), answers)
            outputs = networks.run(shown.image[None])
            for candidate in some:
                beside = candidate.format.beside
                view = replace(shown, beside=beside)
                candidate.bytes += len(joined(b"", stream) if beside else stream) / len(frames)
                said = {task: [view.with_answer(task, output[0])] for task, output in outputs.items()}
                candidate.gauge.add(said, reference)
    return candidates


def _bytes_with(candidate: _Candidate, profile: Profile) -> float:
    """Bytes of a candidate with what comes with it, in a bundle of latents alone with such a profile."""
    return candidate.bytes + (profile.bytes[-1] if candidate.format.beside else 0.0)


def _with(chosen: Sequence[_Candidate], profile: Profile) -> Profile:
    """A profile that goes on with what was measured of pictures."""
    more = [candidate.gauge for candidate in chosen]
    agreement = {task: (*old, *(g.agreement[task].value() for g in more)) for task, old in profile.agreement.items()}
    accuracy = {task: (*old, *(g.accuracy[task].value() for g in more)) for task, old in profile.accuracy.items()}
    sizes = (*profile.bytes, *(_bytes_with(candidate, profile) for candidate in chosen))
    return replace(profile, bytes=sizes, agreement=agreement, accuracy=accuracy)

# SPDX-License-Identifier: Apache-2.0
"""The light encoder learns what the strong one does, before the two are judged by their effect.

A step with the target networks in it costs many times a light encoder's own, so most of the light encoder's steps do
without: it is shown frames, and the strong encoder's features and latents of them (knowledge distillation; hints as of
Romero et al., ICLR 2015). Frames are shown several times, and half of them are two frames laid over each other, of
which no training set runs out (Beyer et al., "a good teacher is patient and consistent", CVPR 2022).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nepi_ros.training.networks import Encoder

REPLAYS = 4
"""Steps that learn from a frame, on average."""
_KEPT = 128
_HINTS = 1.0
_MIXED = 0.5


@dataclass(frozen=True)
class Lesson:
    """Frames [N,3,H,W], and what the strong encoder makes of them: features (`hints`) on both grids, and `maps`."""

    image: Tensor
    hints: tuple[Tensor, ...]
    maps: tuple[Tensor, ...]


class Lessons:
    """The latest batches, from which every step draws frames at random: the same for the same seed and step.

    prepare(step) makes the batch of a step, one in REPLAYS, from torch's own generator and nothing else by chance.
    """

    def __init__(self, seed: int, prepare: Callable[[int], Lesson]) -> None:
        self._seed, self._prepare, self._next = seed, prepare, 0
        self._kept: deque[Lesson] = deque(maxlen=_KEPT)

    def draw(self, step: int) -> Lesson:
        """A step's batch of frames from all that are kept. After a stop these are made anew."""
        for number in range(self._next, step + 1, REPLAYS)[-_KEPT:]:
            torch.manual_seed(number)  # as before any step
            self._kept.append(self._prepare(number))
            self._next = number + REPLAYS
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + step)
        size = len(self._kept[0].image)
        batch = torch.randint(len(self._kept), (size,), generator=generator).tolist()
        row = torch.randint(size, (size,), generator=generator).tolist()
        chosen = [(self._kept[b], r) for b, r in zip(batch, row, strict=True)]

        def gathered(read) -> Tensor:  # noqa: ANN001 - Lesson -> Tensor
            return torch.stack([read(lesson)[r] for lesson, r in chosen])

        first = self._kept[0]
        return Lesson(
            gathered(lambda lesson: lesson.image),
            tuple(gathered(lambda lesson, k=k: lesson.hints[k]) for k in range(len(first.hints))),
            tuple(gathered(lambda lesson, k=k: lesson.maps[k]) for k in range(len(first.maps))),
        )


class Pupil(nn.Module):
    """The light encoder, with what compares its features to the strong one's."""

    def __init__(self, encoder: Encoder, hints: Sequence[int]) -> None:
        super().__init__()
        self.encoder = encoder
        channels = encoder.trunk.channels[-2:]
        self.compare = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip(channels, hints, strict=True))

    def forward(self, image: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        features = self.encoder.trunk(image)[-2:]
        return [compare(x) for compare, x in zip(self.compare, features, strict=True)], self.encoder.heads(features)


def mixed(image: Tensor) -> Tensor:
    """A batch of which about half are laid over another frame of it, with a random share."""
    share = torch.rand(len(image), 1, 1, 1, device=image.device)
    share = torch.where(torch.rand_like(share) < _MIXED, share, 1.0)
    return share * image + (1 - share) * image.flip(0)


def lesson_loss(pupil: Pupil, lesson: Lesson) -> dict[str, Tensor]:
    """How far the pupil's features and latents are from those of the lesson."""
    hints, maps = pupil(lesson.image)
    return {"hints": _HINTS * difference(hints, lesson.hints), "latents": difference(maps, lesson.maps)}


def difference(maps: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """Mean squared difference of maps [N,C,h,w], in variances of the wanted ones' channels, over the grids in use."""
    used = [(map_.float(), want.float()) for map_, want in zip(maps, wanted, strict=True) if map_.shape[1]]
    parts = ((m - w).square().mean((0, 2, 3)) / (w.var((0, 2, 3), correction=0) + 0.25) for m, w in used)
    return sum(part.mean() for part in parts) / len(used)

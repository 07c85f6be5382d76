# SPDX-License-Identifier: Apache-2.0
"""How a latent's layers lie on maps of several sizes: the whole frame, coarse grids, the finest grid."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from nepi_ros.codec import LayerShape
from nepi_ros.codec.tables import MAX_CHANNELS, MAX_LAYERS
from nepi_ros.errors import ConfigError

WHOLE = 0
CELLS = (16, 32, 64, WHOLE)
"""Side in pixels of the square that one value of a map stands for; WHOLE for the whole frame."""
_LAYER = re.compile(r"(?:([1-9]\d*) *x *)?([1-9]\d*)/(16|32|64|whole)")
_CLASSES = re.compile(r"classes/(4|8|16|32|64)")
MAP_CELL = 4
"""Side in pixels of the square that a place of a map of classes stands for."""
_EXAMPLE = "write for instance 4/whole, 2 x 1/64, 8 x 2/16, classes/4"


@dataclass(frozen=True)
class LatentLayout:
    """Layers (channels, cell), most important first. Those without channels are of the map of classes: up to one known
    place for each square of the cell.

    The networks see maps: one tensor [N, C, h, w] per cell, whose channels are those of its layers in order. A bundle
    sees flat latents [N, T]: layer by layer, and at last the map of classes.
    """

    layers: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, text: str) -> LatentLayout:
        """Layers from text: `4/whole` is a layer of four values for the whole frame, `2/32` one of two channels with a
        value for each square of 32 pixels, `3 x 2/32` are three such. `classes/16` is the map of classes as far as it
        has a place for each square of 16 pixels; finer ones go on with it, up to `classes/4`. Raises ConfigError.

        >>> LatentLayout.of("4/whole, 2 x 1/64").layers
        ((4, 0), (1, 64), (1, 64))
        """
        if not isinstance(text, str):
            raise ConfigError(f"codec.layers: {text!r} is no text; {_EXAMPLE}")
        layers: list[tuple[int, int]] = []
        for part in text.split(","):
            of_classes = _CLASSES.fullmatch(part.strip())
            if of_classes:
                layers.append((0, int(of_classes[1])))
                continue
            found = _LAYER.fullmatch(part.strip())
            if found is None:
                raise ConfigError(f"codec.layers: {part.strip()!r} is no layer; {_EXAMPLE}")
            cell = WHOLE if found[3] == "whole" else int(found[3])
            layers += [(int(found[2]), cell)] * int(found[1] or 1)
            if len(layers) > MAX_LAYERS or sum(channels for channels, _ in layers) > MAX_CHANNELS:
                raise ConfigError(f"codec.layers: more than {MAX_LAYERS} layers or {MAX_CHANNELS} channels in all")
        cells = [cell for channels, cell in layers if not channels]
        if cells and (cells[-1] != MAP_CELL or any(b >= a for a, b in pairwise(cells))):
            raise ConfigError("codec.layers: a map of classes gets finer from layer to layer, and ends with classes/4")
        if not any(channels for channels, _ in layers):
            raise ConfigError("codec.layers: a map of classes alone; let something go before it, for instance 4/whole")
        return cls(tuple(layers))

    @property
    def has_map(self) -> bool:
        """Whether there is a map of classes."""
        return not all(channels for channels, _ in self.layers)

    @property
    def text(self) -> str:
        """The layers as `of` reads them.

        >>> LatentLayout.of("2 x 1/64, 4/whole").text
        '1/64, 1/64, 4/whole'
        """
        return ", ".join(f"{channels or 'classes'}/{cell or 'whole'}" for channels, cell in self.layers)

    def shapes(self, size: tuple[int, int]) -> tuple[LayerShape, ...]:
        """The shapes of the layers that have channels, in frames of `size` (width, height).

        >>> [(shape.channels, shape.height, shape.width) for shape in LatentLayout.of("2/whole, 1/16").shapes((64, 48))]
        [(2, 1, 1), (1, 3, 4)]
        """
        return tuple(LayerShape(channels, *grid(cell, size)) for channels, cell in self._numbers)

    def finest(self, prefixes: Tensor) -> Tensor:
        """For prefixes [N] of that many layers, the cell of the finest layer of the map of classes, [N]; 0: none."""
        cells = [0]
        for channels, cell in self.layers:
            cells.append(cells[-1] if channels else cell)
        return torch.tensor(cells, device=prefixes.device)[prefixes]

    def channels(self, cell: int) -> int:
        """How many channels lie on a cell's map."""
        return sum(self._splits(cell))

    def flat(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps, one per cell of CELLS, as flat latents [N, T]."""
        rest = {cell: list(map_.split(self._splits(cell), dim=1)) for cell, map_ in zip(CELLS, maps, strict=True)}
        return torch.cat([rest[cell].pop(0).flatten(1) for _, cell in self._numbers], dim=1)

    def maps(self, flat: Tensor, size: tuple[int, int]) -> list[Tensor]:
        """The inverse of `flat`, for frames of `size` (width, height)."""
        shapes = self.shapes(size)
        parts = flat.split([shape.size for shape in shapes], dim=1)
        found: dict[int, list[Tensor]] = {cell: [] for cell in CELLS}
        for part, shape, (_, cell) in zip(parts, shapes, self._numbers, strict=True):
            found[cell].append(part.reshape(-1, shape.channels, shape.height, shape.width))
        return [
            torch.cat(found[cell], dim=1) if found[cell] else flat.new_zeros(flat.shape[0], 0, *grid(cell, size))
            for cell in CELLS
        ]

    def kept(self, prefixes: Tensor) -> list[Tensor]:
        """For prefixes [N] of that many layers, which channels of each map are in: bool [N, C, 1, 1] per cell."""
        masks = []
        for cell in CELLS:
            numbers = [k for k, (channels, where) in enumerate(self.layers) if where == cell for _ in range(channels)]
            number = torch.tensor(numbers, dtype=prefixes.dtype, device=prefixes.device)
            masks.append((number < prefixes[:, None])[:, :, None, None])
        return masks

    def _splits(self, cell: int) -> list[int]:
        """Channels of each layer on a cell's map."""
        return [channels for channels, where in self._numbers if where == cell]

    @property
    def _numbers(self) -> list[tuple[int, int]]:
        """The layers that have channels."""
        return [layer for layer in self.layers if layer[0]]


def grid(cell: int, size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of a cell's map of a frame of `size` (width, height): the last cells may reach beyond it."""
    return (1, 1) if cell == WHOLE else (-(-size[1] // cell), -(-size[0] // cell))

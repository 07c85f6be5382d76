# SPDX-License-Identifier: Apache-2.0
"""Frames as a camera a little aside would have seen them, by the depths that a network answers.

A recording shows a place from few points, and a codec with few bytes learns these by heart. Seen from around them too,
it has to learn the place (view synthesis from depth, as in Zhou et al., "Unsupervised Learning of Depth and Ego-Motion
from Video", CVPR 2017, section 3.2, here with the depth known and the motion chosen).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from nepi_ros.training.config import AsideConfig

_ROUNDS = 6
"""How often the place at which a pixel's ray meets the scene is looked for anew."""
_NEAREST = 0.1
"""Metres in front of the camera that took a frame, at least, of what another sees in it."""


@dataclass(frozen=True)
class Asides:
    """Cameras aside of those that took N frames. Places in a view go from -1 to 1, as in grid_sample.

    turn: [N,3,3], from a camera's axes to those of the one that took the frame; move: [N,3] metres, where it stands
    there; reach: [2] tangents of half the angle that is seen across and down."""

    turn: Tensor
    move: Tensor
    reach: Tensor

    @classmethod
    def random(
        cls, count: int, config: AsideConfig, size: tuple[int, int], generator: torch.Generator, device: torch.device
    ) -> Asides:
        """For `count` frames of `size` (width, height); in all but the configured share the camera itself."""
        chance = torch.rand(count, 6, generator=generator)
        moved = (chance[:, 5:] < config.share).float()
        across, down = ((2 * chance[:, :2] - 1) * math.radians(config.turn_deg) * moved).unbind(1)
        move = (2 * chance[:, 2:5] - 1) * config.move_m * moved
        half = math.tan(math.radians(config.view_deg) / 2)
        reach = torch.tensor([half, half * size[1] / size[0]])
        return cls(_turned(across, down).to(device), move.to(device), reach.to(device))

    def see(self, places: Tensor, log_depth: Tensor) -> tuple[Tensor, Tensor]:
        """Where in the frames lies what is seen at `places` [N,h,w,2], and the logarithm of its metres, [N,1,h,w].

        `log_depth` [N,1,H,W]: that of the frames' metres. Where something hides the scene from the camera that took a
        frame, its edge is drawn out over the gap, as a surface without holes would be."""
        rays = F.pad(places * self.reach, (0, 1), value=1.0)
        rays = torch.einsum("nij,nhwj->nhwi", self.turn, rays)
        depth = mirrored(log_depth, places)[:, 0].exp()
        found = places
        for _ in range(_ROUNDS):
            point = rays * depth[..., None] + self.move[:, None, None]
            ahead = point[..., 2].clamp(min=_NEAREST)
            found = point[..., :2] / (ahead[..., None] * self.reach)
            # By little at a time: at edges a ray may meet the one surface or the other.
            depth = depth * (mirrored(log_depth, found)[:, 0].exp() / ahead).clamp(0.7, 1.4)
        return found, depth.log()[:, None]


def _turned(across: Tensor, down: Tensor) -> Tensor:
    """Rotations [N,3,3] by angles [N] about the axis that points down and then the one that points right."""
    zero, one = torch.zeros_like(across), torch.ones_like(across)
    (ca, sa), (cd, sd) = ((angle.cos(), angle.sin()) for angle in (across, down))
    yaw = torch.stack([ca, zero, sa, zero, one, zero, -sa, zero, ca], 1).reshape(-1, 3, 3)
    pitch = torch.stack([one, zero, zero, zero, cd, -sd, zero, sd, cd], 1).reshape(-1, 3, 3)
    return yaw @ pitch


def mirrored(values: Tensor, places: Tensor) -> Tensor:
    """Values [N,C,H,W] of frames at places [N,h,w,2], [N,C,h,w]; beyond a frame's border is its mirror image."""
    return F.grid_sample(values, places, padding_mode="reflection", align_corners=False)

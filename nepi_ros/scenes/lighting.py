# SPDX-License-Identifier: Apache-2.0
"""Light that stands still is computed once: lamps with soft shadows, then two bounces between the surfaces.

Every patch gets a small grid of light samples in one light map; frames only look it up.
"""

from dataclasses import dataclass

import numpy as np

from nepi_ros.scenes.mesh import Patches
from nepi_ros.scenes.tracer import Tracer

WIDTH = 2048
RANGE = 8.0  # metres beyond which a lamp adds nothing visible
MINIMUM = 1e-4  # share of a lamp's light that is worth a ray
DIRECTIONS = 32
BOUNCES = 2


@dataclass(frozen=True)
class Lamp:
    """A lamp as several points: positions [k, 3], the light of all of them together (red, green, blue), and the
    direction it shines (half space); None shines all around."""

    points: np.ndarray
    power: np.ndarray
    facing: tuple[float, float, float] | None = (0.0, 0.0, -1.0)


@dataclass(frozen=True)
class Sun:
    """Sunlight: the direction towards the sun and its light (red, green, blue)."""

    towards: tuple[float, float, float]
    power: tuple[float, float, float]


class LightMap:
    """Places the patches' sample grids in one picture.

    Attributes:
        corner: First pixel (x, y) of each patch's grid [n, 2].
        patch, pixel: Patch and pixel (row by row) of every sample.
        point: Every sample's point; patches of a curved surface share points.
        position, normal: The points, where light is computed.
    """

    def __init__(self, patches: Patches):
        nodes = patches.nodes
        order = np.lexsort((nodes[:, 0], nodes[:, 1]))[::-1]
        self.corner = np.zeros_like(nodes)
        x = y = row = 0
        for index in order:
            w, h = nodes[index]
            if x + w > WIDTH:
                x, y, row = 0, y + row, 0
            self.corner[index] = x, y
            x, row = x + w, max(row, h)
        self.height = int(y + row)
        self.image = np.zeros((self.height, WIDTH, 3), np.float32)
        self._make_samples(patches)

    def corner_uv(self, patches: Patches) -> np.ndarray:
        """Pixels [n, 4, 2] of the patches' corners."""
        unit = np.float32([[0, 0], [1, 0], [1, 1], [0, 1]])
        return self.corner[:, None] + unit * (patches.nodes - 1)[:, None]

    def _make_samples(self, patches: Patches) -> None:
        count = patches.nodes.prod(1)
        self.patch = np.repeat(np.arange(len(count)), count)
        first = np.repeat(np.cumsum(count) - count, count)
        number = np.arange(len(self.patch)) - first
        columns = patches.nodes[self.patch, 0]
        gx, gy = number % columns, number // columns
        self.pixel = (self.corner[self.patch, 1] + gy) * WIDTH + self.corner[self.patch, 0] + gx
        # Samples keep a little off the edges, so that they do not lie inside the neighbouring wall.
        side = np.linalg.norm(patches.corners[:, [1, 3]] - patches.corners[:, :1], axis=2)
        curved = np.ptp(patches.normals, axis=1).max(1) > 1e-4
        inset = np.where(curved[:, None], 0.0, np.minimum(0.02 / np.maximum(side, 1e-6), 0.3))[self.patch]
        s = np.clip(gx / (columns - 1), inset[:, 0], 1 - inset[:, 0])[:, None]
        t = np.clip(gy / (patches.nodes[self.patch, 1] - 1), inset[:, 1], 1 - inset[:, 1])[:, None]

        def blend(a: np.ndarray) -> np.ndarray:
            a = a[self.patch]
            return (1 - s) * (1 - t) * a[:, 0] + s * (1 - t) * a[:, 1] + s * t * a[:, 2] + (1 - s) * t * a[:, 3]

        normal = blend(patches.normals)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
        position = blend(patches.corners) + 0.012 * normal
        first, self.point = _distinct(np.concatenate([position, normal], axis=1))
        self.position, self.normal = position[first].astype(np.float32), normal[first].astype(np.float32)


def _distinct(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First index of every distinct row (to a tenth of a millimetre), and for each row which one it is."""
    keys = np.ascontiguousarray(np.round(rows * 1e4).astype(np.int32))
    _, first, which = np.unique(keys.view(f"V{keys.shape[1] * 4}").ravel(), return_index=True, return_inverse=True)
    return first, which


def bake(
    light_map: LightMap,
    light_uv: np.ndarray,
    patches: Patches,
    tracer: Tracer,
    lamps: list[Lamp],
    sun: Sun,
    albedo: np.ndarray,
    ambient: np.ndarray,
) -> np.ndarray:
    """The light map, float32 [height, WIDTH, 3].

    Args:
        light_map: The samples.
        light_uv: Their pixels as a corner table of `tracer`, to follow bounces.
        patches: The scene.
        tracer: Rays into the scene; triangles 2 i and 2 i + 1 are patch i.
        lamps: The lamps.
        sun: The sun, which shines in through patches whose texture is a window.
        albedo: Mean reflectance of every patch [n, 3].
        ambient: Faint light from everywhere (red, green, blue), where a ray meets nothing or a dark corner.
    """
    direct = np.zeros((len(light_map.position), 3), np.float32)
    for lamp in lamps:
        _add_lamp(direct, light_map, tracer, lamp)
    glass = np.array([m.texture.startswith("window") for m in patches.materials])
    _add_sun(direct, light_map, tracer, sun, glass[patches.material])
    sample, patch = _gather_targets(light_map, light_uv, tracer)
    light = direct
    flat = light_map.image.reshape(-1, 3)
    for _ in range(BOUNCES):
        flat[light_map.pixel] = light[light_map.point] * albedo[light_map.patch]
        incoming = np.zeros_like(direct)
        for column in range(sample.shape[1]):
            incoming += np.where(patch[:, column, None] >= 0, flat[sample[:, column]], 0)
        light = direct + incoming / DIRECTIONS + ambient
    emission = np.array([m.emission for m in patches.materials], np.float32)[patches.material][light_map.patch]
    flat[light_map.pixel] = np.where(emission[:, None] > 0, emission[:, None], light[light_map.point])
    return light_map.image


def _add_lamp(direct: np.ndarray, light_map: LightMap, tracer: Tracer, lamp: Lamp) -> None:
    centre = lamp.points.mean(0).astype(np.float32)
    close = np.flatnonzero((np.abs(light_map.position - centre) < RANGE + 1).all(1))
    position, normal = light_map.position[close], light_map.normal[close]
    facing = None if lamp.facing is None else np.float32(lamp.facing) / np.float32(np.linalg.norm(lamp.facing))
    for point in lamp.points.astype(np.float32):
        way = point - position
        square = np.einsum("ij,ij->i", way, way)
        factor = np.einsum("ij,ij->i", way, normal)
        # Lambert's cosine over the square of the distance; lamps fade out smoothly at their range.
        distance = np.sqrt(square)
        factor *= np.clip(2 - 2 * distance / RANGE, 0, 1) / (distance * (square + 0.4))
        if facing is not None:
            factor *= np.maximum(-(way @ facing) / distance, 0.0)
        near = np.flatnonzero(factor > MINIMUM)
        lit = tracer.visible(position[near], way[near])
        direct[close[near]] += (factor[near] * lit / len(lamp.points))[:, None] * lamp.power.astype(np.float32)


def _add_sun(direct: np.ndarray, light_map: LightMap, tracer: Tracer, sun: Sun, windows: np.ndarray) -> None:
    """Sunlight reaches what sees the sun through one of the `windows` (bool per patch)."""
    towards = np.float32(sun.towards) / np.float32(np.linalg.norm(sun.towards))
    cosine = light_map.normal @ towards
    facing = np.flatnonzero(cosine > 0)
    hits = tracer.trace(light_map.position[facing], np.broadcast_to(towards, (len(facing), 3)).copy())
    lit = windows[hits.triangle // 2] & (hits.triangle >= 0)
    direct[facing] += (cosine[facing] * lit)[:, None] * np.float32(sun.power)


def _gather_targets(light_map: LightMap, light_uv: np.ndarray, tracer: Tracer) -> tuple[np.ndarray, np.ndarray]:
    """For every sample, what DIRECTIONS rays over its hemisphere meet: pixel of the light map and patch, -1 none."""
    n = light_map.normal
    helper = np.where(np.abs(n[:, 2:]) < 0.9, np.float32([0, 0, 1]), np.float32([1, 0, 0]))
    a = np.cross(helper, n)
    a /= np.linalg.norm(a, axis=1, keepdims=True)
    b = np.cross(n, a)
    pixels = np.zeros((len(n), DIRECTIONS), np.int32)
    patch = np.zeros((len(n), DIRECTIONS), np.int32)
    for index in range(DIRECTIONS):
        # Cosine-weighted spiral over the hemisphere.
        radius, angle = np.sqrt((index + 0.5) / DIRECTIONS), index * 2.399963
        x, y, z = radius * np.cos(angle), radius * np.sin(angle), np.sqrt(1 - radius**2)
        hits = tracer.trace(light_map.position, (x * a + y * b + z * n).astype(np.float32))
        xy = np.round(tracer.interpolate(light_uv, hits)).astype(np.int32)
        patch[:, index] = np.where(hits.triangle >= 0, hits.triangle // 2, -1)
        pixels[:, index] = np.clip(xy[:, 1], 0, light_map.height - 1) * WIDTH + np.clip(xy[:, 0], 0, WIDTH - 1)
    return pixels, patch

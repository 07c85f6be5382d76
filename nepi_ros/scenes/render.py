# SPDX-License-Identifier: Apache-2.0
"""Pictures of a world: which surface each pixel sees, and what light comes from it."""

from dataclasses import dataclass

import numpy as np

from nepi_ros.scenes.atlas import LEVELS, Atlas, remap
from nepi_ros.scenes.lighting import LightMap, bake
from nepi_ros.scenes.path import Pose
from nepi_ros.scenes.surfaces import SIZE
from nepi_ros.scenes.textures import make_textures
from nepi_ros.scenes.tracer import Hits, Tracer
from nepi_ros.scenes.world import World

FOCAL = 0.78  # focal length over picture width: 65 degrees
AMBIENT = np.array([0.02, 0.021, 0.023], np.float32)


@dataclass(frozen=True)
class Camera:
    """A pinhole camera: pixels and focal lengths in pixels, pixel centres at integer coordinates."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    @classmethod
    def of_size(cls, width: int, height: int) -> "Camera":
        """The patrol's camera at this resolution: square pixels, the optical axis in the middle."""
        return cls(width, height, FOCAL * width, FOCAL * width, (width - 1) / 2, (height - 1) / 2)

    def pixels(self) -> tuple[np.ndarray, np.ndarray]:
        """x and y of all pixels, row by row, float32 [width * height] each."""
        y, x = np.mgrid[0 : self.height, 0 : self.width].astype(np.float32)
        return x.ravel(), y.ravel()


class Renderer:
    """Tables of one world, ready to be looked at from anywhere."""

    def __init__(self, world: World, seed: int):
        patches = world.patches
        self.tracer = Tracer(patches)
        self.atlas = Atlas(make_textures(seed))
        texture = np.array([self.atlas.names[m.texture] for m in patches.materials])
        tint = np.array([m.tint for m in patches.materials], np.float32)
        self._texture = np.repeat(texture[patches.material], 2)
        self._tint = np.repeat(tint[patches.material], 2, axis=0) / 255
        self._gloss = np.repeat(np.array([m.gloss for m in patches.materials], np.float32)[patches.material], 2)
        self.label = np.repeat(patches.label, 2).astype(np.uint8)
        self.place = np.repeat(patches.place, 2).astype(np.uint8)
        self._uv = self.tracer.corner_table(patches.uv)
        self._density, self._normal = self._footprints(patches.corners)
        albedo = (tint * self.atlas.mean[texture]) ** 2
        self._light_map(world, albedo[patches.material])

    def _footprints(self, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Texels per metre and unit normal of every triangle."""
        triangles = corners.reshape(-1, 3)[self.tracer.faces]
        a, b = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
        normal = np.cross(a, b)
        area = np.linalg.norm(normal, axis=1)
        (u, v) = self._uv
        stretch = np.abs(u[1] * v[2] - u[2] * v[1])
        density = SIZE * np.sqrt(stretch / np.maximum(area, 1e-9))
        return density.astype(np.float32), (normal / np.maximum(area, 1e-9)[:, None]).T.astype(np.float32).copy()

    def _light_map(self, world: World, albedo: np.ndarray) -> None:
        patches = world.patches
        light_map = LightMap(patches)
        self._light_uv = self.tracer.corner_table(light_map.corner_uv(patches))
        self._light = bake(light_map, self._light_uv, patches, self.tracer, world.lamps, world.sun, albedo, AMBIENT)

    def rays(self, camera: Camera, pose: Pose, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Origins and directions float32 [n, 3] of the rays through pixels x, y; a direction is 1 m along the
        optical axis, so that the ray parameter is depth."""
        r = pose.rotation.astype(np.float32)
        a, b = ((x - camera.cx) / camera.fx)[:, None], ((y - camera.cy) / camera.fy)[:, None]
        directions = a * r[:, 0] + b * r[:, 1] + r[:, 2]
        origins = np.empty_like(directions)
        origins[:] = pose.position
        return origins, directions

    def shade(self, hits: Hits, origins: np.ndarray, directions: np.ndarray, pixel: float) -> np.ndarray:
        """Light float32 [n, 3] from what the rays hit; `pixel` is a pixel's width at 1 m."""
        t = hits.triangle
        normal = np.stack([column[t] for column in self._normal], axis=1)
        slant = np.einsum("ij,ij->i", normal, directions)
        light = self._matt(hits, np.abs(slant), pixel)
        glossy = np.flatnonzero(self._gloss[t] > 0)
        if len(glossy):
            light[glossy] += self._mirrored(
                hits.take(glossy), origins[glossy], directions[glossy], normal[glossy], pixel
            )
        return light

    def _matt(self, hits: Hits, slant: np.ndarray, pixel: float) -> np.ndarray:
        """Light that the hit surfaces scatter; `slant` [n] is direction times normal."""
        t = hits.triangle
        u, v = (c[0][t] + c[1][t] * hits.u + c[2][t] * hits.v for c in self._uv)
        x, y = (c[0][t] + c[1][t] * hits.u + c[2][t] * hits.v for c in self._light_uv)
        footprint = self._density[t] * hits.distance * (pixel * 0.8) / np.sqrt(np.maximum(slant, 0.02))
        level = np.clip(np.log2(np.maximum(footprint, 1.0)) + 0.3, 0, LEVELS - 1).astype(np.int32)
        colour = self.atlas.sample(self._texture[t], u, v, level) * self._tint[t]
        colour *= colour
        colour *= remap(self._light, x, y)
        return colour

    def _mirrored(
        self, hits: Hits, origins: np.ndarray, directions: np.ndarray, normal: np.ndarray, pixel: float
    ) -> np.ndarray:
        """Light that glossy surfaces mirror: Schlick's approximation of Fresnel's reflection, one bounce."""
        along = np.einsum("ij,ij->i", normal, directions)
        away = directions - (2 * along)[:, None] * normal
        start = origins + hits.distance[:, None] * directions + np.float32(0.002) * normal * -np.sign(along)[:, None]
        seen = self.tracer.trace(start, away)
        slant = np.abs(np.einsum("ij,ji->i", away, self._normal[:, seen.triangle]))
        cosine = np.abs(along) / np.linalg.norm(directions, axis=1)
        share = self._gloss[hits.triangle] * (0.04 + 0.96 * (1 - cosine) ** 5)
        return self._matt(seen, slant, pixel * 3) * share[:, None]

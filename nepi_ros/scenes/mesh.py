# SPDX-License-Identifier: Apache-2.0
"""Building surfaces: a scene is a list of four-cornered patches with material, class and place."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Material:
    """How a surface looks.

    Attributes:
        texture: Name of a texture.
        tint: Factor on the texture (square root of reflectance), red, green, blue.
        size: Metres that one repeat of the texture covers; 0 stretches the texture over each face once.
        emission: Light that the surface itself gives off; 0 for all but lamps, screens and windows.
        gloss: How polished the surface is: share of Fresnel's reflection that it shows, 0..1.
    """

    texture: str = "plain"
    tint: Colour = (0.8, 0.8, 0.8)
    size: float = 1.0
    emission: float = 0.0
    gloss: float = 0.0


@dataclass(frozen=True)
class Patches:
    """n patches as arrays: corners, normals [n, 4, 3], uv [n, 4, 2], nodes [n, 2] (light samples along each side),
    material, label, place [n]."""

    corners: np.ndarray
    normals: np.ndarray
    uv: np.ndarray
    nodes: np.ndarray
    material: np.ndarray
    label: np.ndarray
    place: np.ndarray
    materials: tuple[Material, ...]


class Builder:
    """Collects patches. `at` moves the frame in which the shapes below are given; `labelled` sets class and place."""

    def __init__(self, spacing: float = 0.16):
        self._spacing = spacing
        self._parts: list[tuple[np.ndarray, ...]] = []
        self._materials: dict[Material, int] = {}
        self._rotation, self._shift = np.eye(3), np.zeros(3)
        self._label = self._place = 0

    @contextmanager
    def at(self, x: float = 0.0, y: float = 0.0, z: float = 0.0, yaw: float = 0.0) -> Iterator[None]:
        """Inside the block, coordinates are relative to (x, y, z) and turned by `yaw` radians about z."""
        saved = self._rotation, self._shift
        c, s = np.cos(yaw), np.sin(yaw)
        self._shift = saved[1] + saved[0] @ np.array([x, y, z], float)
        self._rotation = saved[0] @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        yield
        self._rotation, self._shift = saved

    @contextmanager
    def labelled(self, label: int | None = None, place: int | None = None) -> Iterator[None]:
        """Inside the block, surfaces belong to class `label` and place `place` (None keeps what it was)."""
        saved = self._label, self._place
        self._label = self._label if label is None else label
        self._place = self._place if place is None else place
        yield
        self._label, self._place = saved

    def quad(self, corner: tuple, u: tuple, v: tuple, material: Material) -> None:
        """A parallelogram at `corner` with edges `u` and `v`; it faces along u x v."""
        corner, u, v = (np.asarray(a, float) for a in (corner, u, v))
        lengths = np.array([np.linalg.norm(u), np.linalg.norm(v)])
        normal = np.cross(u, v) / np.prod(lengths).clip(1e-12)
        corners = np.stack([corner, corner + u, corner + u + v, corner + v])
        scale = np.ones(2) if material.size == 0 else lengths / material.size
        # Texture rows run downwards, v runs upwards.
        uv = np.array([[0, 0], [1, 0], [1, -1], [0, -1]]) * scale + [0, 1 if material.size == 0 else 0]
        nodes = np.clip(np.ceil(lengths / self._spacing) + 1, 2, 120)
        self._add(corners[None], np.repeat(normal[None, None], 4, axis=1), uv[None], nodes[None], material)

    def box(
        self,
        low: tuple,
        high: tuple,
        material: Material,
        *,
        front: Material | None = None,
        top: Material | None = None,
        bottom: bool = False,
    ) -> None:
        """An upright box between two corners; `front` is the face towards -y. The bottom face only on demand."""
        (x0, y0, z0), (x1, y1, z1) = low, high
        dx, dy, dz = x1 - x0, y1 - y0, z1 - z0
        self.quad((x0, y0, z0), (dx, 0, 0), (0, 0, dz), front or material)
        self.quad((x1, y1, z0), (-dx, 0, 0), (0, 0, dz), material)
        self.quad((x1, y0, z0), (0, dy, 0), (0, 0, dz), material)
        self.quad((x0, y1, z0), (0, -dy, 0), (0, 0, dz), material)
        self.quad((x0, y0, z1), (dx, 0, 0), (0, dy, 0), top or material)
        if bottom:
            self.quad((x0, y1, z0), (dx, 0, 0), (0, -dy, 0), material)

    def grid(self, points: np.ndarray, normals: np.ndarray, material: Material) -> None:
        """A curved surface through points [m, n, 3] with outward normals [m, n, 3]."""

        def patch(a: np.ndarray) -> np.ndarray:
            quads = np.stack([a[:-1, :-1], a[:-1, 1:], a[1:, 1:], a[1:, :-1]], axis=2)
            return quads.reshape(-1, 4, a.shape[2])

        length_u = np.linalg.norm(np.diff(points, axis=1), axis=2).mean(0).cumsum()
        length_v = np.linalg.norm(np.diff(points, axis=0), axis=2).mean(1).cumsum()
        u, v = np.meshgrid(np.append(0, length_u), np.append(0, length_v))
        if material.size == 0:
            u, v = u / u.max(), v / v.max()
        uv = np.stack([u, -v], 2) / (material.size or 1.0)
        corners = patch(points)
        self._add(corners, patch(normals), patch(uv), np.full((len(corners), 2), 2), material)

    def tube(
        self,
        start: tuple,
        end: tuple,
        radii: Sequence[float],
        material: Material,
        *,
        sides: int = 8,
        flatten: float = 1.0,
        along: np.ndarray | None = None,
    ) -> None:
        """A round body along start -> end whose radius runs through `radii`, at the distances `along` or in even
        steps; `flatten` scales its second cross direction."""
        start, end = np.asarray(start, float), np.asarray(end, float)
        axis = end - start
        length = np.linalg.norm(axis)
        axis /= length
        helper = np.array([0.0, 1.0, 0.0]) if abs(axis[1]) < 0.9 else np.array([1.0, 0.0, 0.0])
        a = np.cross(helper, axis)
        a /= np.linalg.norm(a)
        b = np.cross(axis, a)
        angle = np.linspace(0, 2 * np.pi, sides + 1)
        ring = np.cos(angle)[:, None] * a + np.sin(angle)[:, None] * b * flatten
        out = np.cos(angle)[:, None] * a * flatten + np.sin(angle)[:, None] * b
        along = np.linspace(0, length, len(radii)) if along is None else along
        radius = np.asarray(radii, float)
        slope = np.gradient(radius, along)
        points = start + along[:, None, None] * axis + radius[:, None, None] * ring
        normals = out[None] - slope[:, None, None] * axis
        normals /= np.linalg.norm(normals, axis=2, keepdims=True)
        self.grid(points, normals, material)

    def ball(
        self,
        centre: tuple,
        radii: tuple[float, float, float],
        material: Material,
        *,
        rows: int = 6,
        sides: int = 8,
        low: float = -np.pi / 2,
        high: float = np.pi / 2,
    ) -> None:
        """An ellipsoid, or its part between two latitudes."""
        latitude, longitude = np.meshgrid(
            np.linspace(low, high, rows + 1), np.linspace(0, 2 * np.pi, sides + 1), indexing="ij"
        )
        unit = np.stack(
            [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)], 2
        )
        normals = unit / np.asarray(radii)
        normals /= np.linalg.norm(normals, axis=2, keepdims=True)
        self.grid(np.asarray(centre) + unit * np.asarray(radii), normals, material)

    def _add(
        self, corners: np.ndarray, normals: np.ndarray, uv: np.ndarray, nodes: np.ndarray, material: Material
    ) -> None:
        index = self._materials.setdefault(material, len(self._materials))
        corners = corners @ self._rotation.T + self._shift
        labels = np.full((len(corners), 3), (index, self._label, self._place))
        self._parts.append((corners, normals @ self._rotation.T, uv, nodes, labels))

    def build(self) -> Patches:
        """Everything collected so far."""
        corners, normals, uv, nodes, labels = (np.concatenate(part) for part in zip(*self._parts, strict=True))
        return Patches(
            corners.astype(np.float32),
            normals.astype(np.float32),
            uv.astype(np.float32),
            nodes.astype(np.int32),
            *labels.T.astype(np.int32),
            tuple(self._materials),
        )

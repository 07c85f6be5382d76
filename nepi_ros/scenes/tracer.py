# SPDX-License-Identifier: Apache-2.0
"""Rays against the scene's triangles, with Embree."""

from dataclasses import dataclass

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

from nepi_ros.scenes.mesh import Patches


@dataclass(frozen=True)
class Hits:
    """What n rays met: triangle [n] (-1 none), its barycentric coordinates u, v [n], and the ray parameter [n]."""

    triangle: np.ndarray
    u: np.ndarray
    v: np.ndarray
    distance: np.ndarray

    def take(self, which: np.ndarray) -> "Hits":
        """The hits of some of the rays."""
        return Hits(self.triangle[which], self.u[which], self.v[which], self.distance[which])


class Tracer:
    """The scene for Embree. Triangles 2 i and 2 i + 1 are the halves of patch i."""

    def __init__(self, patches: Patches):
        corners = patches.corners.reshape(-1, 3)
        first = 4 * np.arange(len(patches.corners))[:, None]
        self.faces = np.concatenate([first + [0, 1, 2], first + [0, 2, 3]], axis=1).reshape(-1, 3).astype(np.int32)
        self._scene = EmbreeScene()
        self._mesh = TriangleMesh(self._scene, np.ascontiguousarray(corners), self.faces)

    def corner_table(self, values: np.ndarray) -> np.ndarray:
        """Per-corner values [patches, 4, k] as a table [k, 3, triangles]: value at the first corner, and what the
        two barycentric coordinates add."""
        corners = values.reshape(-1, values.shape[2])[self.faces]
        table = np.stack([corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]])
        return np.ascontiguousarray(table.transpose(2, 0, 1).astype(np.float32))

    def trace(self, origins: np.ndarray, directions: np.ndarray) -> Hits:
        """The nearest hits of rays origins + t * directions (float32 [n, 3] each)."""
        found = self._scene.run(origins, directions, output=1)
        return Hits(found["primID"], found["u"], found["v"], found["tfar"])

    def visible(self, origins: np.ndarray, ways: np.ndarray) -> np.ndarray:
        """Whether nothing lies between `origins` and `origins + ways` (float32 [n, 3]); bool [n]."""
        found = self._scene.run(origins, ways, np.ones(len(ways), np.float32), query="OCCLUDED")
        return found < 0

    @staticmethod
    def interpolate(table: np.ndarray, hits: Hits) -> np.ndarray:
        """Values [n, k] of a corner table at the hits (whatever the last triangle has where nothing was hit)."""
        columns = [t[0][hits.triangle] + t[1][hits.triangle] * hits.u + t[2][hits.triangle] * hits.v for t in table]
        return np.stack(columns, axis=1)

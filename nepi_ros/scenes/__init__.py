# SPDX-License-Identifier: Apache-2.0
"""A deterministic indoor patrol: camera frames with depth, segmentation and place, made on the fly."""

from nepi_ros.scenes.labels import CLASSES, PALETTE, PLACES
from nepi_ros.scenes.patrol import Patrol, SceneFrame

__all__ = ["CLASSES", "PALETTE", "PLACES", "Patrol", "SceneFrame"]

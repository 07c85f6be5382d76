# SPDX-License-Identifier: Apache-2.0
"""How the picture moved since an earlier frame, and results moved with it. Without ROS.

Between two frames of a video hardly more changes than where the camera looks. So an earlier frame's results, moved as
the picture moved, may stand for a later one's (tracking between detections, as in Liu, Li and Gruteser, "Edge assisted
real-time object detection for mobile augmented reality", MobiCom 2019). Here the whole picture moves as one, by a
shift, a turn and a zoom: corners are followed from the one to the other (Lucas and Kanade, IJCAI 1981, in a pyramid),
and RANSAC finds the motion that most of them agree on. Where few agree, or the picture is another even when moved,
nothing is said. What is too small to be seen so, about a fortieth of the picture, goes unnoticed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

_WIDTH = 80  # pixels of a glimpse: as many as a result has places
_CORNERS = {"maxCorners": 120, "qualityLevel": 0.01, "minDistance": 4}
_FOLLOWING = {"winSize": (9, 9), "maxLevel": 3}
_LEAST_CORNERS = 12
_LEAST_SHARE = 0.3  # of an earlier frame's corners that must move alike
_WITHIN = 1.0  # pixels from where the motion puts them
_OTHER = 20  # grey levels by which a pixel is another one
_MOST_CHANGED = 0.1  # share of such pixels, and of what comes into view; chosen on training frames
_REGION = (11, 11)  # pixels, a fortieth of the picture
_MOST_CHANGED_THERE = 0.7  # share of other pixels in any such region: more is something that came or went


@dataclass(frozen=True, eq=False)
class Motion:
    """Where an earlier frame's picture lies in a later one: `matrix` float64 [2, 3] takes places there to places here,
    both across and down, 0 to 1 over the picture."""

    matrix: np.ndarray

    def moved(self, result: np.ndarray) -> np.ndarray:
        """A result [h, w] over the earlier frame, of any resolution, as it lies over the later one: each pixel the
        nearest, so that no value appears that was not there. What came into view, at most a tenth, takes that of the
        border."""
        height, width = result.shape
        places = _places(width, height)
        pixels = np.linalg.inv(places) @ _square(self.matrix) @ places
        return cv2.warpAffine(
            result, pixels[:2], (width, height), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE
        )


@dataclass(frozen=True, eq=False)
class Glimpse:
    """A small grey picture of a frame, uint8 [h, 80], enough to see how it moved."""

    grey: np.ndarray

    @classmethod
    def of(cls, rgb: np.ndarray) -> Glimpse:
        """Of a frame, RGB uint8 [H, W, 3], without a letterbox's bars: these never move."""
        height = max(1, round(_WIDTH * rgb.shape[0] / rgb.shape[1]))
        return cls(cv2.cvtColor(cv2.resize(rgb, (_WIDTH, height), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY))

    @cached_property
    def corners(self) -> np.ndarray:
        """Places that can be followed, float32 [N, 1, 2]."""
        found = cv2.goodFeaturesToTrack(self.grey, **_CORNERS)
        return np.empty((0, 1, 2), np.float32) if found is None else found

    def motion_to(self, later: Glimpse) -> Motion | None:
        """How the picture moved until a later frame; None where that is not known, or more than that has changed."""
        if self.grey.shape != later.grey.shape or len(self.corners) < _LEAST_CORNERS:
            return None
        # As bright as the earlier one, since cameras adapt.
        now = cv2.add(later.grey, float(self.grey.mean() - later.grey.mean()))
        there, found, _ = cv2.calcOpticalFlowPyrLK(self.grey, now, self.corners, None, **_FOLLOWING)
        kept = found[:, 0] == 1
        if np.count_nonzero(kept) < _LEAST_CORNERS:
            return None
        matrix, agree = cv2.estimateAffinePartial2D(self.corners[kept], there[kept], ransacReprojThreshold=_WITHIN)
        if matrix is None or np.count_nonzero(agree) < _LEAST_SHARE * len(kept) or self._changed(matrix, now):
            return None
        places = _places(*self.grey.shape[::-1])
        return Motion((places @ _square(matrix) @ np.linalg.inv(places))[:2])

    def _changed(self, matrix: np.ndarray, now: np.ndarray) -> bool:
        """Whether a later picture is another one than this one moved: much of it, one region, or much is new."""
        size = self.grey.shape[::-1]
        moved = cv2.warpAffine(self.grey, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        known = cv2.warpAffine(np.ones_like(self.grey), matrix, size, flags=cv2.INTER_NEAREST)
        other = (cv2.absdiff(moved, now) > _OTHER).astype(np.float32)
        shares = float(other.mean()), 1.0 - float(known.mean())
        return max(shares) > _MOST_CHANGED or cv2.blur(other * known, _REGION).max() > _MOST_CHANGED_THERE


def _places(width: int, height: int) -> np.ndarray:
    """Takes pixels (the middle of the first is at 0) to places, 0 to 1 over the picture: [3, 3]."""
    return np.array([[1 / width, 0, 0.5 / width], [0, 1 / height, 0.5 / height], [0, 0, 1]])


def _square(matrix: np.ndarray) -> np.ndarray:
    return np.vstack([matrix, [0, 0, 1]])

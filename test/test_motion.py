# SPDX-License-Identifier: Apache-2.0
"""How a picture moved is found, or nothing is said, and results move with it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from tiny_bundle import tiny_frames

from nepi_ros.motion import Glimpse, Motion

SCENE = cv2.resize(tiny_frames(1, 160, 120, seed=4)[0], (640, 480), interpolation=cv2.INTER_CUBIC)
OTHER = tiny_frames(1, 640, 480, seed=9)[0]


def seen(turn_deg: float = 0.0, zoom: float = 1.0, across: float = 0.0, down: float = 0.0) -> np.ndarray:
    """The scene with the camera turned about its axis, zoomed and moved by so many pixels."""
    matrix = cv2.getRotationMatrix2D((320, 240), turn_deg, zoom) + [[0, 0, across], [0, 0, down]]
    return cv2.warpAffine(SCENE, matrix, (640, 480), borderMode=cv2.BORDER_REPLICATE)


@pytest.mark.parametrize(
    "change", [{}, {"across": 24, "down": -12}, {"turn_deg": 2.0}, {"zoom": 1.04}, {"turn_deg": -1, "across": -16}]
)
def test_results_move_as_the_picture_did(change: dict[str, float]) -> None:
    later = seen(**change)
    motion = Glimpse.of(SCENE).motion_to(Glimpse.of(later))
    for size in ((160, 120), (640, 480)):
        there, here = (cv2.resize(image[..., 1], size, interpolation=cv2.INTER_AREA) for image in (SCENE, later))
        moved = motion.moved(there)
        assert moved.shape == there.shape and set(np.unique(moved)) <= set(np.unique(there))
        assert error(moved, here) < 3.0 and (not change or error(moved, here) < 0.5 * error(there, here))


def error(result: np.ndarray, truth: np.ndarray) -> float:
    """Mean difference away from the border."""
    height, width = (side // 10 for side in truth.shape)
    return float(np.abs(result.astype(float) - truth)[height:-height, width:-width].mean())


@pytest.mark.parametrize("type_", [np.uint8, np.float32])
def test_labels_and_metres_are_moved_by_whole_values(type_: type) -> None:
    result = np.arange(12, dtype=type_).reshape(3, 4)
    right = Motion(np.array([[1.0, 0, 0.25], [0, 1, 0]])).moved(result)
    assert right.dtype == type_ and right.tolist() == [[0, 0, 1, 2], [4, 4, 5, 6], [8, 8, 9, 10]]


def test_half_a_turn_is_exact() -> None:
    result = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert np.array_equal(Motion(np.array([[-1.0, 0, 1], [0, -1, 1]])).moved(result), result[::-1, ::-1])


def test_a_picture_that_only_became_brighter_moved() -> None:
    brighter = np.clip(seen(across=8).astype(int) + 25, 0, 255).astype(np.uint8)
    motion = Glimpse.of(SCENE).motion_to(Glimpse.of(brighter))
    assert motion is not None and motion.matrix[0, 2] == pytest.approx(8 / 640, abs=0.005)


def with_visitor(side: int) -> np.ndarray:
    """The scene with somebody in it who is so many pixels high and wide."""
    image = SCENE.copy()
    image[100 : 100 + side, 200 : 200 + side] ^= 128
    return image


@pytest.mark.parametrize(
    "later",
    [OTHER, with_visitor(240), with_visitor(110), np.full_like(SCENE, 90), SCENE[:, :320].copy(), seen(across=300)],
)
def test_of_another_picture_nothing_is_said(later: np.ndarray) -> None:
    assert Glimpse.of(SCENE).motion_to(Glimpse.of(later)) is None
    assert Glimpse.of(later).motion_to(Glimpse.of(SCENE)) is None


@pytest.mark.parametrize("pixels", [48, 80])
def test_no_more_than_a_tenth_may_have_come_into_view(pixels: int) -> None:
    plain = cv2.GaussianBlur(SCENE, (0, 0), 3)
    plain[:, 480:] = 120  # of which a repeated border would look alike
    now = np.roll(plain, -pixels, axis=1)
    now[:, -pixels:] = 120
    assert (Glimpse.of(plain).motion_to(Glimpse.of(now)) is not None) == (pixels < 64)


def test_corners_that_move_each_their_own_way_are_no_motion() -> None:
    random = np.random.default_rng(1)
    stars = [random.integers(8, (632, 472)) for _ in range(90)]

    def sky(spread: int) -> np.ndarray:
        """Stars in front of grey, each so far from its place."""
        image = np.full_like(SCENE, 120)
        for x, y in stars:
            dx, dy = random.integers(-spread, spread + 1, 2)
            cv2.circle(image, (int(x + dx), int(y + dy)), 5, (160, 160, 160), -1)
        return image

    assert Glimpse.of(sky(0)).motion_to(Glimpse.of(sky(0))) is not None
    assert Glimpse.of(sky(0)).motion_to(Glimpse.of(sky(32))) is None


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 500, 3), (500, 1, 3)])
def test_no_shape_is_too_odd(shape: tuple[int, ...]) -> None:
    glimpse = Glimpse.of(np.random.default_rng(0).integers(0, 256, shape, np.uint8))
    assert glimpse.motion_to(glimpse) is None or np.allclose(glimpse.motion_to(glimpse).matrix, np.eye(2, 3), atol=0.02)

# SPDX-License-Identifier: Apache-2.0
"""The letterbox, and that a result's pixel lies over the source's at the same relative place."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from nepi_ros.letterbox import BAR, Letterbox

SIZES = [(640, 480), (480, 640), (1280, 720), (1920, 1080), (320, 240), (321, 239), (100, 7), (7, 100)]
SIZES += [(16384, 1), (1, 1)]
INPUTS = [(320, 240), (320, 192), (224, 224), (225, 161)]


@pytest.mark.parametrize("source", SIZES)
@pytest.mark.parametrize("size", INPUTS)
class TestContent:
    def test_is_whole_symmetric_and_inside(self, source: tuple[int, int], size: tuple[int, int]) -> None:
        x, y, width, height = Letterbox(source, size).content
        assert x >= 0 and y >= 0 and width >= 1 and height >= 1
        assert (2 * x + width, 2 * y + height) == size
        # One direction is filled, but for a column or row that the other parity of bars costs.
        assert x == 0 or y == 0

    def test_keeps_the_aspect(self, source: tuple[int, int], size: tuple[int, int]) -> None:
        _, _, width, height = Letterbox(source, size).content
        scale = min(size[0] / source[0], size[1] / source[1])
        assert abs(width - source[0] * scale) <= 2 and abs(height - source[1] * scale) <= 2

    def test_apply(self, source: tuple[int, int], size: tuple[int, int]) -> None:
        image = np.full((source[1], source[0], 3), 200, np.uint8)
        box = Letterbox(source, size)
        placed = box.apply(image)
        x, y, width, height = box.content
        assert placed.shape == (size[1], size[0], 3) and placed.dtype == np.uint8
        inside = np.zeros(placed.shape[:2], bool)
        inside[y : y + height, x : x + width] = True
        assert (placed[inside] == 200).all() and (placed[~inside] == BAR).all()

    def test_crop_at_the_inputs_size_gives_the_content(self, source: tuple[int, int], size: tuple[int, int]) -> None:
        box = Letterbox(source, size)
        x, y, width, height = box.content
        labels = np.arange(size[0] * size[1], dtype=np.int32).reshape(size[1], size[0])
        assert np.array_equal(box.crop(labels), labels[y : y + height, x : x + width])


def test_fits_as_it_is() -> None:
    image = np.zeros((240, 320, 3), np.uint8)
    assert Letterbox((320, 240), (320, 240)).apply(image) is image


def test_wrong_image_is_refused() -> None:
    with pytest.raises(ValueError, match="100"):
        Letterbox((320, 240), (64, 48)).apply(np.zeros((100, 100, 3), np.uint8))
    with pytest.raises(ValueError, match="no letterbox"):
        Letterbox((0, 240), (64, 48))


@pytest.mark.parametrize("resolution", [(320, 192), (160, 96), (80, 48), (53, 31), (640, 384)])
@pytest.mark.parametrize("size", [None, (160, 120), (640, 480), (77, 51)])
def test_a_result_lies_over_the_source(resolution: tuple[int, int], size: tuple[int, int] | None) -> None:
    """A gradient of the source's own coordinates comes back as the coordinates of the result."""
    box = Letterbox((640, 480), (320, 192))
    x, y, width, height = box.content
    # What a perfect network says at each of its pixels: the relative place in the source.
    u = ((np.arange(resolution[0]) + 0.5) * 320 / resolution[0] - x) / width
    v = ((np.arange(resolution[1]) + 0.5) * 192 / resolution[1] - y) / height
    for plane, axis in ((np.tile(u, (len(v), 1)), 0), (np.tile(v[:, None], (1, len(u))), 1)):
        cropped = box.crop(plane.astype(np.float32), size)
        if size is not None:
            assert cropped.shape == size[::-1]
        count = cropped.shape[1 - axis]
        expected = (np.arange(count) + 0.5) / count
        got = cropped.mean(axis=axis)
        # Interpolation steps are 1/32 pixel; without a size its edges may fall within a pixel.
        tolerance = 0.05 / resolution[axis] if size else 0.6 / count
        inner = slice(count // 8, -count // 8)
        assert np.abs(got - expected)[inner].max() < tolerance


def test_labels_are_not_mixed() -> None:
    box = Letterbox((640, 360), (320, 240))
    labels = np.zeros((60, 80), np.uint8)
    labels[:, 40:] = 9
    cropped = box.crop(labels, (333, 187))
    assert set(np.unique(cropped)) == {0, 9}
    assert abs((cropped == 9).mean() - 0.5) < 0.01


def test_bars_do_not_leak_into_the_result() -> None:
    box = Letterbox((640, 360), (320, 240))
    network = np.full((60, 80), 100.0, np.float32)
    network[:7], network[-7:] = np.nan, np.nan  # the content begins in the middle of row 7
    assert (box.crop(network, (160, 90)) == 100.0).all()


def test_shrinking_averages() -> None:
    """A pattern of single pixels becomes grey rather than moire."""
    image = np.zeros((480, 640, 3), np.uint8)
    image[::2] = 255
    placed = Letterbox((640, 480), (160, 120)).apply(image)
    assert np.abs(placed.astype(int) - 128).max() <= 1


def test_enlarging_is_smooth() -> None:
    image = cv2.merge([np.tile(np.array([0, 100], np.uint8), (2, 1))] * 3)
    placed = Letterbox((2, 2), (8, 8)).apply(image)
    assert (np.diff(placed[0, :, 0].astype(int)) >= 0).all() and len(np.unique(placed)) > 2

# SPDX-License-Identifier: Apache-2.0
"""Label maps and depth maps as bytes: exact, small, and nothing else is taken for one."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from nepi_ros.errors import ImageError
from nepi_ros.result_code import DEPTH_LEVELS, depth_levels, pack_depth, pack_labels, unpack_depth, unpack_labels

LABELS = np.kron(np.arange(12, dtype=np.uint8).reshape(3, 4), np.ones((10, 10), np.uint8))


def room(width: int, height: int) -> np.ndarray:
    """Depth of a tilted floor, a wall and a box in front of it, in metres."""
    y, x = np.mgrid[0:height, 0:width] / [[[height]], [[width]]]
    floor = 1.2 / np.maximum(y - 0.4, 1e-3)
    wall = 3.0 + 0.8 * x
    box = np.where((abs(x - 0.6) < 0.15) & (y > 0.35) & (y < 0.7), 1.6 + 0.1 * x, np.inf)
    return np.minimum(np.minimum(floor, wall), box).astype(np.float32)


def webp(pixels: np.ndarray, quality: int = 101) -> bytes:
    return cv2.imencode(".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, quality])[1].tobytes()


class TestDepth:
    @pytest.mark.parametrize("levels", [2, 64, 255])
    def test_error_is_half_a_level(self, levels: int) -> None:
        depth = np.linspace(0.4, 8.0, 4800, dtype=np.float32).reshape(60, 80)
        back = unpack_depth(pack_depth(depth, 0.4, 8.0, levels))
        allowed = (1 / 0.4 - 1 / 8.0) / (levels - 1) / 2
        assert np.abs(1 / back - 1 / depth).max() <= allowed * 1.001 + 1e-5

    def test_documented_error(self) -> None:
        for metres, share in ((1.0, 0.005), (4.0, 0.02)):
            depth = np.linspace(metres * 0.95, metres, 4800, dtype=np.float32).reshape(60, 80)
            back = unpack_depth(pack_depth(depth, 0.4, 8.0))
            assert np.abs(back / depth - 1).max() <= share

    def test_what_is_no_reading_stays_none(self) -> None:
        depth = np.array([[np.nan, np.inf, -np.inf, 0.0], [-1.0, 0.1, 20.0, 2.0]], np.float32)
        back = unpack_depth(pack_depth(depth, 0.4, 8.0))
        assert np.isnan(back[0]).all() and np.isnan(back[1, 0])
        np.testing.assert_allclose(back[1, 1:], [0.4, 8.0, 2.0], rtol=0.01)

    @pytest.mark.parametrize(("size", "most"), [((80, 60), 250), ((160, 120), 400)])
    def test_planes_are_small(self, size: tuple[int, int], most: int) -> None:
        assert len(pack_depth(room(*size), 0.4, 8.0)) <= most

    def test_real_depth_is_small(self, shared_data: Path) -> None:
        """Depth of a room as smooth as a network gives it: holes filled, noise averaged away."""
        sizes = []
        for path in sorted((shared_data / "kitchen" / "val").glob("*.depth.png"))[::30]:
            depth = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            depth = cv2.inpaint(depth, (depth == 0).astype(np.uint8), 3, cv2.INPAINT_NS).astype(np.float32) / 1000
            depth = cv2.resize(cv2.GaussianBlur(depth, (0, 0), 3), (80, 60), interpolation=cv2.INTER_AREA)
            sizes.append(len(pack_depth(depth, 0.4, 8.0)))
        assert np.mean(sizes) < 1400

    def test_a_smaller_map_has_fewer_levels(self) -> None:
        assert depth_levels(1.0) == DEPTH_LEVELS and depth_levels(0.25) == 64

    @pytest.mark.parametrize(("low", "high", "levels"), [(0, 8, 9), (8, 8, 9), (1, np.inf, 9), (1, 8, 1), (1, 8, 256)])
    def test_senseless_ranges_are_refused(self, low: float, high: float, levels: int) -> None:
        with pytest.raises(ValueError):
            pack_depth(room(8, 6), low, high, levels)

    @pytest.mark.parametrize(
        "packed",
        [
            b"",
            bytes(7),
            bytes(100),
            struct.pack("<ff", 1.0, 0.0),
            struct.pack("<ff", np.nan, 0.0) + webp(LABELS),
            struct.pack("<ff", 1.0, np.inf) + webp(LABELS),
            struct.pack("<ff", -1.0, 0.0) + webp(LABELS),
            struct.pack("<ff", 1.0, 0.0) + b"\xff" * 100,
            struct.pack("<ff", 1.0, 0.0) + webp(LABELS)[:-9],
        ],
    )
    def test_what_is_no_depth_is_refused(self, packed: bytes) -> None:
        with pytest.raises(ImageError):
            unpack_depth(packed)

    def test_hostile_parameters_give_no_infinities(self) -> None:
        values = np.arange(16, dtype=np.uint8).reshape(4, 4)
        back = unpack_depth(struct.pack("<ff", 1.0, 5.0) + webp(values))
        assert np.isnan(back.flat[5]) and (np.isnan(back) | (back > 0)).all()


class TestLabels:
    def test_back_and_forth(self) -> None:
        assert np.array_equal(unpack_labels(pack_labels(LABELS)), LABELS)
        assert np.array_equal(unpack_labels(pack_labels(LABELS[:, ::2])), LABELS[:, ::2])

    @pytest.mark.parametrize("size", [(1, 1), (1, 640), (640, 1), (33, 47)])
    def test_every_id_survives(self, size: tuple[int, int]) -> None:
        labels = np.random.default_rng(0).integers(0, 256, size, np.uint8)
        assert np.array_equal(unpack_labels(pack_labels(labels)), labels)

    def test_is_smaller_than_png(self) -> None:
        labels = (room(160, 120) < 2.5).astype(np.uint8) + (room(160, 120) < 1.8)
        assert len(pack_labels(labels)) < 0.8 * len(cv2.imencode(".png", labels, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1])

    @pytest.mark.parametrize("packed", [b"", b"RIFF", bytes(100), webp(LABELS)[:30], webp(LABELS, quality=80)])
    def test_what_is_no_label_map_is_refused(self, packed: bytes) -> None:
        with pytest.raises(ImageError):
            unpack_labels(packed)

    def test_a_size_that_is_claimed_costs_nothing(self) -> None:
        packed = bytearray(webp(LABELS))
        packed[21:25] = b"\xff\xff\xff\x0f"
        with pytest.raises(ImageError, match="claims 16384 x 16384"):
            unpack_labels(packed)


@pytest.mark.parametrize(
    "unpack", [unpack_labels, lambda packed: unpack_depth(pack_depth(room(2, 2), 0.4, 8.0)[:8] + packed)]
)
def test_more_pixels_than_any_result_has_are_refused_before_they_are_decoded(unpack):
    small = pack_labels(np.zeros((2, 2), np.uint8))
    sides = (4097 - 1) | (4096 - 1) << 14  # as a WebP file has them, behind its first 21 bytes
    with pytest.raises(ImageError, match="claims 4097 x 4096 pixels, at most 16777216"):
        unpack(small[:21] + sides.to_bytes(4, "little") + small[25:])

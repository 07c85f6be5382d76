# SPDX-License-Identifier: Apache-2.0
"""The built-in scenes: repeatable, geometrically true, continuous, and written as a data folder."""

import csv
import json

import cv2
import numpy as np
import pytest

from nepi_ros.errors import ConfigError
from nepi_ros.scenes import CLASSES, PALETTE, PLACES, Patrol, SceneFrame
from nepi_ros.scenes.__main__ import main
from nepi_ros.scenes.export import depth_millimetres, export
from nepi_ros.scenes.layout import CORRIDOR_HALF_WIDTH, CORRIDOR_HEIGHT, CORRIDOR_LENGTH
from nepi_ros.scenes.world import make_world

SIZE = (160, 120)


@pytest.fixture(scope="module")
def patrol() -> Patrol:
    return Patrol(*SIZE, seed=0)


def assert_same(a: SceneFrame, b: SceneFrame) -> None:
    np.testing.assert_array_equal(a.rgb, b.rgb)
    np.testing.assert_array_equal(a.depth, b.depth)
    np.testing.assert_array_equal(a.segmentation, b.segmentation)
    assert a.place == b.place


def directions(patrol: Patrol, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Camera position [3] and, per pixel, the world direction [h, w, 3] of 1 m along the optical axis."""
    pose = patrol.pose(index)
    y, x = np.mgrid[0 : patrol.height, 0 : patrol.width]
    rays = np.stack([(x - patrol.cx) / patrol.fx, (y - patrol.cy) / patrol.fy, np.ones(x.shape)], 2)
    return pose.position, rays @ pose.rotation.T


def in_corridor(patrol: Patrol) -> list[int]:
    """Frames in which the camera stands well inside the corridor."""
    positions = np.array([patrol.pose(index).position for index in range(0, patrol.length, 50)])
    inside = (np.abs(positions[:, 1]) < 0.8) & (positions[:, 0] > 0.5) & (positions[:, 0] < CORRIDOR_LENGTH - 0.5)
    return [int(index) * 50 for index in np.flatnonzero(inside)]


def test_frame_has_the_promised_shapes_and_types(patrol: Patrol) -> None:
    frame = patrol.frame(7)
    width, height = SIZE
    assert frame.rgb.shape == (height, width, 3) and frame.rgb.dtype == np.uint8
    assert frame.depth.shape == (height, width) and frame.depth.dtype == np.float32
    assert frame.segmentation.shape == (height, width) and frame.segmentation.dtype == np.uint8
    assert isinstance(frame.place, int)
    assert len(PALETTE) == len(CLASSES)


def test_frames_do_not_depend_on_the_order_of_asking(patrol: Patrol) -> None:
    indices = [100, 101, 102, 2500]
    forwards = [patrol.frame(index) for index in indices]
    backwards = [patrol.frame(index) for index in reversed(indices)][::-1]
    for a, b in zip(forwards, backwards, strict=True):
        assert_same(a, b)


def test_same_seed_gives_the_same_frames_in_another_instance(patrol: Patrol) -> None:
    again = Patrol(*SIZE, seed=0)
    for index in (3, 1234):
        assert_same(patrol.frame(index), again.frame(index))


def test_seeds_furnish_differently() -> None:
    a, b = make_world(0).patches, make_world(1).patches
    assert a.corners.shape != b.corners.shape or not np.allclose(a.corners, b.corners)


def test_path_is_a_closed_loop(patrol: Patrol) -> None:
    assert 3000 <= patrol.length <= 6000
    assert_same(patrol.frame(5), patrol.frame(5 + patrol.length))
    assert_same(patrol.frame(-1), patrol.frame(patrol.length - 1))


def test_camera_moves_smoothly_at_walking_speed(patrol: Patrol) -> None:
    poses = [patrol.pose(index) for index in range(patrol.length + 1)]
    position = np.array([pose.position for pose in poses])
    rotation = np.array([pose.rotation for pose in poses])
    np.testing.assert_allclose(
        rotation @ rotation.transpose(0, 2, 1), np.broadcast_to(np.eye(3), rotation.shape), atol=1e-9
    )
    speed = np.linalg.norm(np.diff(position[:, :2], axis=0), axis=1) * patrol.rate
    assert 0.3 < speed.min() and speed.max() < 0.8
    turn = np.einsum("nij,nij->n", rotation[1:], rotation[:-1])
    degrees = np.rad2deg(np.arccos(np.clip((turn - 1) / 2, -1, 1)))
    assert degrees.max() * patrol.rate < 90


@pytest.mark.parametrize("label, height", [("floor", 0.0), ("ceiling", CORRIDOR_HEIGHT)])
def test_depth_of_floor_and_ceiling_is_where_they_are(patrol: Patrol, label: str, height: float) -> None:
    for index in in_corridor(patrol)[::5]:
        origin, rays = directions(patrol, index)
        with np.errstate(divide="ignore"):
            truth = (height - origin[2]) / rays[..., 2]
        point = origin + truth[..., None] * rays
        inside = (np.abs(point[..., 1]) < CORRIDOR_HALF_WIDTH - 0.01) & (point[..., 0] > 0.01)
        inside &= (point[..., 0] < CORRIDOR_LENGTH - 0.01) & (truth > 0)
        frame = patrol.frame(index)
        mask = inside & (frame.segmentation == CLASSES.index(label))
        # Lamps count as ceiling and hang a little below it.
        tolerance = 0.002 if label == "floor" else 0.15
        error = np.abs(frame.depth - truth)[mask]
        assert not len(error) or np.median(error) < 0.002
        assert (error < tolerance * np.maximum(1, truth[mask])).all()


def test_depth_of_the_corridor_walls_is_where_they_are(patrol: Patrol) -> None:
    checked = 0
    for index in in_corridor(patrol)[::5]:
        origin, rays = directions(patrol, index)
        frame = patrol.frame(index)
        for side in (-CORRIDOR_HALF_WIDTH, CORRIDOR_HALF_WIDTH):
            with np.errstate(divide="ignore"):
                truth = (side - origin[1]) / rays[..., 1]
            point = origin + truth[..., None] * rays
            hit = (truth > 0) & (point[..., 0] > 0) & (point[..., 0] < CORRIDOR_LENGTH)
            hit &= (point[..., 2] > 0) & (point[..., 2] < CORRIDOR_HEIGHT)
            # Not what is seen through the doors behind the wall, nor the pictures in front of it.
            hit &= (frame.segmentation == CLASSES.index("wall")) & (np.abs(frame.depth - truth) < 0.03 * truth)
            checked += hit.sum()
            if hit.any():
                assert np.median(np.abs(frame.depth - truth)[hit]) < 0.001
    assert checked > 1000


def test_all_pixels_have_depth_and_a_class(patrol: Patrol) -> None:
    seen = np.zeros(len(CLASSES), int)
    for index in range(0, patrol.length, patrol.length // 40):
        frame = patrol.frame(index)
        assert np.isfinite(frame.depth).all() and 0.15 < frame.depth.min() and frame.depth.max() < 30
        assert np.median(frame.depth) < 12
        assert frame.rgb.std() > 5
        seen += np.bincount(frame.segmentation.ravel(), minlength=len(CLASSES))
    assert len(seen) == len(CLASSES) and (seen > 0).all()


def test_walk_passes_every_place_once(patrol: Patrol) -> None:
    places = [patrol.frame(index).place for index in range(0, patrol.length, 30)]
    assert set(places) == set(range(len(PLACES)))
    changes = sum(a != b for a, b in zip(places, places[1:] + places[:1], strict=True))
    assert changes == 2 * (len(PLACES) - 1)


def test_neighbouring_frames_look_alike(patrol: Patrol) -> None:
    for index in (50, 1500, patrol.length - 1):
        now, then, later = (patrol.frame(index + step) for step in (0, 1, 150))
        near = np.median(np.abs(now.depth - then.depth) / now.depth)
        far = np.median(np.abs(now.depth - later.depth) / now.depth)
        assert near < 0.05 and near < far
        assert (now.segmentation == then.segmentation).mean() > 0.9


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(ConfigError, match="0x240"):
        Patrol(width=0)


def test_export_writes_the_layout_of_a_data_folder_and_goes_on(patrol: Patrol, tmp_path) -> None:
    assert export(patrol, tmp_path, [0, 600]) == 2
    stamp = (tmp_path / "frame-000000.color.jpg").stat().st_mtime_ns
    (tmp_path / "frame-000600.color.jpg").unlink()
    assert export(patrol, tmp_path, [0, 600, 1200]) == 2
    assert (tmp_path / "frame-000000.color.jpg").stat().st_mtime_ns == stamp
    frame = patrol.frame(600)
    depth = cv2.imread(str(tmp_path / "frame-000600.depth.png"), cv2.IMREAD_UNCHANGED)
    assert depth.dtype == np.uint16
    np.testing.assert_allclose(depth / 1000, frame.depth, atol=0.0006)
    label = cv2.imread(str(tmp_path / "frame-000600.segmentation.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(label, frame.segmentation)
    colour = cv2.imread(str(tmp_path / "frame-000600.color.jpg"))[..., ::-1]
    assert np.abs(colour.astype(int) - frame.rgb).mean() < 3
    with (tmp_path / "places.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["frame"] for row in rows] == ["frame-000000", "frame-000600", "frame-001200"]
    assert int(rows[1]["place"]) == frame.place
    about = json.loads((tmp_path / "set.json").read_text())
    assert about["registered"] is True and about["classes"] == list(CLASSES) and about["places"] == list(PLACES)
    assert about["intrinsics"]["fx"] == patrol.fx
    assert not list(tmp_path.glob("*.part"))


def test_export_refuses_a_folder_of_other_scenes(patrol: Patrol, tmp_path) -> None:
    (tmp_path / "set.json").write_text("{}")
    with pytest.raises(ConfigError, match="set.json"):
        export(patrol, tmp_path, [0])


def test_depth_without_reading_is_zero() -> None:
    np.testing.assert_array_equal(depth_millimetres(np.float32([[np.inf, 1.2344, 70.0]])), [[0, 1234, 65535]])


def test_command_writes_frames(tmp_path, capsys: pytest.CaptureFixture) -> None:
    assert (
        main(["--out", str(tmp_path / "set"), "--frames", "2", "--step", "9", "--width", "64", "--height", "48"]) == 0
    )
    assert "2 frames" in capsys.readouterr().out
    assert (tmp_path / "set" / "frame-000009.depth.png").exists()


def test_command_without_a_folder_says_what_to_do(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        main([])
    assert "--out" in capsys.readouterr().err

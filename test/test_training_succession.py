# SPDX-License-Identifier: Apache-2.0
"""Which training frames the tables for films are fitted to."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs torch; install the train extra")

from nepi_ros.datasets import FrameSet  # noqa: E402
from nepi_ros.training.data import FrameSets  # noqa: E402
from nepi_ros.training.succession import all_pairs, pairs_by_pace  # noqa: E402


def test_pairs_are_of_frames_that_follow_one_another():
    runs = [tuple(range(60)), (60,), tuple(range(70, 130))]
    paces = pairs_by_pace(runs)
    assert [{now - before for now, before in pace} for pace in paces] == [{1}, {2, 3}, {5, 8}]
    assert all((now < 60) == (before < 60) and now != 60 for pace in paces for now, before in pace)
    assert len(all_pairs(paces)) == sum(map(len, paces)) > 500


@pytest.mark.parametrize("runs", [[], [(0,), (1,)], [(0, 1)] * 100, [tuple(range(12))]])
def test_too_few_pairs_are_none(runs):
    assert pairs_by_pace(runs) == [] and all_pairs([]) == []


def write_set(folder, numbers):
    folder.mkdir()
    for number in numbers:
        cv2.imwrite(str(folder / f"{number:03d}.png"), np.zeros((8, 8, 3), np.uint8))
    return FrameSet.open(folder)


def test_runs_do_not_reach_from_one_folder_into_another(tmp_path):
    found = FrameSets((write_set(tmp_path / "a", [1, 2, 3, 4, 5, 9]), write_set(tmp_path / "b", range(6, 12))))
    assert found.runs() == [(0, 1, 2, 3, 4), (5,), (6, 7, 8, 9, 10, 11)]
    assert FrameSets((write_set(tmp_path / "c", range(1, 40, 3)),)).runs(step=3) == [tuple(range(13))]


def test_photographs_whose_numbers_happen_to_follow_are_no_video(tmp_path):
    numbers = [*range(1, 30, 2), *range(40, 46)]
    assert FrameSets((write_set(tmp_path / "photographs", numbers),)).runs() == []

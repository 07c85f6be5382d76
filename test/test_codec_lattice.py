# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from nepi_ros.codec.lattice import lattice


@pytest.mark.parametrize("height", [1, 2, 3, 8])
@pytest.mark.parametrize("width", [1, 2, 5, 8])
def test_every_place_is_coded_once_after_its_neighbours(height, width):
    grid = lattice(height, width)
    assert sorted(grid.order) == list(range(height * width))
    done = 0
    for stage in grid.stages:
        assert stage.places.start == done
        done = stage.places.stop
        if stage.neighbours is not None:
            assert stage.neighbours.shape == (done - stage.places.start, 4)
            assert stage.neighbours.min() >= 0 and stage.neighbours.max() < stage.places.start
            distance = (
                place(grid, stage.neighbours, width)
                - place(grid, np.arange(height * width)[stage.places], width)[:, None]
            )
            assert (np.abs(distance).max(axis=2) == 1).all()
            assert (np.abs(distance).sum(axis=2) == (1 if stage.direct else 2)).all()
    assert done == height * width


def place(grid, numbers, width):
    return np.stack(np.divmod(grid.order[numbers], width), axis=-1)


def test_stages_are_kept_and_shared():
    assert lattice(15, 20) is lattice(15, 20)

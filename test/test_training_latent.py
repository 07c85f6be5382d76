# SPDX-License-Identifier: Apache-2.0
"""Layers on maps, and the flat latents that the entropy coder takes them for."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch; install the train extra")

from nepi_ros.codec import LayeredCoder, LayerShape, fit_tables  # noqa: E402
from nepi_ros.errors import ConfigError  # noqa: E402
from nepi_ros.training.latent import CELLS, LatentLayout, grid  # noqa: E402

SIZE = (240, 176)  # of which no coarse cell is a whole part
# Layers of one map lie apart, so that their order matters.
LAYOUT = LatentLayout.of("2/16, 3/whole, 1/64, 1/32, 1/16, 1/whole")


def random_maps(frames: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randint(-3, 4, (frames, LAYOUT.channels(cell), *grid(cell, SIZE)), generator=generator).float()
        for cell in CELLS
    ]


def test_layers_are_read_in_the_order_written():
    layout = LatentLayout.of("4/whole, 2 x 1/64,8x2/16")
    assert layout.layers == ((4, 0), (1, 64), (1, 64)) + ((2, 16),) * 8
    assert LatentLayout.of(layout.text) == layout


@pytest.mark.parametrize("text", ["", "4", "4/48", "1/16;1/16", "0 x 1/16", "-1/16", "1/16,"])
def test_what_is_no_layer_is_shown_with_an_example(text):
    with pytest.raises(ConfigError, match="codec.layers: .* is no layer; write for instance 4/whole, 2 x 1/64"):
        LatentLayout.of(text)


def test_cells_at_the_edge_may_reach_beyond_the_frame():
    assert LAYOUT.shapes(SIZE) == (
        LayerShape(2, 11, 15), LayerShape(3, 1, 1), LayerShape(1, 3, 4), LayerShape(1, 6, 8), LayerShape(1, 11, 15),
        LayerShape(1, 1, 1),
    )  # fmt: skip


def test_maps_come_back_from_flat_latents():
    maps = random_maps(3)
    again = LAYOUT.maps(LAYOUT.flat(maps), SIZE)
    assert all(torch.equal(a, b) for a, b in zip(again, maps, strict=True))


def test_flat_latents_lie_layer_by_layer_channel_by_channel_row_by_row():
    maps = random_maps(2)
    flat, shapes = LAYOUT.flat(maps), LAYOUT.shapes(SIZE)
    start = sum(shape.size for shape in shapes[:4])  # of the third channel of the finest map
    assert torch.equal(flat[:, start : start + 165].reshape(2, 11, 15), maps[0][:, 2])
    assert torch.equal(flat[:, 165:330].reshape(2, 11, 15), maps[0][:, 1])
    assert torch.equal(flat[:, -1], maps[3][:, 3, 0, 0])


@pytest.mark.parametrize("count", range(1, 7))
def test_what_training_keeps_of_a_prefix_is_what_the_coder_sends(count):
    maps = random_maps(4)
    flat, shapes = LAYOUT.flat(maps).numpy().astype(np.int8), LAYOUT.shapes(SIZE)
    coder = LayeredCoder(fit_tables(flat, shapes), shapes)
    sent = np.stack([coder.decode([coder.code(latent).segment(0, count)]) for latent in flat])
    masks = LAYOUT.kept(torch.full((4,), count))
    assert np.array_equal(sent, LAYOUT.flat([m * mask for m, mask in zip(maps, masks, strict=True)]).numpy())


def test_each_frame_keeps_its_own_prefix():
    masks = LAYOUT.kept(torch.tensor([1, 4]))
    assert [mask[0].flatten().tolist() for mask in masks] == [[True, True, False], [False], [False], [False] * 4]
    assert [mask[1].flatten().tolist() for mask in masks] == [
        [True, True, False], [True], [True], [True, True, True, False],
    ]  # fmt: skip

# SPDX-License-Identifier: Apache-2.0
"""What frozen target networks see, and the strong encoder that reads it."""

import pytest

torch = pytest.importorskip("torch", reason="training needs torch; install the train extra")

from nepi_ros.training.eyes import Eyes, StrongEncoder  # noqa: E402
from nepi_ros.training.latent import CELLS, LatentLayout, grid  # noqa: E402
from nepi_ros.training.loop import mixed_precision  # noqa: E402
from nepi_ros.training.networks import ClassificationNetwork, DepthNetwork, SegmentationNetwork  # noqa: E402

SIZE = (144, 112)  # 9 x 7 squares of 16 pixels: odd on the finest grid already
LAYOUT = LatentLayout.of("4/whole, 1/64, 2/32, 3/16")


class Mean(torch.nn.Module):
    """A user's network, of another build: one logit per colour."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image.mean((2, 3))


@pytest.fixture(scope="module")
def targets() -> dict[str, torch.nn.Module]:
    torch.manual_seed(0)
    networks = {
        "segmentation": SegmentationNetwork(3, 0.5),
        "depth": DepthNetwork(0.5, 8.0, 0.5),
        "classification": ClassificationNetwork(4, 0.5),
    }
    return {task: network.eval().requires_grad_(False) for task, network in networks.items()}


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    return torch.rand(2, 3, SIZE[1], SIZE[0], generator=torch.Generator().manual_seed(1))


def test_features_lie_on_the_two_grids_that_heads_read(targets, image):
    eyes = Eyes(targets)
    sight = eyes.look(image)
    assert tuple(f.shape[1] for f in sight.features) == eyes.channels
    assert [tuple(f.shape[2:]) for f in sight.features] == [grid(16, SIZE), grid(32, SIZE)]
    assert sight.outputs["depth"].shape == (2, 1, 28, 36)


def test_outputs_are_those_of_the_networks_themselves(targets, image):
    seen = Eyes(targets).look(image).outputs
    for task, network in targets.items():
        torch.testing.assert_close(seen[task].float(), network(image), rtol=0.05, atol=0.05)  # weights of 8 bits


def test_a_network_judges_its_share_of_the_frames(targets, image):
    frames = torch.cat([image, image.flip(3), 1 - image])
    eyes = Eyes(targets, {"depth": 0.5, "classification": 0.1})
    judged = eyes.judge(frames)
    assert {task: len(output) for task, output in judged.outputs.items()} == {
        "segmentation": 6, "depth": 3, "classification": 1
    }  # fmt: skip
    whole = Eyes(targets)
    for first, task in ((3, "depth"), (1, "classification"), (6, "segmentation")):
        alone = whole.distances(0.5 * frames[:first], whole.look(frames[:first]))[task]
        for sight in (judged, eyes.look(frames)):
            assert eyes.distances(0.5 * frames, sight)[task] == pytest.approx(alone.item(), rel=0.02)


def test_the_strong_encoder_gives_the_maps_of_the_layout(targets, image):
    eyes = Eyes(targets)
    with mixed_precision(image.device):
        maps = StrongEncoder(LAYOUT, eyes.channels)(eyes.look(image).features)
    assert [tuple(m.shape[1:]) for m in maps] == [(LAYOUT.channels(cell), *grid(cell, SIZE)) for cell in CELLS]


def test_distances_are_small_for_the_frame_itself_and_grow_with_what_is_lost(targets, image):
    eyes = Eyes(targets)
    sight = eyes.look(image)
    blurred = torch.nn.functional.avg_pool2d(image, 5, 1, 2)
    same, near, far = (eyes.distances(other, sight) for other in (image, 0.9 * image + 0.1 * blurred, blurred))
    assert set(same) == {"segmentation", "depth", "classification", "features"}
    for name in same:
        assert same[name] < 0.1 * far[name] and near[name] < far[name], name


def test_gradients_reach_the_decoded_frame_and_no_network(targets, image):
    eyes = Eyes(targets)
    decoded = (0.5 * image).requires_grad_()
    sum(eyes.distances(decoded, eyes.look(image)).values()).backward()
    assert decoded.grad.abs().amax() > 0
    assert all(weight.grad is None for network in targets.values() for weight in network.parameters())


def test_networks_of_another_build_count_by_their_outputs_alone(targets, image):
    assert Eyes({"classification": Mean()}).channels is None
    alone = Eyes({"classification": Mean()})
    assert set(alone.distances(0.5 * image, alone.look(image))) == {"classification"}
    mixed = Eyes({"depth": targets["depth"], "classification": Mean()})
    assert mixed.channels == Eyes({"depth": targets["depth"]}).channels
    assert set(mixed.distances(0.5 * image, mixed.look(image))) == {"depth", "classification", "features"}

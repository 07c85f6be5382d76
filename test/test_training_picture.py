# SPDX-License-Identifier: Apache-2.0
"""Layers of the picture itself, as they are before any training: a cosine transform there and back."""

import pytest

torch = pytest.importorskip("torch", reason="training needs torch; install the train extra")

from nepi_ros.training.latent import MOST_DETAIL, LatentLayout  # noqa: E402
from nepi_ros.training.networks import Decoder  # noqa: E402
from nepi_ros.training.picture import Analysis, Blend, Synthesis  # noqa: E402

SIZE = (96, 64)
FEATURES = torch.zeros(1, 8, SIZE[1] // 16, SIZE[0] // 16)
LAYOUT = LatentLayout.of(f"3/mean, {MOST_DETAIL}/detail")


def smooth_picture() -> torch.Tensor:
    coarse = torch.rand(1, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(coarse, size=SIZE[::-1], mode="bicubic").clamp(0, 1)


def psnr(image: torch.Tensor, other: torch.Tensor) -> float:
    return float(-10 * (image - other).square().mean().log10())


def analysed(image: torch.Tensor, layout: LatentLayout = LAYOUT) -> list[torch.Tensor]:
    analysis = Analysis(layout, 8)
    torch.nn.init.constant_(analysis.mask.bias, 50.0)  # nothing is held back at all
    return analysis(image, FEATURES)


@torch.no_grad()
def test_one_colour_is_its_mean_alone_and_comes_back():
    image = torch.tensor([0.9, 0.4, 0.1]).reshape(1, 3, 1, 1).expand(1, 3, *SIZE[::-1])
    mean, detail = analysed(image)
    assert mean.shape == (1, 3, 4, 6) and detail.shape == (1, MOST_DETAIL, 8, 12)
    assert detail.abs().max() < 1e-3
    assert torch.allclose(Synthesis(LAYOUT)(mean, detail), image, atol=1e-3)


@torch.no_grad()
def test_a_smooth_picture_comes_back_the_better_the_more_of_it_is_there():
    image, found = smooth_picture(), []
    grey = image.mean(1, keepdim=True).expand_as(image)
    for channels in (1, 4, MOST_DETAIL):
        layout = LatentLayout.of(f"3/mean, {channels}/detail")
        found.append(psnr(Synthesis(layout)(*(map_.round() for map_ in analysed(grey, layout))), grey))
    assert found == sorted(found) and found[0] > 15 and found[-1] > 32


@torch.no_grad()
def test_almost_all_is_sent_at_first_and_nothing_where_the_mask_is_closed():
    analysis, image = Analysis(LAYOUT, 8), smooth_picture()
    _, most = analysis(image, FEATURES)
    assert torch.allclose(most, analysed(image)[1], rtol=0.06)
    analysis.mask.weight[:, 0] = -100.0
    closed = FEATURES.clone()
    closed[:, 0, :, 3:] = 1.0
    _, detail = analysis(image, closed)
    assert torch.equal(detail[..., :6], most[..., :6]) and detail[..., 6:].abs().max() < 1e-6


@torch.no_grad()
def test_the_picture_is_put_in_where_its_detail_is_there():
    detail = torch.zeros(1, 4, 8, 12)
    blend, features = Blend(8), torch.zeros(1, 8, 8, 12)
    assert blend(features, detail).max() < 0.01
    detail[:, 2, :, :6] = 1.0
    share = blend(features, detail)
    assert share.shape == (1, 1, 64, 96) and share[..., :32].min() > 0.95 and share[..., 64:].max() < 0.01


@torch.no_grad()
def test_what_was_learnt_without_the_picture_stays_until_there_is_detail():
    layout = LatentLayout.of("2/16, 3/mean, 4/detail")
    torch.manual_seed(0)
    pictured, learnt = Decoder(layout).eval(), Decoder(layout.learnt).eval()
    pictured.load_state_dict(learnt.state_dict(), strict=False)
    maps = [torch.randn(1, 2, 4, 6), torch.zeros(1, 0, 2, 3), torch.zeros(1, 0, 1, 2), torch.zeros(1, 0, 1, 1)]
    picture = [torch.zeros(1, 3, 4, 6), torch.zeros(1, 4, 8, 12)]
    assert torch.allclose(pictured([*maps, *picture]), learnt(maps), atol=0.01)

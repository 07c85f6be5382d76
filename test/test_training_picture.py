# SPDX-License-Identifier: Apache-2.0
"""Layers of the picture itself, as they are before any training: a cosine transform there and back."""

import pytest

torch = pytest.importorskip("torch", reason="training needs torch; install the train extra")

from nepi_ros.training.latent import LEAST_DETAIL, MOST_DETAIL, LatentLayout  # noqa: E402
from nepi_ros.training.networks import Decoder  # noqa: E402
from nepi_ros.training.picture import Analysis, Synthesis  # noqa: E402

SIZE = (96, 64)
FEATURES = torch.zeros(1, 8, SIZE[1] // 16, SIZE[0] // 16)
LAYOUT = LatentLayout.of(f"1/16, 3/mean, {MOST_DETAIL}/detail")


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
def put_together(maps: list[torch.Tensor], layout: LatentLayout = LAYOUT) -> torch.Tensor:
    """The image from maps of the picture, over a painted one that is black."""
    synthesis = Synthesis(layout, 8, (16, 8))
    torch.nn.init.constant_(synthesis.share.bias, 50.0)  # nothing painted shines through
    return synthesis(*maps, torch.zeros(1, 8, SIZE[1] // 8, SIZE[0] // 8), torch.zeros(1, 3, *SIZE[::-1]))


@torch.no_grad()
def test_one_colour_is_its_mean_alone_and_comes_back():
    image = torch.tensor([0.9, 0.4, 0.1]).reshape(1, 3, 1, 1).expand(1, 3, *SIZE[::-1])
    mean, detail = analysed(image)
    assert mean.shape == (1, 3, 4, 6) and detail.shape == (1, MOST_DETAIL, 8, 12)
    assert detail.abs().max() <= 0.9  # no more than the rounding of the mean left
    assert mean.abs().amin() > 1
    assert torch.allclose(put_together([mean.round(), detail]), image, atol=1e-3)


@pytest.mark.parametrize(("grey", "least", "most"), [(True, 15, 32), (False, 18, 25)])
@torch.no_grad()
def test_a_smooth_picture_comes_back_the_better_the_more_of_it_is_there(grey, least, most):
    """Of colours there are few waves."""
    image, found = smooth_picture(), []
    image = image.mean(1, keepdim=True).expand_as(image) if grey else image
    for channels in (LEAST_DETAIL, 5, 9, MOST_DETAIL):
        layout = LatentLayout.of(f"1/16, 3/mean, {channels}/detail")
        found.append(psnr(put_together([map_.round() for map_ in analysed(image, layout)], layout), image))
    assert found == sorted(found) and found[0] > least and found[-1] > most


@torch.no_grad()
def test_the_finer_squares_make_up_for_the_rounding_of_the_coarse_ones():
    image = smooth_picture()
    mean, detail = analysed(image)
    error = put_together([mean.round(), detail]) - image
    assert error.reshape(1, 3, 8, 8, 12, 8).mean((3, 5)).abs().max() < 1e-5


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
def test_images_in_other_units_give_the_same_maps():
    analysis, image = Analysis(LAYOUT, 8), smooth_picture()
    wanted = analysis(image, FEATURES)
    analysis.unscale(255.0)
    for map_, same in zip(analysis(255.0 * image, FEATURES), wanted, strict=True):
        assert torch.allclose(map_, same, atol=1e-3)


@torch.no_grad()
def test_what_was_painted_stays_without_detail():
    mean, detail = analysed(smooth_picture())
    assert put_together([mean.round(), torch.zeros_like(detail)]).abs().max() == 0


@torch.no_grad()
def test_without_the_picture_a_frame_is_decoded_as_it_was_learnt_without():
    layout = LatentLayout.of("2/16, 3/mean, 4/detail")
    torch.manual_seed(0)
    pictured, learnt = Decoder(layout).eval(), Decoder(layout.learnt).eval()
    pictured.load_state_dict(learnt.state_dict(), strict=False)
    for weight in pictured.picture.parameters():
        weight.normal_(std=0.1)  # whatever it has learnt
    maps = [torch.randn(1, 2, 4, 6), torch.zeros(1, 0, 2, 3), torch.zeros(1, 0, 1, 2), torch.zeros(1, 0, 1, 1)]
    picture = [torch.zeros(1, 3, 4, 6), torch.zeros(1, 4, 8, 12)]
    assert torch.equal(pictured([*maps, *picture]), learnt(maps))

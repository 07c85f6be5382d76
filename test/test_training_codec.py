# SPDX-License-Identifier: Apache-2.0
"""Encoder and decoder: maps and prefixes, the training's estimate of bits, the networks as a bundle gets them."""

import contextlib
import copy
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

torch = pytest.importorskip("torch", reason="training needs torch; install the train extra")

from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from nepi_ros.bench.complexity import complexity  # noqa: E402
from nepi_ros.codec.classmap import NOTHING  # noqa: E402
from nepi_ros.errors import BundleError  # noqa: E402
from nepi_ros.tasks import TaskSpec  # noqa: E402
from nepi_ros.training.answers import pasted  # noqa: E402
from nepi_ros.training.blocks import Bottleneck  # noqa: E402
from nepi_ros.training.codec import (  # noqa: E402
    Codec,
    Kinds,
    Prior,
    RateControl,
    answering_codec,
    one_hot,
    painting_codec,
    random_prefixes,
    rounded,
)  # fmt: skip
from nepi_ros.training.config import CodecConfig  # noqa: E402
from nepi_ros.training.export import _check, _export, export_codec  # noqa: E402
from nepi_ros.training.latent import CELLS, LatentLayout, grid  # noqa: E402
from nepi_ros.training.leaning import lean_of  # noqa: E402
from nepi_ros.training.networks import Painter  # noqa: E402
from nepi_ros.training.quantise import quantised  # noqa: E402
from nepi_ros.training.steps import faded, importance  # noqa: E402
from nepi_ros.training.targets import fuse_batch_norm  # noqa: E402

SIZE = (144, 112)  # 9 x 7 squares of 16 pixels: odd on the finest grid already
LAYOUT = LatentLayout.of("4/whole, 1/64, 2/32, 2 x 2/16")


@pytest.fixture
def codec() -> Codec:
    """Untrained, but with batch norms that have seen something, and in every layer something to say."""
    torch.manual_seed(0)
    made = painting_codec(LAYOUT).train()
    with torch.no_grad():
        for _ in range(30):
            made.encoder(torch.rand(4, 3, SIZE[1], SIZE[0]))
        for layer in (*made.encoder.heads.grids, made.encoder.heads.whole[-1]):
            layer.weight.mul_(10.0)
    return made.eval()


@pytest.fixture
def image() -> torch.Tensor:
    """Two frames uint8 [2,H,W,3]: smooth, so that a pixel of displacement shows."""
    coarse = torch.rand(2, 3, 7, 9, generator=torch.Generator().manual_seed(1))
    smooth = torch.nn.functional.interpolate(coarse, size=SIZE[::-1], mode="bicubic").clamp(0, 1)
    return (255 * smooth).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def networks_input(image: torch.Tensor) -> torch.Tensor:
    return image.permute(0, 3, 1, 2).float() / 255.0


def session(data: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])


@torch.no_grad()
def test_the_encoder_gives_the_maps_of_the_layout(codec, image):
    maps, _ = codec.encoder(networks_input(image))
    assert [tuple(m.shape) for m in maps] == [(2, LAYOUT.channels(cell), *grid(cell, SIZE)) for cell in CELLS]


@torch.no_grad()
def test_a_prefix_ignores_later_layers_and_each_further_layer_counts(codec, image):
    maps, _ = codec.encoder(networks_input(image))
    images = [codec.decode(maps, torch.tensor([k, k])) for k in range(len(LAYOUT.layers) + 1)]
    for before, after in zip(images[:-1], images[1:], strict=True):
        assert after.shape == (2, 3, SIZE[1], SIZE[0]) and after.isfinite().all()
        assert not torch.equal(before, after)
    for k, decoded in enumerate(images):
        masks = LAYOUT.kept(torch.tensor([k, k]))
        changed = [m.where(mask, 50.0) for m, mask in zip(maps, masks, strict=True)]
        assert torch.equal(codec.decode(changed, torch.tensor([k, k])), decoded)


@torch.no_grad()
def test_frames_of_a_batch_are_decoded_from_prefixes_of_their_own(codec, image):
    maps, _ = codec.encoder(networks_input(image))
    both = codec.decode(maps, torch.tensor([1, 5]))
    for k, prefix in enumerate((1, 5)):
        alone = codec.decode([m[k : k + 1] for m in maps], torch.tensor([prefix]))
        assert torch.allclose(both[k], alone[0], atol=1e-5)


def test_rounding_lets_gradients_pass():
    values = torch.tensor([0.4, -1.6, 300.0], requires_grad=True)
    sent = rounded(values)
    sent.sum().backward()
    assert sent.tolist() == [0.0, -2.0, 127.0] and values.grad.tolist() == [1.0, 1.0, 1.0]


def test_the_prior_s_bits_are_those_of_a_distribution():
    prior = Prior(2)
    values = torch.arange(-60.0, 61.0).repeat(2, 1)[None, :, None, :]
    mass = torch.pow(2.0, -prior.bits(values)).sum(-1)
    assert torch.allclose(mass, torch.ones_like(mass), atol=1e-3)


def test_sizes_count_every_layer_that_is_sent_once(codec):
    maps = [torch.zeros(2, LAYOUT.channels(cell), *grid(cell, SIZE)) for cell in CELLS]
    values = [shape.size for shape in LAYOUT.shapes(SIZE)]
    torch.manual_seed(0)
    sizes = codec.sizes(maps, torch.tensor([len(values), 2]))
    # All priors are the standard logistic: a value near zero takes log2(1 / 0.245) bits, a little more with noise.
    assert torch.allclose(8 * sizes.full / sum(values), torch.tensor(2.06), atol=0.03)
    assert sizes.sent[0] == sizes.full[0]
    assert sizes.sent[1].item() * 8 / sum(values[:2]) == pytest.approx(2.06, abs=0.3)


def test_tasks_that_come_later_weigh_less_in_short_prefixes():
    layout = LatentLayout.of("8 x 1/16")
    weights = importance(CodecConfig(later={"segmentation": 0.2}), layout, torch.tensor([1, 3, 5, 8]))
    assert set(weights) == {"segmentation"}
    assert torch.allclose(weights["segmentation"], torch.tensor([0.2, 0.6, 1.0, 1.0]))


def test_prefixes_cover_all_lengths():
    prefixes = random_prefixes(LatentLayout.of("4 x 1/16"), 0.5, 4000)
    assert set(prefixes.tolist()) == {1, 2, 3, 4}
    assert 0.55 < (prefixes == 4).float().mean() < 0.7


def test_rate_control_pushes_towards_its_target():
    control = RateControl(1000.0, lowest=0.02)
    start = control.weight(1000.0)
    for _ in range(10):
        high = control.weight(2000.0)
    assert high > start
    assert control.weight(500.0) < high
    for _ in range(1000):
        low = control.weight(1.0)
    assert low == pytest.approx(0.02)


def test_a_faded_weight_goes_from_first_to_last_and_stays():
    assert faded(0.0, 20.0, 0.5) == 20.0
    assert 5.0 < faded(0.15, 20.0, 0.5) < 15.0
    assert faded(0.3, 20.0, 0.5) == faded(1.0, 20.0, 0.5) == pytest.approx(0.5)


@torch.no_grad()
def test_exported_networks_do_what_the_trained_ones_do(codec, image):
    before = copy.deepcopy(codec.state_dict())
    files = export_codec(codec, SIZE)
    latent = session(files["encoder.onnx"]).run(None, {"image": image.numpy()})[0]
    maps, _ = codec.encoder(networks_input(image))
    wanted = LAYOUT.flat([rounded(m) for m in maps]).numpy()
    assert latent.dtype == np.int8 and latent.shape == wanted.shape
    off = np.abs(latent - wanted)  # weights are kept in 16 bits: a value at the edge may round the other way
    assert off.max() <= 1 and (off > 0).mean() < 0.02
    decoded = session(files["decoder.onnx"]).run(None, {"latent": latent})[0]
    assert decoded.shape == (2, 3, SIZE[1], SIZE[0])
    again = codec.decoder(LAYOUT.maps(torch.from_numpy(latent).float(), SIZE)).numpy()
    assert np.abs(decoded - again).max() < 0.02 < 0.2 * np.ptp(again)
    assert all(torch.equal(value, before[name]) for name, value in codec.state_dict().items())


def test_no_batch_norm_is_left_to_run_and_weights_have_sixteen_bits(codec):
    graph = onnx.load_from_string(export_codec(codec, SIZE)["encoder.onnx"]).graph
    assert "BatchNormalization" not in {node.op_type for node in graph.node}
    weights = {weight.data_type for weight in graph.initializer if len(weight.dims) > 1}
    assert weights == {onnx.TensorProto.FLOAT16}


@pytest.mark.parametrize("layers", ["2/16", "1/32, 1/32", "3/64", "5/whole", "2/whole, 1/16"])
def test_grids_may_be_left_out(layers, image):
    layout = LatentLayout.of(layers)
    codec = painting_codec(layout).eval()
    files = export_codec(codec, SIZE)
    for frames in (image, image[:1]):
        latent = session(files["encoder.onnx"]).run(None, {"image": frames.numpy()})[0]
        assert latent.shape == (len(frames), sum(shape.size for shape in layout.shapes(SIZE)))
        assert len(session(files["decoder.onnx"]).run(None, {"latent": latent})[0]) == len(frames)


class Shifted(torch.nn.Module):
    """Five numbers and 400 classes, some of them other than asked for."""

    def __init__(self, numbers: float, classes: int) -> None:
        super().__init__()
        self.register_buffer("more", torch.cat([torch.full((5,), numbers), 3.0 * (torch.arange(400) < classes)]))

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        return latent + self.more


@pytest.mark.parametrize(("numbers", "classes", "good"), [(1, 4, True), (2, 0, False), (0, 5, False)])
def test_an_export_may_differ_by_a_step_in_numbers_and_in_few_classes(numbers, classes, good):
    example = torch.zeros(2, 405)
    data = _export(Shifted(0, 0), example, "latent", ["said"], tolerance=1.0, names_from=5)
    with contextlib.nullcontext() if good else pytest.raises(BundleError, match="differs from the trained one"):
        _check(Shifted(numbers, classes), data, example[:1], "latent", 1.0, names_from=5)


def segmentation_of(classes: int) -> TaskSpec:
    return TaskSpec("segmentation", "segmentation.onnx", classes=tuple(f"class {k}" for k in range(classes)))


MAPPED = LatentLayout.of("4/whole, classes/16, 2 x 1/32, classes/8, classes/4")
CLASSES = 5
SPECS = {
    "segmentation": segmentation_of(CLASSES),
    "depth": TaskSpec("depth", "depth.onnx", min_m=0.5, max_m=8.0),
    "classification": TaskSpec("classification", "classification.onnx", classes=("here", "there", "elsewhere")),
}


@torch.no_grad()
@pytest.mark.parametrize("named", [True, False])
def test_exported_networks_say_and_read_a_map_of_classes(image, named):
    codec = answering_codec(MAPPED, SPECS, named).eval()
    files, values = export_codec(codec, SIZE), sum(shape.size for shape in MAPPED.shapes(SIZE))
    latent = session(files["encoder.onnx"]).run(None, {"image": image.numpy()})[0]
    maps, logits = codec.encoder(networks_input(image))
    said = latent[:, values:].reshape(2, SIZE[1] // 4, SIZE[0] // 4)
    assert (said == logits.argmax(1).numpy()).mean() > 0.98
    decode = session(files["decoder.onnx"])
    names = [port.name for port in decode.get_outputs()]
    assert names == ["segmentation", "depth", "classification" if named else "image"]
    everything = codec.decode(maps, torch.tensor([6, 6]), one_hot(logits, torch.tensor([4, 4])))
    latent_without = np.concatenate([latent[:, :values], np.full_like(latent[:, values:], NOTHING)], axis=1)
    without = codec.decoder([rounded(m) for m in maps], torch.zeros_like(logits))
    for given, wanted in ((latent, everything), (latent_without, without)):
        for got, name in zip(decode.run(None, {"latent": given}), names, strict=True):
            expected = wanted[name].numpy()
            assert np.abs(got - expected).mean() < 0.02 * max(np.ptp(expected), 1e-6), name
    assert (everything["segmentation"].argmax(1) == logits.argmax(1)).float().mean() > 0.9
    assert everything["depth"].min() >= 0.5 and everything["depth"].max() <= 8.0


def test_a_prefix_knows_as_much_of_the_map_as_its_layers_say():
    assert MAPPED.finest(torch.arange(7)).tolist() == [0, 0, 16, 16, 16, 8, 4]
    logits = torch.randn(4, CLASSES, 24, 32, generator=torch.Generator().manual_seed(0))
    maps, likeliest = one_hot(logits, torch.tensor([0, 16, 8, 4])), logits.argmax(1)
    assert not maps[0].any() and (maps[1:].sum(1) == 1).all()
    assert torch.equal(maps[3].argmax(0), likeliest[3])
    for index, step in ((1, 4), (2, 2)):
        assert torch.equal(maps[index].argmax(0)[::step, ::step], likeliest[index, ::step, ::step])
    assert torch.equal(maps[1].argmax(0)[1::4, 4], likeliest[1, 0::4, 4])


def test_frames_without_a_kind_of_layers_teach_nothing_of_its_tasks():
    torch.manual_seed(0)
    kinds = Kinds.random(4000, torch.device("cpu"), numbers=0.4, classes=0.1)
    assert (kinds.numbers | kinds.classes).all()
    assert [round(float((~kind).float().mean()), 1) for kind in (kinds.numbers, kinds.classes)] == [0.1, 0.4]
    weights = kinds.importance({"depth": torch.full((4000,), 0.5)}, ["segmentation", "depth", "classification"])
    assert torch.equal(weights["segmentation"], kinds.classes.float())
    assert torch.equal(weights["depth"], 0.5 * kinds.numbers)
    maps = kinds.of([torch.ones(4000, 2, 1, 1)])[0]
    assert torch.equal(maps[:, 0, 0, 0], kinds.numbers.float())
    assert Kinds.random(9, torch.device("cpu"), 0.0, 0.0).numbers.all()


@torch.no_grad()
def test_a_map_of_classes_leans_to_what_is_rare():
    """A class that is never quite the likeliest, but nearly so where it is, is found; nothing else changes."""
    answers = torch.zeros(4, 3, 8, 8)
    answers[:, 1, :, :4], answers[:, 2, 0, 0] = 5.0, 9.0
    logits = torch.zeros(4, 3, 8, 8)
    logits[:, 1, :, :4], logits[:, 1, :, 4:], logits[:, 2], logits[:, 2, 0, 0] = 2.0, -2.0, -3.0, 1.5
    lean = lean_of(logits, answers)
    assert lean[2] - lean[1] > 0.5
    assert torch.equal((logits + lean[:, None, None]).argmax(1), answers.argmax(1))
    assert torch.equal(lean_of(answers, answers), torch.zeros(3))


@torch.no_grad()
def test_a_pasted_part_brings_its_answers_along():
    answers = torch.rand(8, 3, 20, 24)
    image = answers.repeat_interleave(4, 2).repeat_interleave(4, 3)
    changed, moved = pasted(image, answers, 0.5)
    assert torch.equal(changed, moved.repeat_interleave(4, 2).repeat_interleave(4, 3))
    shares = (moved != answers).any(1).float().mean((1, 2))
    assert 0 < (shares > 0).sum() < 8 and shares.max() < 0.6
    assert torch.equal(pasted(image, answers, 0.0)[0], image)


def macs(data: bytes, file: Path) -> int:
    file.write_bytes(data)
    return complexity(file, SIZE).macs


def work_of(network: torch.nn.Module, *example) -> int:
    """Multiply-accumulates of a network's convolutions and linear layers for one frame."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.eval()(*example)
    return counter.get_total_flops() // 2


def test_the_light_networks_are_light(tmp_path):
    layout = LatentLayout.of("2 x 4/whole, 3 x 1/64, 2 x 2/64, 8 x 1/32, 2 x 2/32, 10 x 1/16, 6 x 2/16, 2 x 3/16")
    size, light, wide = (480, 368), painting_codec(layout), Painter(layout)
    files = export_codec(light, size)
    encoder, slim = (macs(files[f"{side}coder.onnx"], tmp_path / f"{side}coder.onnx") for side in ("en", "de"))
    assert encoder <= 250e6
    # The shapes in the files are known, so that the bench counts what there is.
    maps = [torch.zeros(1, layout.channels(cell), *grid(cell, size)) for cell in CELLS]
    assert encoder == work_of(light.encoder, torch.zeros(1, 3, 368, 480))
    assert slim == work_of(light.decoder, maps)
    assert 3 * slim <= work_of(wide, maps)


def test_with_a_map_of_classes_the_encoder_is_as_light(tmp_path):
    layout = LatentLayout.of("2 x 4/whole, 3 x 1/64, 3 x 1/32, 4 x 1/16, classes/32, classes/4")
    files = export_codec(answering_codec(layout, {"segmentation": segmentation_of(11)}), (480, 368))
    encoder, decoder = (macs(files[f"{side}coder.onnx"], tmp_path / f"{side}coder.onnx") for side in ("en", "de"))
    assert encoder * 360 / 368 <= 250e6 and decoder <= 270e6


@torch.no_grad()
def test_a_padded_bottleneck_is_the_same():
    block = torch.nn.Sequential(Bottleneck(10, 5)).eval()
    for layer in block.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_()
            layer.bias.normal_()
    image = torch.randn(2, 10, 6, 9)
    wanted = block(image)
    fuse_batch_norm(block)
    block[0].pad(16)
    assert block[0].look[0].weight.shape == (32, 1, 5, 5)
    assert torch.allclose(block(image), wanted, atol=1e-5)
    block[0].pad(16)
    assert block[0].narrow[0].weight.shape == (10, 32, 1, 1)


@torch.no_grad()
def test_an_encoder_in_eight_bits_gives_nearly_the_same_latents(codec, image, tmp_path):
    plain, images = export_codec(codec, SIZE)["encoder.onnx"], image.numpy()
    small = quantised(plain, images)
    wanted, got = (session(network).run(None, {"image": images})[0].astype(float) for network in (plain, small))
    assert np.sqrt(np.mean((got - wanted) ** 2)) < 0.2 * wanted.std()
    weights = {weight.data_type for weight in onnx.load_from_string(small).graph.initializer if len(weight.dims) == 4}
    assert weights == {onnx.TensorProto.INT8}
    assert macs(small, tmp_path / "small.onnx") == macs(plain, tmp_path / "plain.onnx")

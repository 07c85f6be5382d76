# SPDX-License-Identifier: Apache-2.0
"""Training, small but whole: real frames of the built-in scenes, real checkpoints, a real bundle."""

import copy
import math
import weakref
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from onnxruntime import InferenceSession

torch = pytest.importorskip("torch", reason="training needs torch; install the train extra")

from nepi_ros.bundle import Bundle  # noqa: E402
from nepi_ros.codec import Decoder, Encoder, Kind, TargetNetworks  # noqa: E402
from nepi_ros.codec.classlattice import class_lattice  # noqa: E402
from nepi_ros.codec.classmap import NOTHING  # noqa: E402
from nepi_ros.codec.classtables import all_stages  # noqa: E402
from nepi_ros.datasets import FrameSet  # noqa: E402
from nepi_ros.errors import BundleError, ConfigError  # noqa: E402
from nepi_ros.letterbox import Letterbox  # noqa: E402
from nepi_ros.scenes.__main__ import main as render_scenes  # noqa: E402
from nepi_ros.training import targets  # noqa: E402
from nepi_ros.training.answers import averaged_answers  # noqa: E402
from nepi_ros.training.aside import Asides  # noqa: E402
from nepi_ros.training.codec import Codec, RateControl, painting_codec  # noqa: E402
from nepi_ros.training.config import AsideConfig, AugmentConfig, StageConfig, TrainConfig, ViewsConfig  # noqa: E402
from nepi_ros.training.data import FILM_FRAMES, FILM_STEP, FrameFolders, Frames, FrameSets  # noqa: E402
from nepi_ros.training.degrade import degraded  # noqa: E402
from nepi_ros.training.export import export_codec, export_target  # noqa: E402
from nepi_ros.training.eyes import Eyes, StrongEncoder  # noqa: E402
from nepi_ros.training.imitation import REPLAYS, Lesson, Lessons, difference, mixed  # noqa: E402
from nepi_ros.training.latent import LatentLayout  # noqa: E402
from nepi_ros.training.leaning import lean_of  # noqa: E402
from nepi_ros.training.loop import Stage, learning_rate, mixed_precision  # noqa: E402
from nepi_ros.training.losses import FROM_LABELS, FROM_TARGETS, segmentation_from_labels  # noqa: E402
from nepi_ros.training.main import _Run, train, train_targets  # noqa: E402
from nepi_ros.training.networks import Painter  # noqa: E402
from nepi_ros.training.optimiser import Optimiser  # noqa: E402
from nepi_ros.training.stages import train_codec  # noqa: E402
from nepi_ros.training.targets import (  # noqa: E402
    build_target,
    fuse_batch_norm,
    load_network,
    robust_networks,
    round_weights,
    target_networks,
    trained_networks,
)

LAYERS = "3/whole, 1/64, 2/32, 2 x 2/16"
STAGE = {"steps": 4, "batch": 2, "rate": 0.001}
CONFIG = {
    "name": "tiny", "train": "frames", "val": "frames", "notice": "made by a test",
    "input": {"width": 96, "height": 64},
    "tasks": {
        "segmentation": {"classes": ["left", "right"], "palette": [[255, 0, 0], [0, 0, 255]]},
        "depth": {"min_m": 0.5, "max_m": 8.0},
        "classification": {"classes": ["dark", "light"]},
    },
    "targets": {"width": 0.5, "joint": STAGE, "tune": STAGE},
    "codec": {
        "layers": LAYERS, "target_bytes": 60, "pictures": True,
        "strong": STAGE, "imitation": STAGE, "light": STAGE,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A configuration with six labelled frames of 192x128 beside it."""
    folder = tmp_path_factory.mktemp("training")
    frames = folder / "frames"
    frames.mkdir()
    generator = np.random.default_rng(0)
    labels = np.zeros((128, 192), np.uint8)
    labels[:, 96:] = 1
    rows = ["frame,place"]
    for i in range(6):
        noise = generator.integers(0, 60, (128, 192, 3), np.uint8)
        name = f"frame-{i:06d}"
        cv2.imwrite(str(frames / f"{name}.color.png"), noise + (60 * labels)[..., None] + np.uint8(100 * (i % 2)))
        cv2.imwrite(str(frames / f"{name}.segmentation.png"), labels)
        cv2.imwrite(str(frames / f"{name}.depth.png"), (1000 + 2000 * labels.astype(np.uint16)))
        rows.append(f"{name},{i % 2}")
    (frames / "places.csv").write_text("\n".join(rows) + "\n")
    (frames / "set.json").write_text('{"registered": true}')
    (folder / "train.yaml").write_text(yaml.safe_dump(CONFIG))
    return folder


@pytest.fixture(scope="module")
def frames(folder) -> Frames:
    return Frames(FrameSets.open([folder / "frames"]), (96, 64), torch.device("cpu"))


@pytest.fixture(scope="module")
def bundle(folder, tmp_path_factory) -> Bundle:
    out = tmp_path_factory.mktemp("made") / "tiny"
    train(folder / "train.yaml", out, folder / "runs", "cpu")
    return Bundle.load(out)


def test_a_run_makes_a_bundle_that_encodes_and_decodes(bundle, folder):
    groups = [(layer.channels, layer.height, layer.width) for layer in bundle.layers if layer.part == 0]
    assert groups == [(3, 1, 1), (1, 1, 2), (2, 2, 3), (2, 4, 6), (2, 4, 6)]
    assert len(bundle.layers) > len(groups)
    assert bundle.profile.frames == 6
    assert list(bundle.profile.bytes) == sorted(bundle.profile.bytes)
    assert set(bundle.profile.target_accuracy) == {"segmentation", "depth", "classification"}
    assert (bundle.path / "NOTICE").read_text() == "made by a test\n"
    image = cv2.resize(FrameSet.open(folder / "frames").load(0).rgb, (96, 64))
    encoded = Encoder(bundle).encode(image)
    prefixes = [[], *([encoded.segment(0, k)] for k in range(1, encoded.layers + 1))]
    results = TargetNetworks(bundle, tuple(bundle.tasks)).see(Decoder(bundle).decode(prefixes))
    assert np.shape(results["segmentation"]) == (1 + encoded.layers, 2, 16, 24)
    assert 0.5 <= np.min(results["depth"]) and np.max(results["depth"]) <= 8.0


def test_the_profile_s_bytes_are_coded_ones(bundle, folder):
    encoder, samples = Encoder(bundle), list(FrameSet.open(folder / "frames"))
    boxes = [Letterbox(sample.rgb.shape[1::-1], bundle.input_size) for sample in samples]
    images = [box.apply(sample.rgb) for box, sample in zip(boxes, samples, strict=True)]
    for k, size in enumerate(bundle.profile.bytes, start=1):
        assert size == pytest.approx(np.mean([len(encoder.encode(image, k).segment().stream) for image in images]))


def test_a_finished_run_is_not_repeated_and_gives_the_same_networks(bundle, folder, tmp_path):
    again = train(folder / "train.yaml", tmp_path / "tiny", folder / "runs", "cpu")
    for name in ("encoder.onnx", "decoder.onnx", "segmentation.onnx", "entropy.npz"):
        assert (again.path / name).read_bytes() == (bundle.path / name).read_bytes(), name


@pytest.mark.parametrize("orthogonal", [False, True])
def test_a_run_that_stopped_goes_on_to_the_same_weights(tmp_path, orthogonal):
    def fit(folder: Path, stop_at: int | None) -> torch.Tensor:
        torch.manual_seed(0)
        control, config = RateControl(100.0, lowest=0.02), StageConfig(steps=10, batch=1, rate=0.01)
        stage = Stage("line", folder, torch.nn.Linear(3, 1), config, control, orthogonal=orthogonal)

        def step(number: int):
            if number == stop_at:
                stage._save()
                raise KeyboardInterrupt
            return control.weight(300.0) * stage.module(torch.randn(8, 3)).square().mean(), {}

        stage.run(step)
        return stage.module.weight.detach().clone()

    whole = fit(tmp_path / "whole", None)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "stopped", 6)
    assert torch.equal(fit(tmp_path / "stopped", None), whole)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_orthogonal_steps_move_all_directions_alike_and_every_weight(layout):
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Conv2d(4, 8, 3), torch.nn.BatchNorm2d(8)).to(memory_format=layout)
    optimiser = Optimiser(module, StageConfig(rate=1.0, decay=0.0), orthogonal=True)
    before = [weight.detach().clone() for weight in module.parameters()]
    (module(torch.randn(2, 4, 8, 8)) * torch.randn(2, 8, 6, 6)).sum().backward()
    optimiser.step(0.1)
    moved = [(weight.detach() - old) for weight, old in zip(module.parameters(), before, strict=True)]
    assert all(change.abs().max() > 0 for change in (moved[0], *moved[2:]))  # before a norm a bias is nothing
    singular = torch.linalg.svdvals(moved[0].flatten(1))
    assert singular.min() > 0.4 * singular.max()
    optimiser.zero_grad()
    assert all(weight.grad is None for weight in module.parameters())


def test_the_average_of_a_short_run_has_left_the_untrained_weights(tmp_path):
    torch.manual_seed(0)
    stage = Stage("line", tmp_path, torch.nn.Linear(1, 1), StageConfig(steps=100, batch=1, rate=0.1))
    began = stage.module.weight.detach().clone()
    stage.run(lambda step: ((stage.module.weight - 3).square().sum(), {}))
    last = torch.load(stage.file, weights_only=True)["module"]["weight"]
    assert (last - began).abs() > 1
    assert (stage.module.weight - last).abs() < 0.1 * (last - began).abs()


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path):
    config = StageConfig(steps=1, batch=1)
    Stage("s", tmp_path, torch.nn.Linear(3, 1), config)._save()
    with pytest.raises(ConfigError, match="s.pt.*another configuration"):
        Stage("s", tmp_path, torch.nn.Linear(4, 1), config).run(lambda step: None)


def test_a_checkpoint_of_another_basis_is_refused_and_one_from_before_there_was_a_basis_taken(tmp_path):
    def stage(basis: str) -> Stage:
        return Stage("s", tmp_path, torch.nn.Linear(3, 1), StageConfig(steps=1, batch=1), meaning="1/16", basis=basis)

    first = stage("frames 1")
    first.run(lambda step: (first.module.weight.square().sum(), {}))
    stage("frames 1").run(lambda step: pytest.fail("was finished"))
    with pytest.raises(ConfigError, match="s.pt.*remove it.*of frames 1, not frames 2"):
        stage("frames 2").run(lambda step: None)
    state = torch.load(first.file, weights_only=True)
    del state["basis"]
    torch.save(state, first.file)
    stage("frames 2").run(lambda step: pytest.fail("was finished"))


@pytest.mark.parametrize("odd", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_ends_the_stage_before_it_is_saved(tmp_path, odd):
    stage = Stage("light", tmp_path, torch.nn.Linear(3, 1), StageConfig(steps=3, batch=1))
    with pytest.raises(ConfigError, match="stage light: after 1 steps the loss is (nan|-?inf)"):
        stage.run(lambda step: (stage.module.weight.sum() * (odd if step else 1.0), {}))
    assert not list(tmp_path.iterdir()) and stage.module.weight.isfinite().all()


def test_a_full_disk_is_said_and_leaves_no_half_checkpoint(tmp_path):
    stage = Stage("light", tmp_path, torch.nn.Linear(3, 1), StageConfig(steps=2, batch=1))
    stage._save()
    (tmp_path / "light.partial").symlink_to("/dev/full")
    with pytest.raises(ConfigError, match=f"{tmp_path}: the checkpoint cannot be written; make room there.*goes on"):
        stage.run(lambda step: (stage.module.weight.square().sum(), {}))
    assert [file.name for file in tmp_path.iterdir()] == ["light.pt"]


def test_batches_depend_on_seed_and_step_alone(frames):
    torch.manual_seed(1)
    one = frames.batch(StageConfig(batch=4), 7, 3, AugmentConfig(colour=0.0))
    torch.manual_seed(1)
    same = frames.batch(StageConfig(batch=4), 7, 3, AugmentConfig(colour=0.0))
    other = frames.batch(StageConfig(batch=4), 7, 4, AugmentConfig(colour=0.0))
    assert torch.equal(one.image, same.image) and torch.equal(one.segmentation, same.segmentation)
    torch.manual_seed(1)
    assert torch.equal(one.image, frames.images(StageConfig(batch=4), 7, 3, AugmentConfig(colour=0.0)))
    assert not torch.equal(one.image, other.image)


def test_augmentation_moves_labels_with_the_image(frames):
    batch = frames.batch(StageConfig(batch=8), 0, 0, AugmentConfig(zoom=1.5, turn_deg=8.0, mirror=True, colour=0.0))
    red = torch.nn.functional.avg_pool2d(batch.image, 2).mean(1)
    known = batch.segmentation != 255
    for image, labels, valid in zip(red, batch.segmentation, known, strict=True):
        left, right = (image[valid & (labels == k)] for k in (0, 1))
        assert right.mean() > left.mean() + 0.1  # class 1 is the brighter half, wherever it went
    assert set(batch.segmentation.unique().tolist()) <= {0, 1, 255}


class Ramp(torch.nn.Module):
    """Depth that grows from 1 m at the left to 2 m at the right, however large the image is."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.linspace(1, 2, image.shape[3] // 4).expand(len(image), 1, image.shape[2] // 4, -1)


class Sides(torch.nn.Module):
    """Class 0 at the left, 1 at the right; surer in larger images."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        side = torch.linspace(-1, 1, image.shape[3] // 4).expand(len(image), 1, image.shape[2] // 4, -1).sign()
        return torch.cat([-side, side], dim=1) * image.shape[3] / 96


def test_answers_of_several_views_are_averaged_in_the_frame_s_place_and_scale(frames):
    networks = {"segmentation": Sides(), "depth": Ramp()}
    once = averaged_answers(networks, frames, ViewsConfig())
    assert {task: answers.shape for task, answers in once.items()} == {
        "segmentation": (6, 2, 16, 24), "depth": (6, 1, 16, 24),
    }  # fmt: skip
    assert torch.allclose(once["depth"][0, 0, 0].float(), torch.linspace(1, 2, 24).log(), atol=0.002)
    larger = averaged_answers(networks, frames, ViewsConfig(zoom=(2.0,)))
    assert torch.allclose(larger["depth"], once["depth"] + math.log(2), atol=0.03)  # what is seen larger is closer
    both = averaged_answers(networks, frames, ViewsConfig(zoom=(1.0, 2.0), mirror=True))
    mean = (once["depth"] + larger["depth"]) / 2
    assert torch.allclose(both["depth"], (mean + mean.flip(3)) / 2, atol=0.01)
    assert torch.allclose(both["segmentation"][..., 2].exp(), torch.tensor(0.5).half(), atol=0.01)
    shares = averaged_answers(networks, frames, ViewsConfig(zoom=(1.0, 2.0)))["segmentation"][0, 1, 5, 20].exp()
    assert shares == pytest.approx(np.mean([1 / (1 + math.exp(-2 * sure)) for sure in (1, 2)]), abs=0.002)


def test_answers_go_with_the_changed_frames(frames):
    right = (torch.arange(24) >= 12).float().expand(6, 1, 16, 24)  # the brighter half
    answers = {"segmentation": torch.cat([1 - right, right], dim=1).half(), "depth": torch.zeros(6, 1, 16, 24)}
    augment = AugmentConfig(zoom_out=1.6, zoom=1.6, mirror=True, colour=0.0)
    image, seen = frames.seen(StageConfig(batch=8), 7, 3, augment, answers)
    assert image.shape == (8, 3, 64, 96) and seen["depth"].shape == (8, 1, 16, 24)
    assert torch.allclose(seen["depth"], torch.tensor(-math.log(1.6)))
    for grey, side in zip(torch.nn.functional.avg_pool2d(image, 4).mean(1), seen["segmentation"][:, 1], strict=True):
        assert grey[side > 0.9].mean() > grey[side < 0.1].mean() + 0.1


def places_of(width: int, height: int) -> torch.Tensor:
    """The places [1,h,w,2] of an unchanged view."""
    return torch.nn.functional.affine_grid(torch.eye(2, 3)[None], [1, 1, height, width], align_corners=False)


def test_a_wall_is_seen_from_aside_where_it_is():
    wall, places = torch.full((1, 1, 30, 40), math.log(2.0)), places_of(40, 30)
    reach, still = torch.tensor([0.6, 0.45]), torch.eye(3)[None]
    where, depth = Asides(still, torch.tensor([[0.3, 0.0, 0.5]]), reach).see(places, wall)
    assert torch.allclose(depth, torch.tensor(1.5).log(), atol=1e-3)  # half a metre ahead of where it was seen
    assert torch.allclose(where[0, ..., 0], (places[0, ..., 0] * 0.6 * 1.5 + 0.3) / (2.0 * 0.6), atol=1e-3)
    assert torch.allclose(where[0, ..., 1], places[0, ..., 1] * 1.5 / 2.0, atol=1e-3)


def test_a_turned_camera_sees_the_same_scene():
    places, config = places_of(80, 60).expand(4, -1, -1, -1), AsideConfig(share=1.0, move_m=0.2, turn_deg=6.0)
    slanted = (2.0 + 0.5 * places[..., 0] + 0.3 * places[..., 1]).log()[:, None]
    cameras = Asides.random(4, config, (80, 60), torch.Generator().manual_seed(1), torch.device("cpu"))
    assert not torch.allclose(cameras.turn, torch.eye(3)) and cameras.move.abs().amin() > 0
    assert torch.allclose(cameras.turn @ cameras.turn.transpose(1, 2), torch.eye(3).expand(4, 3, 3), atol=1e-6)
    where, depth = cameras.see(places, slanted)
    point = torch.nn.functional.pad(places * cameras.reach, (0, 1), value=1.0) * depth[:, 0, :, :, None].exp()
    point = (cameras.turn[:, None, None] @ point[..., None])[..., 0] + cameras.move[:, None, None]
    inside = where.abs().amax(3) < 0.95
    assert inside.float().mean() > 0.5
    seen_there = (2.0 + 0.5 * where[..., 0] + 0.3 * where[..., 1])[inside]
    assert torch.allclose(point[..., 2][inside], seen_there, rtol=0.01)
    assert torch.allclose(point[..., :2][inside] / point[..., 2:][inside] / cameras.reach, where[inside], atol=0.01)


def test_frames_and_answers_are_seen_from_the_same_place(frames):
    right = (torch.arange(24) >= 12).float().expand(6, 1, 16, 24)  # the brighter half
    answers = {"depth": torch.full((6, 1, 16, 24), math.log(2.0)), "segmentation": torch.cat([1 - right, right], 1)}
    augment = AugmentConfig(zoom=1.0, turn_deg=0.0, colour=0.0)

    def see(aside: AsideConfig | None) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        torch.manual_seed(0)
        return frames.seen(StageConfig(batch=8), 7, 3, augment, answers, aside)

    (image, seen), (same, answered) = see(None), see(AsideConfig(share=0.0))
    assert torch.allclose(image, same, atol=1e-3)
    assert all(torch.allclose(seen[task], answered[task], atol=1e-3) for task in answers)
    image, seen = see(AsideConfig(share=1.0, move_m=0.4))
    assert seen["depth"].exp().std((1, 2, 3)).max() > 0.01  # a wall that is not looked at straight
    assert 1.4 < seen["depth"].exp().amin() < 1.9 and 2.1 < seen["depth"].exp().amax() < 2.6
    borders = seen["segmentation"][:, 1, 8].argmax(1)
    assert borders.float().std() > 0.5
    for grey, side in zip(torch.nn.functional.avg_pool2d(image, 4).mean(1), seen["segmentation"][:, 1], strict=True):
        assert grey[side > 0.9].mean() > grey[side < 0.1].mean() + 0.1


def test_zooming_in_brings_surfaces_nearer(frames):
    batch = frames.batch(StageConfig(batch=8), 0, 0, AugmentConfig(zoom=2.0, turn_deg=0.0, colour=0.0))
    assert batch.depth[batch.depth > 0].min() >= 0.5 - 1e-6
    assert batch.depth.amax((1, 2, 3)).min() < 3.0


def test_a_window_shows_a_part_of_the_frame_at_its_own_scale(frames):
    stage = StageConfig(batch=8, window=(64, 32))
    still = AugmentConfig(zoom=1.0, turn_deg=0.0, colour=0.0)
    batch = frames.batch(stage, 0, 0, still)
    assert batch.image.shape == (8, 3, 32, 64) and batch.segmentation.shape == (8, 16, 32)
    whole = torch.nn.functional.interpolate(frames.image.float(), scale_factor=1.0) / 255.0
    spread = whole.std((1, 2, 3)).mean()
    assert abs(batch.image.std((1, 2, 3)).mean() - spread) < 0.5 * spread
    assert not (batch.segmentation == 255).any()  # windows stay within the frame
    labels = batch.segmentation.float().mean((1, 2))
    assert labels.max() > labels.min() + 0.2  # and lie at different places


def test_a_rare_class_counts_more_than_its_places():
    wanted = torch.full((1, 2, 10, 10), -8.0)
    wanted[:, 0, 1:], wanted[:, 1, :1] = 8.0, 8.0  # a tenth of the places is of class 1
    of_both = []
    for row in (9, 0):
        got = wanted.clone()
        got[:, :, row] *= -1
        of_both.append(FROM_TARGETS["segmentation"](got, wanted).item())
    assert of_both[1] == pytest.approx(3 * of_both[0], rel=0.01)  # the square root of nine times as many
    assert FROM_TARGETS["segmentation"](wanted, wanted).item() == pytest.approx(0.0, abs=1e-6)


def test_labels_outside_the_classes_are_ignored(frames):
    batch = frames.batch(StageConfig(batch=2), 0, 0, AugmentConfig())
    logits = torch.randn(2, 2, 16, 24)
    wanted = segmentation_from_labels(logits, batch, torch.ones(2))
    batch.segmentation[batch.segmentation == 255] = 7
    assert torch.equal(segmentation_from_labels(logits, batch, torch.ones(2)), wanted)


@pytest.mark.parametrize("task", ["segmentation", "classification"])
def test_a_batch_without_a_label_teaches_nothing(frames, task):
    batch = frames.batch(StageConfig(batch=2), 0, 0, AugmentConfig())
    batch.segmentation[:], batch.place[:] = 255, 9  # as of a class that the configuration does not know
    logits = torch.randn((2, 2, 16, 24) if task == "segmentation" else (2, 2), requires_grad=True)
    loss = FROM_LABELS[task](logits, batch, torch.ones(2))
    loss.backward()
    assert loss == 0 and not logits.grad.any()
    batch.segmentation[0], batch.place[0] = 1, 1
    alone = copy.deepcopy(batch)
    alone.segmentation, alone.place = batch.segmentation[:1], batch.place[:1]
    both, one = (FROM_LABELS[task](logits[: len(b.place)], b, torch.ones(2)) for b in (batch, alone))
    assert both.item() == pytest.approx(one.item(), rel=1e-5)


def test_a_task_without_any_label_is_named(folder, frames, places, tmp_path):
    bare = copy.copy(frames)
    bare.place = torch.full_like(frames.place, 2)  # one more than there are classes
    config = TrainConfig.load(folder / "train.yaml")
    with pytest.raises(ConfigError, match="tasks.classification: no training frame has a label for it"):
        trained_networks(config, tuple(config.tasks), bare, tmp_path)
    config = TrainConfig.load(write_config(folder, "hardened", targets=CONFIG["targets"] | {"robust": STAGE}))
    with pytest.raises(ConfigError, match="tasks.classification: no training frame"):
        robust_networks(config, places, bare, tmp_path)
    assert not list(tmp_path.iterdir())


def test_frames_are_not_held_at_full_size(folder, monkeypatch):
    seen, alive, load = [], [], FrameSet.load

    def watched(self: FrameSet, index: int):
        sample = load(self, index)
        seen.append(weakref.ref(sample.rgb))
        alive.append(sum(image() is not None for image in seen))
        return sample

    monkeypatch.setattr(FrameSet, "load", watched)
    found = FrameSets.open([folder / "frames", folder / "frames"])
    assert len(Frames(found, (96, 64), torch.device("cpu"))) == len(found) == 12
    assert len(list(found)) == 12  # and once more
    assert max(alive[:12]) <= 2


def test_classes_are_counted_as_the_configuration_names_them(tmp_path):
    for name, value in (("dark", 0), ("light", 200)):
        for part in ("train", "val"):
            (tmp_path / part / name).mkdir(parents=True)
            cv2.imwrite(str(tmp_path / part / name / "1.png"), np.full((64, 96, 3), value, np.uint8))
    tasks = {"classification": {"classes": ["light", "unseen", "dark"]}}
    path = write_config(tmp_path, "folders", train="train", val="val", tasks=tasks)
    run = _Run.open(path, tmp_path / "runs", "cpu")
    assert list(zip(run.frames.image.amax((1, 2, 3)), run.frames.place, strict=True)) == [(0, 2), (200, 0)]
    assert [(sample.rgb.max(), sample.place) for sample in run.val] == [(0, 2), (200, 0)]
    write_config(tmp_path, "folders", train="train", val="val", tasks={"classification": {"classes": ["light"]}})
    with pytest.raises(ConfigError, match="train: the folders dark are not among the classes light"):
        _Run.open(path, tmp_path / "runs", "cpu")


def test_degraded_frames_lose_detail_but_not_their_content():
    torch.manual_seed(0)
    image = torch.nn.functional.interpolate(torch.rand(10, 3, 8, 12), size=(64, 96), mode="bicubic").clamp(0, 1)
    noisy = (image + 0.2 * torch.randn_like(image)).clamp(0, 1)
    torch.manual_seed(1)
    changed = degraded(noisy)
    torch.manual_seed(1)
    assert torch.equal(changed, degraded(noisy))
    assert changed.shape == noisy.shape and 0 <= changed.min() and changed.max() <= 1
    off = (changed - noisy).abs().mean((1, 2, 3))
    assert off[0] < 1 / 255 and off[5] < 1 / 255  # one in five stays as it was
    assert off[[1, 2, 3, 4, 6, 7, 8, 9]].min() > 2 / 255
    smooth = torch.nn.functional.avg_pool2d(noisy, 16) - torch.nn.functional.avg_pool2d(changed, 16)
    assert smooth.abs().mean() < 0.05  # colours are not swapped, nothing moves


def write_config(folder: Path, name: str, **changes) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({**CONFIG, "name": name, **changes}))
    return path


def test_targets_trained_alone_are_frozen_and_taken_as_they_are(folder, tmp_path, capsys):
    made = tmp_path / "made"
    targets = CONFIG["targets"] | {"robust": STAGE}
    path = write_config(folder, "frozen", targets=targets)
    train_targets(path, made, tmp_path / "runs", "cpu")
    assert "depth: " in capsys.readouterr().out
    assert {file.name for file in made.iterdir()} == {"segmentation.onnx", "depth.onnx", "classification.onnx"}
    with pytest.raises(ConfigError, match=".onnx: is there already; remove it"):
        train_targets(path, made, tmp_path / "runs", "cpu")

    given = {task: str(made / f"{task}.onnx") for task in CONFIG["tasks"]}
    path = write_config(folder, "frozen", targets=targets | {"networks": given})
    train_targets(path, made, tmp_path / "other-runs", "cpu", robust=True)
    bundle = train(path, made, tmp_path / "other-runs", "cpu")
    for task in CONFIG["tasks"]:
        assert (bundle.path / f"{task}.onnx").read_bytes() == Path(given[task]).read_bytes()
        assert (tmp_path / f"made-robust/{task}.onnx").read_bytes() != Path(given[task]).read_bytes()
    assert not list((tmp_path / "other-runs").rglob("target*.pt"))  # nothing was trained again


@pytest.mark.parametrize("task", CONFIG["tasks"])
def test_a_stored_network_loads_with_the_weights_it_has(task, folder, tmp_path):
    network = build_target(task, CONFIG["tasks"][task], 0.5).eval()
    fuse_batch_norm(network)
    round_weights(network)
    path = tmp_path / "network.onnx"
    path.write_bytes(export_target(task, network, (96, 64)))
    config = TrainConfig.load(folder / "train.yaml")
    loaded = load_network(task, config, path).eval()
    image = torch.rand(1, 3, 64, 96)
    assert torch.allclose(loaded(image), network(image), atol=1e-5)
    wide = TrainConfig.load(write_config(folder, "wide", targets={"width": 1.0}))
    with pytest.raises(ConfigError, match=f"targets.networks.{task}: .*network.onnx: is not for these"):
        load_network(task, wide, path)


def test_a_file_that_is_no_network_is_named(folder, tmp_path):
    (tmp_path / "broken.onnx").write_text("not a network")
    config = TrainConfig.load(folder / "train.yaml")
    for name in ("broken.onnx", "missing.onnx"):
        with pytest.raises(ConfigError, match=f"targets.networks.depth: .*{name}: no readable ONNX"):
            load_network("depth", config, tmp_path / name)


def test_a_network_that_no_bundle_would_take_is_named_before_any_training(folder, tmp_path):
    network = build_target("segmentation", CONFIG["tasks"]["segmentation"], 0.5).eval()
    wrong = tmp_path / "wrong.onnx"
    wrong.write_bytes(export_target("segmentation", network, (96, 64)))
    for task, file, said in (
        ("depth", wrong, "has outputs .'logits'., must have .'depth'."),
        ("segmentation", tmp_path / "missing.onnx", "no such file"),
    ):
        path = write_config(folder, "given", targets=CONFIG["targets"] | {"networks": {task: str(file)}})
        with pytest.raises(ConfigError, match=f"targets.networks.{task}: {file}: {said}"):
            train(path, tmp_path / "out", tmp_path / "runs", "cpu")
    assert not (tmp_path / "runs").exists()


def test_robust_targets_need_their_stage(folder, tmp_path):
    with pytest.raises(ConfigError, match="targets.robust: missing"):
        train_targets(folder / "train.yaml", tmp_path / "out", folder / "runs", "cpu", robust=True)


def codec_of(folder: Path, name: str, **changes) -> TrainConfig:
    return TrainConfig.load(write_config(folder, name, codec=CONFIG["codec"] | changes))


def test_a_task_blind_codec_learns_the_image(folder, frames, tmp_path):
    halves = {"strong": STAGE | {"steps": 20}, "light": {"steps": 40, "batch": 4, "rate": 0.01}}
    config = codec_of(folder, "blind", objective="image", **halves)
    trained = train_codec(config, frames, {}, tmp_path)
    assert torch.load(tmp_path / "image.pt", weights_only=True)["step"] == 60  # as long as both stages of its sibling
    untrained = painting_codec(trained.layout).eval()
    image = frames.image.float() / 255.0
    before, after = (((through(codec, image) - image).square().mean()) for codec in (untrained, trained))
    assert after < 0.5 * before


@torch.no_grad()
def through(codec, image: torch.Tensor) -> torch.Tensor:
    """What full epitomes of images decode to."""
    full = torch.full((len(image),), len(codec.layout.layers))
    return codec.decode(codec.encoder(image)[0], full)


@pytest.fixture(scope="module")
def places(frames) -> dict[str, torch.nn.Module]:
    """A classification network that tells dark frames from light ones."""
    torch.manual_seed(0)
    network = build_target("classification", CONFIG["tasks"]["classification"], 0.5)
    optimiser, image = torch.optim.Adam(network.parameters(), lr=0.003), frames.image.float() / 255.0
    for _ in range(20):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(network(image), frames.place, label_smoothing=0.2).backward()
        optimiser.step()
    return {"classification": network.eval().requires_grad_(False)}


def test_the_codec_learns_what_the_target_network_needs(folder, frames, places, tmp_path):
    long = {"steps": 40, "batch": 6, "rate": 0.01}
    codec = CONFIG["codec"] | {"strong": long, "imitation": long, "light": long}
    still = {"zoom": 1.0, "turn_deg": 0.0, "colour": 0.0}
    config = TrainConfig.load(write_config(folder, "eager", codec=codec, augment=still))
    trained = train_codec(config, frames, places, tmp_path)
    eyes, image = Eyes(places), frames.image.float() / 255.0
    sight, untrained = eyes.look(image), painting_codec(trained.layout).eval()
    before, after = (eyes.distances(through(codec, image), sight) for codec in (untrained, trained))
    assert after["classification"] < 0.5 * before["classification"]
    assert after["features"] < 0.8 * before["features"]


@pytest.mark.parametrize("named", [True, False])
def test_a_bundle_with_a_map_of_classes_says_it_and_answers_from_it(folder, tmp_path, named):
    long = {"steps": 120, "batch": 4, "rate": 0.01}
    codec = {
        "layers": "2/whole, classes/8, 1/32, classes/4", "objective": "answers", "classes": long, "light": long,
        "views": {"zoom": [1.0, 1.5]}, "pasted": 0.5, "aside": {"move_m": 0.05}, "target_bytes": 60,
        "named": named,
    }  # fmt: skip
    targets = CONFIG["targets"] | {"joint": long, "tune": STAGE}
    config = write_config(folder, "mapped", codec=codec, targets=targets)
    bundle = train(config, tmp_path / "mapped", tmp_path / "runs", "cpu")
    kinds = [layer.classes for layer in bundle.layers]
    assert kinds[0] == 0 and kinds[1] == 2 and kinds[-1] == 2 and 0 in kinds[2:]
    assert bundle.answers == tuple(task for task in bundle.tasks if named or task != "classification")
    assert bundle.profile.agreement["segmentation"][-1] > 0.9  # by chance 0.5
    image = cv2.resize(FrameSet.open(folder / "frames").load(0).rgb, (96, 64))
    encoder, decoder = Encoder(bundle), Decoder(bundle)
    encoded = encoder.encode(image)
    latent = encoder.latents(image[None])[0]
    noise = np.random.default_rng(0).integers(0, 256, image.shape, np.uint8)  # of which there is more to say
    assert np.array_equal(decoder.read([encoded.segment()]).latent, latent)
    for tasks, kind in ((["segmentation"], Kind.CLASSES), (["depth", "classification"], Kind.NUMBERS)):
        assert bundle.kind(tasks) is kind and set(bundle.profile_of(tasks).agreement) == set(tasks)
        alone = encoder.encode(image, kind=bundle.kind(tasks)).segment()
        noisy = (encoder.encode(noise, kind=one).segment().stream for one in (bundle.kind(tasks), Kind.BOTH))
        assert len(next(noisy)) < len(next(noisy))
        numbers, places = np.split(decoder.read([alone], kind).latent, [-16 * 24])
        assert (places == NOTHING).all() if kind is Kind.NUMBERS else not numbers.any()
    assert bundle.kind(["segmentation", "depth"]) is Kind.BOTH
    said = latent[-16 * 24 :].reshape(16, 24)
    assert (said == (np.arange(24) >= 12)).mean() > 0.9  # by chance 0.5


def test_a_map_that_stays_is_the_same_after_the_decoder_has_learnt(folder, frames, tmp_path):
    codec = {
        "layers": "2/whole, classes/4", "objective": "answers", "classes": STAGE, "light": STAGE | {"steps": 20},
        "views": {"zoom": [1.0]}, "target_bytes": 60,
    }  # fmt: skip
    config = TrainConfig.load(write_config(folder, "stays", codec=codec, **of_task("segmentation")))
    network = build_target("segmentation", CONFIG["tasks"]["segmentation"], 0.5).eval().requires_grad_(False)
    finer = torch.nn.Sequential(network, torch.nn.Upsample(scale_factor=2.0))  # as a network of the user's may be
    trained = train_codec(config, frames, {"segmentation": finer}, tmp_path)
    learnt = torch.load(tmp_path / "classes.pt", weights_only=True)["average"]
    reader = torch.nn.ModuleDict({"trunk": trained.encoder.trunk, "classes": trained.encoder.class_map})
    kept = {key: weight.clone() for key, weight in reader.state_dict().items()}
    reader.load_state_dict({key: learnt[f"module.{key}"] for key in kept})
    answers = averaged_answers({"segmentation": finer}, frames, config.codec.views)["segmentation"]
    with torch.no_grad():
        images = frames.image.float() / 255.0
        logits = torch.cat([reader["classes"](reader["trunk"](image[None])) for image in images])
    for key, weight in reader.state_dict().items():
        leans = lean_of(logits, answers) if key == "classes.head.bias" else 0.0
        assert torch.equal(kept[key], weight + leans), key


class SplitScene(torch.nn.Module):
    """A depth network of the user's that answers 1 m on the left and 3 m on the right."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        columns = torch.arange(image.shape[3] // 4)
        depth = torch.where(columns < len(columns) // 2, 1.0, 3.0)
        return depth.expand(len(image), 1, image.shape[2] // 4, -1) + 0 * image[:, :1, ::4, ::4]


def test_at_last_a_decoder_learns_on_for_an_encoder_that_stays(folder, frames, tmp_path):
    network, still = SplitScene(), {"zoom": 1.0, "turn_deg": 0.0, "colour": 0.0}
    answering = {"layers": "2/whole, 1/32", "objective": "answers", "light": STAGE, "target_bytes": 60}
    config, longer = (
        TrainConfig.load(write_config(folder, "reader", codec=answering | more, augment=still, **of_task("depth")))
        for more in ({}, {"decoder": {"steps": 60, "batch": 4, "rate": 0.01}})
    )
    before, after = (train_codec(one, frames, {"depth": network}, tmp_path) for one in (config, longer))
    for kept, weight in zip(before.encoder.parameters(), after.encoder.parameters(), strict=True):
        assert torch.equal(kept, weight)
    image = frames.image.float() / 255.0
    wanted = network(image)
    first, last = (FROM_TARGETS["depth"](through(codec, image)["depth"], wanted).mean() for codec in (before, after))
    assert last < 0.5 * first
    (tmp_path / "light.pt").unlink()
    of_another = replace(longer, codec=replace(longer.codec, light=StageConfig(steps=5, batch=2)))
    with pytest.raises(ConfigError, match="decoder.pt: .*it is of .*, encoder .*, not .*, encoder "):
        train_codec(of_another, frames, {"depth": network}, tmp_path)


class OfOneSize(torch.nn.Module):
    """A network of the user's that takes frames of 96 x 64 pixels alone."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return (image * torch.ones(64, 96))[:, :2, ::4, ::4]


def test_a_network_that_cannot_take_a_view_is_named_before_any_training(folder, frames, tmp_path, monkeypatch):
    monkeypatch.setattr(targets, "load_network", lambda *_: OfOneSize())
    networks = {"networks": {"segmentation": "its.onnx"}}
    codec = MAP_ALONE | {"views": {"zoom": [1.0, 2.0]}}
    config = TrainConfig.load(write_config(folder, "fixed", codec=codec, targets=networks))
    with pytest.raises(ConfigError, match="codec.views.zoom: targets.networks.segmentation does not take 192 x 128"):
        target_networks(config, folder, frames, tmp_path)
    assert not list(tmp_path.glob("**/*.pt"))


def test_a_network_of_whole_frames_need_not_take_the_views_of_others(folder, frames, tmp_path, monkeypatch):
    monkeypatch.setattr(targets, "load_network", lambda *_: OfOneSize())
    codec = CONFIG["codec"] | {"objective": "answers", "views": {"zoom": [1.0, 2.0]}}
    given = {"targets": {"networks": {"classification": "its.onnx"}}}
    config = write_config(folder, "whole", codec=codec, **of_task("classification"), **given)
    assert set(target_networks(TrainConfig.load(config), folder, frames, tmp_path)) == {"classification"}


def test_a_light_encoder_learns_from_the_strong_one_s_example(folder, frames, places, tmp_path):
    long, none = {"steps": 60, "batch": 6, "rate": 0.003}, {"steps": 0}
    config = codec_of(folder, "pupil", strong=STAGE, imitation=long, light=none)
    trained, untrained = train_codec(config, frames, places, tmp_path), painting_codec(LatentLayout.of(LAYERS)).eval()
    image = frames.image.float() / 255.0
    eyes = Eyes(places)
    teacher = Codec(trained.layout, StrongEncoder(trained.layout, eyes.channels), Painter(trained.layout))
    weights = torch.load(tmp_path / "strong.pt", weights_only=True)["average"]
    teacher.load_state_dict({k.removeprefix("module."): w for k, w in weights.items() if k.startswith("module.")})
    with torch.no_grad(), mixed_precision(image.device):
        wanted = teacher.eval().encoder(eyes.look(image).features)
        before, after = (difference(codec.encoder(image)[0], wanted) for codec in (untrained, trained))
    assert after < 0.5 * before


def numbered_lesson(number: int) -> Lesson:
    batch = torch.full((4, 3, 2, 2), float(number))
    return Lesson(batch, (batch[:, :1],), (batch[:, :2], batch[:, :0]))


def test_lessons_are_drawn_from_the_latest_batches():
    lessons = Lessons(0, numbered_lesson)
    drawn = [lessons.draw(step) for step in range(200 * REPLAYS)][-50:]
    assert drawn[0].maps[1].shape == (4, 0, 2, 2)
    numbers = torch.cat([lesson.image[:, 0, 0, 0] for lesson in drawn]) / REPLAYS
    assert numbers.min() >= 58 and numbers.max() > 150 and numbers.unique().numel() > 60
    assert all(torch.equal(lesson.hints[0], lesson.image[:, :1]) for lesson in drawn)
    again = Lessons(0, numbered_lesson).draw(200 * REPLAYS - 1)  # after a stop
    assert torch.equal(again.image, drawn[-1].image)


def test_an_imitation_that_stopped_goes_on_to_the_same_weights(folder, frames, places, tmp_path, monkeypatch):
    config = codec_of(folder, "halted", imitation=STAGE | {"steps": 3 * REPLAYS})
    whole = train_codec(config, frames, places, tmp_path / "whole")
    update = Stage._update

    def stopping(self: Stage, loss: torch.Tensor, step: int) -> None:
        update(self, loss, step)
        if self.name == "imitation" and step == REPLAYS + 1:
            self._save()
            raise KeyboardInterrupt

    monkeypatch.setattr(Stage, "_update", stopping)
    with pytest.raises(KeyboardInterrupt):
        train_codec(config, frames, places, tmp_path / "stopped")
    monkeypatch.undo()
    again = train_codec(config, frames, places, tmp_path / "stopped")
    for name, weight in again.state_dict().items():
        assert torch.equal(weight, whole.state_dict()[name]), name


def test_half_of_the_frames_are_laid_over_others():
    torch.manual_seed(0)
    image = torch.arange(1000.0)[:, None, None, None].expand(-1, 3, 2, 2)
    over = mixed(image)
    assert 400 < (over != image).any((1, 2, 3)).sum() < 600
    low, high = torch.minimum(image, image.flip(0)), torch.maximum(image, image.flip(0))
    assert ((over >= low - 1e-3) & (over <= high + 1e-3)).all()


def test_a_bundle_may_keep_the_first_layers_only(folder, frames, places, tmp_path):
    codec = train_codec(codec_of(folder, "cut"), frames, places, tmp_path)
    size, shapes = (96, 64), codec.layout.shapes((96, 64))
    whole, cut = (export_codec(codec, size, kept) for kept in (None, 2))
    image = frames.image[:3].permute(0, 2, 3, 1).contiguous().numpy()
    latents = [InferenceSession(files["encoder.onnx"]).run(None, {"image": image})[0] for files in (whole, cut)]
    values = sum(shape.size for shape in shapes[:2])
    assert latents[1].shape == (3, values) and np.array_equal(latents[1], latents[0][:, :values])
    latents[0][:, values:] = 0
    first, second = (InferenceSession(files["decoder.onnx"]).run(None, {"latent": latent})[0]
                     for files, latent in zip((whole, cut), latents, strict=True))  # fmt: skip
    assert np.allclose(first, second, atol=1e-5)


def test_a_painting_codec_begins_alike_after_a_stop(folder, frames, places, tmp_path):
    config = codec_of(folder, "stopped")
    whole = train_codec(config, frames, places, tmp_path)
    (tmp_path / "light.pt").unlink()  # as if stopped when the strong stage was just finished
    again = train_codec(config, frames, places, tmp_path)
    for name, weight in again.state_dict().items():
        assert torch.equal(weight, whole.state_dict()[name]), name


def test_a_checkpoint_of_other_layers_is_refused(folder, frames, places, tmp_path):
    train_codec(codec_of(folder, "before", layers="1/16, 1/32"), frames, places, tmp_path)
    with pytest.raises(ConfigError, match="strong.pt.*another configuration.*of 1/16, 1/32, not 1/32, 1/16"):
        train_codec(codec_of(folder, "after", layers="1/32, 1/16"), frames, places, tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 1}, "seed 0, not .*seed 1"),
        ({"augment": {"zoom": 2.0}}, "augment .*, not"),
        ({"tasks": {"classification": {"classes": ["dark", "pale"]}}}, "tasks .*, not"),
    ],
)
def test_a_checkpoint_of_other_settings_is_refused(folder, frames, places, tmp_path, change, said):
    train_codec(codec_of(folder, "first"), frames, places, tmp_path)
    other = TrainConfig.load(write_config(folder, "other", **change))
    with pytest.raises(ConfigError, match=f"strong.pt.*another configuration; remove it.*{said}"):
        train_codec(other, frames, places, tmp_path)


def test_a_checkpoint_of_other_frames_is_refused(folder, frames, places, tmp_path):
    train_codec(codec_of(folder, "few"), frames, places, tmp_path)
    more = Frames(FrameSets.open([folder / "frames", folder / "frames"]), (96, 64), torch.device("cpu"))
    with pytest.raises(ConfigError, match=f"strong.pt.*frames {frames.digest}, .*, not frames {more.digest}"):
        train_codec(codec_of(folder, "few"), more, places, tmp_path)


def test_a_checkpoint_of_another_given_network_is_refused(folder, frames, places, tmp_path):
    given = CONFIG["targets"] | {"networks": {"classification": "classification.onnx"}}
    config = TrainConfig.load(write_config(folder, "taught", targets=given))
    train_codec(config, frames, places, tmp_path)
    train_codec(config, frames, {"classification": copy.deepcopy(places["classification"])}, tmp_path)
    other = build_target("classification", CONFIG["tasks"]["classification"], 0.5).eval().requires_grad_(False)
    with pytest.raises(ConfigError, match="strong.pt.*networks .*, not"):
        train_codec(config, frames, {"classification": other}, tmp_path)


def test_the_colours_of_classes_are_no_other_settings(folder, frames, places, tmp_path):
    train_codec(codec_of(folder, "plain"), frames, places, tmp_path)
    painted = CONFIG["tasks"]["segmentation"] | {"palette": [[0, 255, 0], [0, 0, 0]]}
    config = write_config(folder, "painted", tasks=CONFIG["tasks"] | {"segmentation": painted})
    train_codec(TrainConfig.load(config), frames, places, tmp_path)


def test_single_frames_make_a_batch_too(folder, frames, places, tmp_path):
    one = STAGE | {"batch": 1}
    codec = train_codec(codec_of(folder, "single", strong=one, imitation=one, light=one), frames, places, tmp_path)
    assert all(weight.isfinite().all() for weight in codec.parameters())


def test_networks_that_show_no_features_need_no_strong_encoder(folder, frames, tmp_path):
    mean = {"classification": torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())}
    train_codec(codec_of(folder, "foreign"), frames, mean, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["light.pt"]


def test_a_gpu_that_is_not_there_is_named(folder, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ConfigError, match="--device cuda: .* finds no GPU here; use --device cpu"):
        train(folder / "train.yaml", tmp_path / "out", tmp_path / "runs", "cuda")


def test_mixed_precision_is_for_processors_that_have_it():
    about = Path("/proc/cpuinfo")
    if not about.exists() or "flags\t" not in about.read_text():
        pytest.skip("asks Linux on x86 what the processor has")
    able = {"amx_bf16", "avx512_bf16"} & set(about.read_text().split())
    with mixed_precision(torch.device("cpu")):
        made = torch.nn.Conv2d(1, 1, 1)(torch.ones(1, 1, 2, 2)).dtype
    assert made == (torch.bfloat16 if able else torch.float32)


def test_the_learning_rate_rises_then_falls_to_zero():
    stage = StageConfig(steps=1000, rate=1.0)
    rates = [learning_rate(step, stage) for step in range(1000)]
    assert rates[0] < 0.1 and max(rates) > 0.99 and rates[-1] < 1e-3


@pytest.mark.parametrize("task", CONFIG["tasks"])
def test_folding_batch_norm_changes_nothing(task):
    network = build_target(task, CONFIG["tasks"][task], 0.5)
    for _ in range(3):
        network.train()(torch.rand(2, 3, 64, 96))
    network.eval()
    folded = copy.deepcopy(network)
    fuse_batch_norm(folded)
    image = torch.rand(1, 3, 64, 96)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded.modules())
    assert torch.allclose(folded(image), network(image), atol=1e-4)


def test_eight_bit_weights_are_stored_in_eight_bits():
    network = build_target("depth", CONFIG["tasks"]["depth"], 0.5).eval()
    fuse_batch_norm(network)
    whole = export_target("depth", network, (96, 64))
    round_weights(network)
    small = export_target("depth", network, (96, 64))  # compares its output with the network's
    assert len(small) < 0.3 * len(whole)


def test_a_network_that_computes_no_numbers_is_not_exported():
    network = build_target("classification", CONFIG["tasks"]["classification"], 0.5).eval()
    with torch.no_grad():
        next(network.parameters()).fill_(float("nan"))
    with pytest.raises(BundleError, match="differs from the trained one by nan"):
        export_target("classification", network, (96, 64))


MAP_ALONE = {"layers": "2/whole, classes/4", "objective": "answers"}


def many_classes(count: int) -> dict:
    settings = {"classes": [str(k) for k in range(count)], "palette": [[k, k, k] for k in range(count)]}
    return {"tasks": {"segmentation": settings}}


def of_task(task: str, **settings) -> dict:
    return {"tasks": {task: CONFIG["tasks"][task] | settings}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": 3}, "name: 3 is no name"),
        ({"name": "../mine"}, "name: '../mine' is no name"),
        ({"seed": "one"}, "seed: 'one' is not a whole number"),
        (of_task("depth", min_m=0), "tasks.depth.min_m: 0 is not a number of metres above 0"),
        (of_task("depth", min_m=8.0), "tasks.depth: min_m 8 is not below max_m 8"),
        (of_task("depth", max_m="far"), "tasks.depth.max_m: 'far' is not a number"),
        (of_task("depth", metric=True), "tasks.depth.metric: unknown; known are min_m, max_m"),
        ({"tasks": {"depth": {"min_m": 1.0}}}, "tasks.depth.max_m: missing; give a number of metres"),
        ({"tasks": {"depth": None}}, "tasks.depth: None does not give its min_m and max_m"),
        ({"tasks": ["depth"]}, "tasks: expected a mapping"),
        (of_task("segmentation", classes=[]), "tasks.segmentation.classes: .* is not a list of 1 to 255 texts"),
        (of_task("classification", classes="dark"), "tasks.classification.classes: 'dark' is not a list"),
        (of_task("classification", classes=[True, False]), "tasks.classification.classes: .True, False. is not a list"),
        (of_task("segmentation", palette=[[0, 0, 0]]), "tasks.segmentation.palette: has 1 colours for 2 classes"),
        (of_task("segmentation", palette=[[0, 0, 0], [0, 0, 256]]), "tasks.segmentation.palette: .*from 0 to 255"),
        ({"augment": {"zoom": 0}}, "augment.zoom: 0 is not a number above 0"),
        ({"augment": {"turn_deg": "5"}}, "augment.turn_deg: '5' is not a number from 0 up"),
        ({"augment": {"mirror": "both"}}, "augment.mirror: 'both' is neither true nor false"),
        ({"targets": {"width": "wide"}}, "targets.width: 'wide' is not a number"),
        ({"targets": {"networks": {"depth": None}}}, "targets.networks: .*does not give tasks an ONNX file"),
        ({"codec": {"later": ["depth"]}}, "codec.later: .* does not give tasks a number from 0 to 1 each"),
        ({"codec": {"light": {"rate": float("nan")}}}, "codec.light.rate: nan is not a number"),
        ({"train": "", "val": "", "scenes": {"train_seeds": [1], "val_seeds": [-1]}}, "scenes: seeds must be whole"),
        ({"colour": 1}, "colour: unknown"),
        ({"input": {"width": 100}}, "input.width"),
        ({"tasks": {"flow": {}}}, "tasks: flow"),
        ({"codec": {"strong": {"stepz": 1}}}, "codec.strong.stepz: unknown"),
        ({"codec": {"stage": STAGE}}, "codec.stage: unknown; known are .*light.*strong"),
        ({"codec": {"later": {"depth": 2}}}, "codec.later.depth: 2 is not a number from 0 to 1"),
        ({"codec": {"later": {"colour": 0.5}}}, "codec.later: colour: not among the tasks"),
        ({"codec": {"judged": {"depth": 0}}}, "codec.judged.depth: 0 is not a number from 0 to 1"),
        ({"codec": {"judged": {"colour": 0.5}}}, "codec.judged: colour: not among the tasks"),
        ({"codec": {"kept": 99}}, "codec.kept: 99 is not a number of layers from 1 to "),
        ({"codec": {"light": {"steps": "many"}}}, "codec.light.steps: 'many' is not a whole number"),
        ({"codec": {"light": {"rate": "1e-3"}}}, "codec.light.rate: '1e-3' is not a number"),
        ({"codec": {"strong": {"window": [320, 250]}}}, r"codec.strong.window: \[320, 250\] is not .*multiples of 32"),
        ({"codec": {"layers": [1, 2, 5]}}, "codec.layers: .*is no text; write for instance 4/whole"),
        ({"codec": {"layers": "2/16, 3/8"}}, "codec.layers: '3/8' is no layer; write for instance 4/whole"),
        ({"codec": {"layers": "0/16"}}, "codec.layers: '0/16'"),
        ({"codec": {"layers": "1/16, classes/8"}}, "codec.layers: a map of classes .* ends with classes/4"),
        ({"codec": {"layers": "1/16, classes/4, classes/4"}}, "codec.layers: a map of classes gets finer"),
        ({"codec": {"layers": "classes/4"}}, "codec.layers: a map of classes alone"),
        ({"codec": {"layers": "1/16, classes/4"}}, "a map of classes goes with objective: answers"),
        ({"codec": MAP_ALONE | {"kept": 1}}, "a map of classes goes with objective: answers, and without kept"),
        ({"codec": MAP_ALONE} | of_task("depth"), "needs the task segmentation, with 2 to 32"),
        ({"codec": MAP_ALONE} | many_classes(33), "needs the task segmentation, with 2 to 32"),
        ({"codec": MAP_ALONE | {"layers": "253 x 1/64, classes/4"}}, "253 layers beside a map of classes, at most 2"),
        ({"codec": {"views": {"zoom": [0]}}}, r"codec.views.zoom: \[0\] are not numbers from 0.25 to 4"),
        ({"codec": {"views": {"mirror": "yes"}}}, "codec.views.mirror: 'yes' is neither true nor false"),
        ({"codec": {"aside": {"share": 2}}}, "codec.aside.share: 2 is not a number from 0 to 1"),
        ({"codec": {"aside": {"view_deg": 180}}}, "codec.aside.view_deg: 180 is not a number from 10 to 170"),
        ({"codec": {"aside": {}}}, "codec.aside: needs objective: answers, and the task depth"),
        ({"codec": MAP_ALONE | {"aside": {}}} | of_task("segmentation"), "codec.aside: needs .* the task depth"),
        ({"codec": {"decoder": {}}}, "codec.decoder: needs objective: answers"),
        ({"codec": {"pasted": 2}}, "codec.pasted: 2 is not a number from 0 to 1"),
        ({"codec": {"augment": {"zom": 1}}}, "codec.augment.zom: unknown"),
        ({"codec": {"layers": "300 x 1/16"}}, "codec.layers: more than 255 layers"),
        ({"codec": {"pictures": 1}}, "codec.pictures: 1 is neither true nor false"),
        ({"codec": {"target_bytes": 0}}, "codec: target_bytes"),
        ({"codec": {"named": "always"}}, "codec.named: 'always' is neither true nor false"),
        ({"codec": {"byte_weight": 0}}, "codec.byte_weight: 0 is not a number above 0"),
        ({"codec": {"seen": "much"}}, "codec.seen: 'much' is not a number above 0"),
        ({"codec": 3}, "codec.: expected a mapping"),
        ({"codec": {"objective": "beauty"}}, "codec.objective: 'beauty'"),
        ({"targets": {"networks": {"flow": "flow.onnx"}}}, "targets.networks: flow"),
    ],
)
def test_a_wrong_configuration_is_named(tmp_path, change, message):
    path = tmp_path / "train.yaml"
    path.write_text(yaml.safe_dump({**CONFIG, **change}))
    with pytest.raises(ConfigError, match=f"train.yaml: .*{message}"):
        TrainConfig.load(path)


def test_a_configuration_that_is_no_text_is_named(tmp_path):
    path = tmp_path / "train.yaml"
    path.write_bytes("name: caf\u00e9\n".encode("latin-1"))
    with pytest.raises(ConfigError, match="train.yaml: .*utf-8"):
        TrainConfig.load(path)


SHIPPED = sorted((Path(__file__).resolve().parent.parent / "models").glob("*/train.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.parent.name)
def test_the_bundles_that_ship_can_be_trained_again(path):
    assert TrainConfig.load(path).name == path.parent.name


def test_a_missing_folder_of_frames_is_named(tmp_path):
    path = tmp_path / "train.yaml"
    path.write_text(yaml.safe_dump({**CONFIG, "train": "nowhere"}))
    with pytest.raises(ConfigError, match="nowhere: no such folder"):
        train(path, tmp_path / "out", tmp_path / "runs", "cpu")


def test_a_missing_folder_to_validate_on_is_named_before_any_training(folder, tmp_path):
    path = write_config(folder, "blindfold", val="nowhere")
    with pytest.raises(ConfigError, match="nowhere: no such folder"):
        train(path, tmp_path / "out", tmp_path / "runs", "cpu")
    assert not (tmp_path / "runs").exists()


def test_a_folder_that_may_not_become_a_bundle_is_named_before_any_training(folder, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(BundleError, match="is no bundle"):
        train(folder / "train.yaml", tmp_path, tmp_path / "runs", "cpu")
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("films", [0, 2])
def test_scenes_come_with_films(tmp_path, films):
    scenes = {"train_seeds": [1], "val_seeds": [2], "frames": 2, "step": 60, "films": films}
    path = write_config(tmp_path, "rooms", train="", val="", scenes=scenes)
    folders = FrameFolders.of(TrainConfig.load(path), path, tmp_path / "runs")
    found = FrameSets.open(folders.films)
    assert [len(run) for run in found.runs(FILM_STEP)] == [FILM_FRAMES] * films
    assert len(FrameSets.open(folders.train)) == 2


def test_a_bundle_trained_on_a_video_codes_a_frame_given_the_one_before(folder, bundle, tmp_path):
    film, random = folder / "film", np.random.default_rng(3)
    film.mkdir()
    scene = cv2.resize(random.integers(0, 256, (24, 40, 3), np.uint8), (480, 288))
    for number in range(70):
        shown = scene[number // 2 : number // 2 + 128, 2 * number : 2 * number + 192]
        cv2.imwrite(str(film / f"{number:03d}.png"), shown)
    layers = "2/whole, classes/8, 1/32, classes/4"
    codec = CONFIG["codec"] | {"layers": layers, "objective": "answers", "classes": STAGE}
    networks = {task: str(bundle.path / f"{task}.onnx") for task in CONFIG["tasks"]}
    targets = {"width": CONFIG["targets"]["width"], "networks": networks}
    path = write_config(folder, "film-codec", train="film", codec=codec, targets=targets)
    bundle = train(path, tmp_path / "film", tmp_path / "runs", "cpu")
    stages = len(class_lattice(16, 24).stages) - 1
    assert bundle.tables.paces == 3 and bundle.class_tables.stages == all_stages(stages, 2)
    coder, encoder = bundle.coder(), Encoder(bundle)
    before, now = encoder.latents(np.stack([cv2.resize(FrameSet.open(film).load(n).rgb, (96, 64)) for n in (20, 21)]))
    earlier = coder.received(before, coder.layers)
    coded = coder.code(now, earlier=earlier)
    assert np.array_equal(coder.decode([coded.whole], earlier=earlier if coded.after else None), now)


def test_rendered_scenes_say_what_is_wrong_with_them(tmp_path, capsys):
    assert render_scenes(["--seed", "-1", "--out", str(tmp_path)]) == 1
    assert "a seed of 0 or more" in capsys.readouterr().err
    rooms = {"train_seeds": [1], "val_seeds": [2], "frames": 2}
    path = write_config(tmp_path, "rooms", train="", val="", scenes=rooms)
    damaged = tmp_path / "runs" / "scenes" / "96x64-2-by-43-seed-1" / "places.csv"
    damaged.parent.mkdir(parents=True)
    damaged.write_text("frame,place\nframe-000000,\n")
    with pytest.raises(ConfigError, match="places.csv: expected the columns frame,place"):
        train(path, tmp_path / "out", tmp_path / "runs", "cpu")

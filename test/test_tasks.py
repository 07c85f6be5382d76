# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from nepi_ros.errors import ConfigError
from nepi_ros.tasks import REGISTRY, TASKS, TaskSpec, classification, depth, segmentation, task_mask, task_names
from nepi_ros.tasks.resample import bilinear

SPECS = {
    "segmentation": TaskSpec("segmentation", "s.onnx", ("a", "b", "c"), ((0, 0, 0),) * 3),
    "depth": TaskSpec("depth", "d.onnx", min_m=0.5, max_m=8.0),
    "classification": TaskSpec("classification", "c.onnx", ("x", "y")),
}


@pytest.mark.parametrize("mask", range(1, 8))
def test_mask_and_names_are_inverse(mask):
    assert task_mask(task_names(mask)) == mask


def test_mask_bits_are_those_of_the_message():
    assert [task_mask([name]) for name in TASKS] == [1, 2, 4]


@pytest.mark.parametrize("names", [[], ["colour"], ["depth", "Depth"]])
def test_mask_refuses_unknown_and_none(names):
    with pytest.raises(ConfigError, match="segmentation, depth, classification"):
        task_mask(names)


@pytest.mark.parametrize("mask", [0, -1, 8, 255])
def test_names_refuse_unknown_bits(mask):
    with pytest.raises(ConfigError, match=str(mask)):
        task_names(mask)


def test_bilinear_keeps_edges_of_pixels_in_place():
    ramp = (np.arange(4, dtype=np.float32) + 0.5)[None].repeat(2, axis=0)  # value = place of the pixel's centre
    wide = bilinear(ramp, (8, 4))[0]
    assert np.allclose(wide[1:-1], (np.arange(8)[1:-1] + 0.5) / 2)


@pytest.mark.parametrize("size", [(3, 2), (1, 1)])
def test_bilinear_takes_a_single_pixel(size):
    assert bilinear(np.ones((1, 1), np.float16), size).shape == size[::-1]


def test_labels_are_the_largest_upsampled_logit():
    logits = np.zeros((3, 2, 2), np.float32)
    logits[2, :, 0] = logits[1, :, 1] = 5
    before = logits.copy()
    assert segmentation.labels(logits, (4, 2)).tolist() == [[2, 2, 1, 1]] * 2
    assert segmentation.labels(logits, (2, 2)).tolist() == [[2, 1]] * 2
    assert np.array_equal(logits, before)


def test_mean_iou_by_hand():
    truth, predicted = np.array([[0, 0, 1, 255]], np.uint8), np.array([[0, 1, 1, 0]], np.uint8)
    assert segmentation.mean_iou(predicted, truth, 3) == pytest.approx(0.5)  # class 2 does not occur


def test_predictions_outside_the_classes_are_wrong():
    truth = np.zeros((1, 4), np.uint8)
    assert segmentation.mean_iou(np.array([[0, 0, 7, 255]], np.uint8), truth, 2) == pytest.approx(0.5)


def test_iou_without_truth_is_nan():
    nothing = np.full((2, 2), 255, np.uint8)
    assert np.isnan(segmentation.mean_iou(nothing, nothing, 3))


def test_confusion_refuses_shapes_that_differ():
    with pytest.raises(ValueError, match="shape"):
        segmentation.ConfusionMatrix(2).add(np.zeros((1, 2), np.uint8), np.zeros((2, 1), np.uint8))


def test_delta1_ignores_invalid_truth_and_punishes_invalid_predictions():
    truth = np.array([0, np.nan, np.inf, -1, 2, 2, 2, 2], np.float32)
    predicted = np.array([5, 5, 5, 5, 2.4, 2.6, np.nan, 0], np.float32)
    assert depth.delta1(predicted, truth) == pytest.approx(0.25)


def test_depth_metrics_by_hand():
    truth, predicted = np.array([1.0, 2.0, 0.0]), np.array([1.5, 1.0, 9.0])
    assert depth.abs_rel(predicted, truth) == pytest.approx(0.5)
    assert depth.rmse(predicted, truth) == pytest.approx(np.sqrt((0.25 + 1) / 2))


def test_depth_metrics_without_truth_are_nan():
    nothing = np.zeros(3)
    assert all(np.isnan(metric(nothing, nothing)) for metric in (depth.delta1, depth.abs_rel, depth.rmse))


def test_delta1_of_depth_in_16_bits():
    assert depth.delta1(np.array([1000], np.uint16), np.array([1100], np.uint16)) == 1


def test_top_k_is_sorted_and_sums_to_one():
    best = classification.top_k(np.array([1.0, 3.0, 2.0]), ["a", "b", "c"], 5)
    assert [name for name, _ in best] == ["b", "c", "a"]
    assert sum(p for _, p in best) == pytest.approx(1)


def test_probabilities_survive_large_and_broken_logits():
    assert classification.probabilities(np.array([1e6, 0.0])).tolist() == [1, 0]
    assert classification.probabilities(np.array([np.nan, 0.0])).tolist() == [0, 1]
    assert classification.probabilities(np.array([np.nan, -np.inf])).tolist() == [0.5, 0.5]


def test_agreement_of_classes():
    assert classification.agreement(np.array([[0, 1], [1, 0]]), np.array([[0, 2], [0, 2]])) == 0.5


@pytest.mark.parametrize("name", TASKS)
def test_registry_turns_outputs_into_results_and_meters_them(name):
    task, spec = REGISTRY[name], SPECS[name]
    shape = (task.channels(spec), 6, 8)[: task.rank - 1]
    output = np.random.default_rng(0).normal(3, 1, shape).astype(np.float32)
    result = task.result(output, (16, 12), spec)
    assert result.shape == ((12, 16) if task.dense else (2,))
    agreement, accuracy = task.agreement(spec), task.accuracy(spec)
    assert np.isnan(agreement.value()) and np.isnan(accuracy.value())
    agreement.add(result, result)
    accuracy.add(result, result if task.dense else np.array(result.argmax()))
    assert agreement.value() == accuracy.value() == 1


@pytest.mark.parametrize("name", ["segmentation", "classification"])
def test_two_opinions_of_classes_make_the_likeliest_by_both(name):
    blend, rest = REGISTRY[name].blend, (1,) * (REGISTRY[name].rank - 2)
    one, other = (np.log(np.array(shares, np.float32).reshape(3, *rest)) for shares in ((7, 2, 1), (1, 8, 1)))
    assert [blend(one, other, weight).argmax() for weight in (0.1, 0.5, 1.0, 9.0)] == [0, 0, 1, 1]
    shares = np.exp(blend(one, other, 1.0)).ravel()
    assert np.allclose(shares, np.sqrt(np.array([7, 16, 1]) / 100), rtol=1e-5)
    assert np.allclose(blend(one + 5, other - 3, 0.7), blend(one, other, 0.7), atol=1e-5)


def test_two_depths_make_the_one_between_by_ratio():
    near, far = np.full((1, 4, 6), 2.0, np.float32), np.full((1, 2, 3), 8.0, np.float32)
    assert np.allclose(REGISTRY["depth"].blend(near, far, 1.0), np.full((1, 4, 6), 4.0))
    assert np.allclose(REGISTRY["depth"].blend(near, far, 0.5), np.full((1, 4, 6), 2 * 4 ** (1 / 3)))
    nothing = np.array([[[0.0, -1.0]]], np.float32)
    assert np.isfinite(REGISTRY["depth"].blend(nothing, nothing, 1.0)).all()


def test_depth_results_stay_in_the_range_of_the_bundle():
    output = np.array([[[-1, 100]]], np.float32)
    assert REGISTRY["depth"].result(output, (2, 1), SPECS["depth"]).tolist() == [[0.5, 8]]


def test_unknown_class_is_no_truth():
    meter = REGISTRY["classification"].accuracy(SPECS["classification"])
    meter.add(np.array([0.1, 0.9]), np.array(-1))
    assert np.isnan(meter.value())

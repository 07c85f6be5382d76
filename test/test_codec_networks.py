# SPDX-License-Identifier: Apache-2.0
import logging
from dataclasses import replace

import numpy as np
import pytest
from onnx import TensorProto, helper
from tiny_bundle import LAYERS, PICTURES, make_tiny_bundle, segmentation_network, tiny_frames

from nepi_ros.codec import Decoder, Encoder, Segment, TargetNetworks, View, make_session, untouched
from nepi_ros.codec.sessions import Network
from nepi_ros.errors import BundleError, CodecError, ConfigError
from nepi_ros.tasks import TASKS


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


def test_a_longer_prefix_gives_a_better_picture(bundle):
    frame = tiny_frames(1, seed=5)[0]
    encoded = Encoder(bundle).encode(frame)
    assert encoded.layers == len(LAYERS)
    views = Decoder(bundle).decode([[encoded.segment(0, k)] for k in range(1, len(LAYERS) + 1)])
    images = np.stack([view.image for view in views])
    assert images.shape == (len(LAYERS), 3, 120, 160) and images.dtype == np.float32
    errors = ((images - untouched(frame[None])) ** 2).mean(axis=(1, 2, 3))
    assert (np.diff(errors) < 0).all() and errors[-1] < 0.005


def test_fewer_layers_are_the_same_first_layers(bundle):
    encoder, frame = Encoder(bundle), tiny_frames(1, seed=5)[0]
    assert encoder.encode(frame, 2).segment() == encoder.encode(frame).segment(0, 2)
    for layers in (0, len(LAYERS) + 1):
        with pytest.raises(ValueError, match=f"{layers} layers asked of {len(LAYERS)}"):
            encoder.encode(frame, layers)


@pytest.mark.parametrize("room", [1, 100, 400, 1000, 100_000])
def test_segments_hold_all_layers_and_fit_their_room(bundle, room):
    encoded = Encoder(bundle).encode(tiny_frames(1, seed=5)[0])
    alone = [len(encoded.segment(k, 1).stream) for k in range(len(LAYERS))]
    for count in range(1, len(LAYERS) + 1):
        segments = encoded.segments(count, room)
        assert [s.first for s in segments] == [0, *(s.stop for s in segments[:-1])] and segments[-1].stop == count
        assert all(len(s.stream) <= room or s.count == 1 and alone[s.first] > room for s in segments)
        about, real = encoded.sizes_about(room)[count - 1], [len(s.stream) for s in segments]
        assert len(about) != len(real) or np.abs(np.subtract(about, real)).max() <= 2
        assert abs(len(about) - len(real)) <= 1


def test_no_layers_decode_to_an_even_picture(bundle):
    assert np.ptp(Decoder(bundle).decode([[]])[0].image) == 0


def test_one_damaged_frame_is_an_error(bundle):
    with pytest.raises(CodecError):
        Decoder(bundle).decode([[], [Segment(1, 1, b"")]])


def test_images_of_another_size_are_refused(bundle):
    with pytest.raises(ValueError, match="120, 160, 3"):
        Encoder(bundle).encode(np.zeros((64, 64, 3), np.uint8))


def test_targets_give_each_task_its_output(bundle):
    networks = TargetNetworks(bundle, TASKS)
    outputs = networks.run(untouched(tiny_frames(3)))
    assert networks.tasks == TASKS
    assert {task: output.shape for task, output in outputs.items()} == {
        "segmentation": (3, 4, 30, 40), "depth": (3, 1, 30, 40), "classification": (3, 5),
    }  # fmt: skip
    assert list(networks.run(untouched(tiny_frames(1)), ["depth"])) == ["depth"]


def test_a_decoder_that_answers_leaves_pictures_to_the_networks(tmp_path, bundle):
    mapped, image = make_tiny_bundle(tmp_path / "mapped", mapped=True, pictures=PICTURES), tiny_frames(1, seed=5)[0]
    encoder, decoder = Encoder(mapped), Decoder(mapped)
    few, whole, picture = (encoder.encode(image, k).segment() for k in (3, len(mapped.layers), mapped.layer_count))
    views = decoder.decode([[few], [picture], [whole]])
    dense = ["segmentation", "depth"]
    assert [list(view.answers) for view in views] == [dense, [], dense]
    networks = TargetNetworks(mapped, mapped.tasks)
    seen, looked = networks.see(views), networks.run(np.stack([view.image for view in views]))
    for task in TASKS:
        for output, view, other in zip(seen[task], views, looked[task], strict=True):
            assert output is view.answers[task] if task in view.answers else np.array_equal(output, other)
    # What answers are made of here is what the other bundle's decoder paints for the same networks.
    painted = Decoder(bundle).decode([[Encoder(bundle).encode(image, 3).segment()]])
    for task, outputs in TargetNetworks(bundle, TASKS).see(painted).items():
        assert np.allclose(outputs[0], seen[task][0], atol=1e-4)


def test_tasks_that_are_answered_need_no_image(tmp_path):
    bundle = make_tiny_bundle(tmp_path / "one", tasks=["segmentation", "depth"], mapped=True)
    segment = Encoder(bundle).encode(tiny_frames(1)[0]).segment()
    assert [view.image for view in Decoder(bundle).decode([[segment]])] == [None]
    networks = TargetNetworks(bundle, ["depth"])
    answer = np.zeros((1, 2, 2), np.float32)
    assert networks.see([View(answers={"depth": answer})])["depth"][0] is answer
    assert networks.see([], ["depth"]) == {"depth": []}


def test_a_task_the_bundle_lacks_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no task 'depth', only classification"):
        TargetNetworks(make_tiny_bundle(tmp_path / "one", tasks=["classification"]), ["depth"])


def test_providers_that_are_not_here_fall_back_to_the_cpu(bundle, caplog):
    with caplog.at_level(logging.WARNING):
        session = make_session(bundle.path / "encoder.onnx", ["NoSuchExecutionProvider"])
    assert session.get_providers() == ["CPUExecutionProvider"]
    assert "encoder.onnx: NoSuchExecutionProvider not usable here, running on CPUExecutionProvider" in caplog.text
    caplog.clear()
    assert Decoder(bundle, ["CPUExecutionProvider"], threads=2).providers == ["CPUExecutionProvider"]
    assert not caplog.text


@pytest.mark.parametrize("content", [None, b"", b"not a network"])
def test_what_is_no_network_is_named(tmp_path, content):
    path = tmp_path / "broken.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BundleError, match="broken.onnx: not a network"):
        make_session(path)


def identity_network(path, source=("image", TensorProto.FLOAT, ["N", 3, 4]), result="image2"):
    ports = [
        helper.make_tensor_value_info(*source),
        helper.make_tensor_value_info(result, source[1], source[2]),
    ]
    node = helper.make_node("Identity", [source[0]], [result])
    graph = helper.make_graph([node], "identity", ports[:1], ports[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"source": ("picture", TensorProto.FLOAT, ["N", 3, 4])}, "has inputs.*must have ..image.."),
        ({"source": ("image", TensorProto.DOUBLE, ["N", 3, 4])}, r"input 'image' is tensor\(double\), must be float32"),
        ({"source": ("image", TensorProto.FLOAT, [1, 3, 4])}, "fixed batch size"),
        ({"source": ("image", TensorProto.FLOAT, ["N", 3, 5])}, r"must be \[N, 3, 4\]"),
        ({"source": ("image", TensorProto.FLOAT, ["N", 3])}, r"must be \[N, 3, 4\]"),
        ({"result": "picture"}, "has outputs.*must have ..image2.."),
    ],
)
def test_networks_that_break_the_contract_are_named(tmp_path, made, message):
    path = identity_network(tmp_path / "odd.onnx", **made)
    with pytest.raises(BundleError, match=f"odd.onnx: .*{message}"):
        Network(path, ("image", np.float32, (3, 4)), [("image2", np.float32, (None, 4))])


def test_shapes_that_only_show_at_work_are_checked_too(tmp_path):
    path = tmp_path / "odd.onnx"
    path.write_bytes(
        segmentation_network(np.random.default_rng(0))
    )  # a quarter of the input's size, which it does not tell
    with pytest.raises(BundleError, match=r"odd.onnx: output 'logits' came as \(1, 4, 4, 4\), must be \[N, 4, 4, 5\]"):
        Network(path, ("image", np.float32, (3, 16, 16)), [("logits", np.float32, (4, 4, 5))])


def test_a_network_that_fails_says_so(tmp_path):
    path = identity_network(tmp_path / "strict.onnx")
    network = Network(path, ("image", np.float32, (3, 4)), [("image2", np.float32, (3, 4))])
    with pytest.raises(BundleError, match="strict.onnx: failed on an input of shape"):
        network.run(np.zeros((1, 3, 5), np.float32))


def test_bundles_whose_networks_do_not_match_are_refused(bundle):
    other = replace(bundle, input_size=(168, 120))
    with pytest.raises(BundleError, match="encoder.onnx"):
        Encoder(other)

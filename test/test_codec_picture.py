# SPDX-License-Identifier: Apache-2.0
"""Pictures as a bundle's last layers: written and read, in place of a latent, by broken and hostile streams."""

from __future__ import annotations

import struct
import subprocess
import sys
import tracemalloc
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_bundle import LAYERS, PICTURES, make_tiny_bundle, tiny_frames

from nepi_ros.codec import Decoder, Encoder, Kind, PictureFormat, Segment, TargetNetworks, untouched
from nepi_ros.codec.picture import joined
from nepi_ros.errors import BundleError, CodecError
from nepi_ros.tasks import REGISTRY

SIZE = (160, 120)
FRAME = tiny_frames(1, *SIZE, seed=5)[0]
WHOLE = PictureFormat(*SIZE, 90, True)
STREAM = WHOLE.write(FRAME)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny", pictures=PICTURES)


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """A bundle whose decoder answers, where the latent comes with some of the pictures."""
    pictures = [replace(PICTURES[0], beside=0.5), PICTURES[1], replace(PICTURES[2], beside=2.0)]
    return make_tiny_bundle(tmp_path_factory.mktemp("bundles") / "together", mapped=True, pictures=pictures)


def error(image: np.ndarray) -> float:
    return float(np.abs(image.astype(float) - FRAME).mean())


def test_quality_colours_and_size_make_a_picture_what_it_is():
    errors = [error(replace(WHOLE, quality=quality).read(replace(WHOLE, quality=quality).write(FRAME), SIZE))
              for quality in (10, 50, 90, 100)]  # fmt: skip
    assert errors == sorted(errors, reverse=True) and errors[-1] < 1.5
    half = replace(WHOLE, full_colour=False)
    assert len(half.write(FRAME)) < len(STREAM)
    small = PictureFormat(80, 60, 90, True)
    assert len(small.write(FRAME)) < len(STREAM)
    enlarged = small.read(small.write(FRAME), SIZE)
    assert enlarged.shape == FRAME.shape and enlarged.dtype == np.uint8 and error(enlarged) < 8


def test_colours_keep_their_places():
    red = np.zeros_like(FRAME)
    red[..., 0] = 200
    found = WHOLE.read(WHOLE.write(red), SIZE)
    assert found[..., 0].min() > 190 and found[..., 1:].max() < 10


@pytest.mark.parametrize(
    "stream", [b"", b"\xff\xd8", b"no picture", STREAM[:300], PictureFormat(80, 60, 90, True).write(FRAME)]
)
def test_what_is_no_picture_of_the_format_is_refused(stream):
    with pytest.raises(CodecError, match="picture"):
        WHOLE.read(stream, SIZE)


def test_a_picture_that_claims_to_be_huge_takes_no_memory():
    at = STREAM.index(b"\xff\xc0") + 5
    huge = STREAM[:at] + struct.pack(">HH", 16000, 16000) + STREAM[at + 4 :]
    tracemalloc.start()
    with pytest.raises(CodecError, match="16000 x 16000"):
        WHOLE.read(huge, SIZE)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_what_another_reader_would_take_for_another_size_is_refused():
    """libjpeg passes over FF 00, behind which a header for those who do not may be hidden."""
    large = PictureFormat(320, 240, 90, True).write(np.zeros((240, 320, 3), np.uint8))
    scan = STREAM[STREAM.index(b"\xff\xc0") : STREAM.index(b"\xff\xda")]
    hidden = large[2 : large.index(b"\xff\xda")] + b"\xff\xfe" + struct.pack(">H", len(scan) + 2)
    evil = b"\xff\xd8\xff\x00" + struct.pack(">H", len(hidden) + 2) + hidden + scan + large[large.index(b"\xff\xda") :]
    with pytest.raises(CodecError, match="picture"):
        WHOLE.read(evil, SIZE)


def test_what_could_take_long_to_read_is_refused():
    bgr = FRAME[..., ::-1]
    progressive = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    scan = STREAM[STREAM.index(b"\xff\xda") : -2]
    repeated = STREAM[:-2] + 500 * scan + STREAM[-2:]
    padded = STREAM[:2] + b"\xff" * (4 * SIZE[0] * SIZE[1] + 2000) + STREAM[2:]
    png = cv2.imencode(".png", bgr)[1].tobytes()
    for stream in (progressive, repeated, padded, png):
        with pytest.raises(CodecError, match="picture"):
            WHOLE.read(stream, SIZE)


def test_the_worst_picture_of_the_best_quality_is_read():
    noise = np.random.default_rng(0).integers(0, 256, FRAME.shape, np.uint8)
    best = replace(WHOLE, quality=100)
    assert best.read(best.write(noise), SIZE).shape == noise.shape


def test_an_opencv_without_names_for_the_sampling_will_do():
    """As Ubuntu 24.04 has it."""
    code = (
        "import cv2; [delattr(cv2, name) for name in dir(cv2) if name.startswith('IMWRITE_JPEG_SAMPLING')]; "
        "import nepi_ros.bundle"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444) == (7, 0x111111)
    assert cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420 == 0x221111


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(STREAM) - 1), st.integers(0, 255)), max_size=20), st.integers(0, len(STREAM))
)
def test_damage_gives_another_picture_or_an_error(changes, length):
    damaged = bytearray(STREAM)
    for place, value in changes:
        damaged[place] = value
    try:
        assert WHOLE.read(bytes(damaged[:length]), SIZE).shape == FRAME.shape
    except CodecError:
        pass


def test_a_frame_goes_on_with_pictures_after_its_latent(bundle):
    encoded = Encoder(bundle).encode(FRAME)
    assert encoded.layers == bundle.layer_count == len(LAYERS) + len(PICTURES)
    segments = [encoded.segment(0, count) for count in range(1, encoded.layers + 1)]
    assert [s.stop for s in segments] == list(range(1, encoded.layers + 1))
    images = np.stack([view.image for view in Decoder(bundle).decode([[segment] for segment in segments])])
    assert images.shape == (encoded.layers, 3, *SIZE[::-1]) and images.dtype == np.float32
    errors = np.abs(images - untouched(FRAME[None])).mean(axis=(1, 2, 3))
    assert errors[-1] < 0.01 and errors[-1] < errors[: len(LAYERS)].min()
    for picture, segment in zip(PICTURES, segments[len(LAYERS) :], strict=True):
        assert segment.stream == picture.write(FRAME)


def test_a_frame_that_needs_no_pictures_has_none(bundle):
    encoded = Encoder(bundle).encode(FRAME, len(LAYERS))
    assert encoded.album is None and len(encoded.sizes_about(1000)) == len(LAYERS)
    with pytest.raises(ValueError, match="picture"):
        encoded.segment(0, len(LAYERS) + 1)


def test_some_of_the_latent_goes_ahead_of_a_picture(bundle):
    encoded, decoder = Encoder(bundle).encode(FRAME), Decoder(bundle)
    for count, about in enumerate(encoded.sizes_about(1000)[len(LAYERS) :], len(LAYERS) + 1):
        ahead, picture = encoded.segments(count, 1000)
        assert (ahead.first, picture.first, picture.stop) == (0, 0, count) and ahead.stop <= len(LAYERS)
        assert ahead.stop == 1 or len(ahead.stream) <= len(picture.stream) / 16 + 2
        assert about[0] == pytest.approx(len(ahead.stream), abs=2)
        assert about[1] == pytest.approx(len(picture.stream), rel=0.25)
        with_, without = decoder.decode([[ahead, picture], [picture]])
        assert np.array_equal(with_.image, without.image)


def test_a_latent_that_comes_with_a_picture_has_its_say(together):
    encoded, decoder = Encoder(together).encode(FRAME), Decoder(together)
    latent = encoded.segment(0, len(together.layers))
    answers = decoder.decode([[latent]])[0].answers
    networks = TargetNetworks(together, together.tasks)
    for count, picture in enumerate(together.pictures, len(together.layers) + 1):
        segment, alone = encoded.segment(0, count), picture.write(FRAME)
        assert segment.stream == (joined(latent.stream, alone) if picture.beside else alone)
        (view,) = decoder.decode([[segment]])
        looked = networks.run(untouched(picture.read(alone, SIZE)[None]))
        for task, (said,) in networks.see([view]).items():
            both = picture.beside and task in answers
            wanted = REGISTRY[task].blend(looked[task][0], answers[task], picture.beside) if both else looked[task][0]
            assert np.allclose(said, wanted, atol=1e-5), task


def test_a_latent_of_the_kind_that_a_frame_needs_comes_with_its_picture(together):
    layers = len(together.layers) + 1
    segments = {kind: Encoder(together).encode(FRAME, kind=kind).segment(0, layers) for kind in Kind}
    both = Encoder(together).encode(FRAME).segment(0, layers)
    assert all(len(segment.stream) < len(both.stream) for segment in segments.values())
    for kind, segment in segments.items():
        assert Decoder(together).read([segment], kind).picture.shape == FRAME.shape


def test_sizes_about_count_what_comes_with_a_picture(together):
    encoded = Encoder(together).encode(FRAME)
    about = encoded.sizes_about(1000)[len(together.layers)][1]
    assert about == len(encoded.segment(0, len(together.layers) + 1).stream)


@pytest.mark.parametrize("stream", [b"", b"\0\0", b"\0\0\1", b"\xff\xff\xff" + STREAM, joined(b"", b"no picture")])
def test_a_latent_and_a_picture_that_are_not_both_there_are_refused(together, stream):
    with pytest.raises(CodecError, match="picture"):
        Decoder(together).read([Segment(0, len(together.layers) + 1, stream)])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=20), st.floats(0, 1))
def test_damage_to_both_gives_others_or_an_error(together, changes, length):
    layers, decoder = len(together.layers) + 1, Decoder(together)
    damaged = bytearray(Encoder(together).encode(FRAME).segment(0, layers).stream)
    for place, value in changes:
        damaged[int(place * (len(damaged) - 1))] = value
    stream = bytes(damaged[: int(length * len(damaged))])
    try:
        content = decoder.read([Segment(0, layers, stream)])
    except CodecError:
        return
    outputs = TargetNetworks(together, together.tasks).see(decoder.views([content]))
    assert all(np.isfinite(output).all() for (output,) in outputs.values())


@pytest.mark.parametrize("first, count", [(1, len(LAYERS)), (0, len(LAYERS) + len(PICTURES) + 1)])
def test_a_segment_that_holds_no_picture_is_refused(bundle, first, count):
    with pytest.raises(CodecError, match="picture"):
        Decoder(bundle).read([Segment(first, count, STREAM)])
    with pytest.raises(ValueError, match="picture"):
        Encoder(bundle).encode(FRAME).segment(first, count)


@pytest.mark.parametrize(
    "name, value",
    [("width", 161), ("height", 0), ("quality", 101), ("full_colour", 1),
     ("beside", -1.0), ("beside", float("nan")), ("beside", "much")],
)
def test_bundles_with_impossible_pictures_are_refused(tmp_path, name, value):
    with pytest.raises(BundleError, match=f"pictures: {name}"):
        make_tiny_bundle(tmp_path / "tiny", pictures=[replace(PICTURES[0], **{name: value})])

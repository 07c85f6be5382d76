# SPDX-License-Identifier: Apache-2.0
"""Frames coded given an earlier one: the same latents in fewer bytes, and whatever goes wrong is refused."""

from itertools import pairwise

import golden
import numpy as np
import pytest
from hostile import mutated, refused_or_shaped
from hypothesis import given, settings
from hypothesis import strategies as st

from nepi_ros.codec import (
    Earlier,
    Kind,
    LayeredCoder,
    LayerShape,
    ReceivedFrames,
    Segment,
    SentFrames,
    class_layers,
    fit_class_tables,
    fit_tables,
)
from nepi_ros.codec.classmap import NOTHING, best_move, moved
from nepi_ros.codec.header import MOST_BACK
from nepi_ros.errors import CodecError

CODER, FRAMES, EPITOMES = golden.load_film()
LAYERS = CODER.layers
FILM = golden.film(40, 7)
KNOWN = CODER.received(FILM[0], LAYERS)
KINDS = (Kind.NUMBERS, Kind.CLASSES, Kind.BOTH)
whole = settings(deadline=None, max_examples=150)


def test_golden_epitomes_decode_to_their_latents():
    for frame, (latent, epitomes) in enumerate(zip(FRAMES, EPITOMES, strict=True)):
        earlier = CODER.received(FRAMES[frame - 1], golden.FILM_LAYERS) if frame else None
        coded = CODER.code(latent, earlier=earlier)
        assert coded.after == (frame > 0)
        for segments in epitomes:
            assert np.array_equal(CODER.decode(segments, earlier=earlier), latent)
            assert [coded.segment(s.first, s.count) for s in segments] == segments


def test_a_film_takes_fewer_bytes_than_its_frames():
    alone = [len(CODER.code(latent).whole.stream) for latent in FILM[1:]]
    given_one = [
        len(CODER.code(now, earlier=CODER.received(before, LAYERS)).whole.stream) for before, now in pairwise(FILM)
    ]
    assert np.mean(given_one) < 0.5 * np.mean(alone)


def test_another_scene_is_coded_by_itself():
    others = [golden.film(1, seed)[0] for seed in range(20, 40)]
    given_ours = [CODER.code(other, earlier=KNOWN) for other in others]
    alone = [coded for coded in given_ours if not coded.after]
    assert len(alone) > 10
    for coded in alone:
        assert coded.whole == CODER.code(coded.latent).whole


@whole
@given(st.integers(1, 39), st.integers(0, LAYERS), st.sampled_from(KINDS), st.sampled_from(KINDS), st.data())
def test_whatever_is_known_of_whatever_frame_a_frame_decodes_to_itself(frame, known, kind, earlier_kind, data):
    back = data.draw(st.integers(1, frame))
    earlier = CODER.received(FILM[frame - back], known, earlier_kind)
    coded = CODER.code(FILM[frame], kind, earlier)
    bounds = [0, *sorted(data.draw(st.sets(st.integers(1, LAYERS - 1), max_size=4))), LAYERS]
    segments = [coded.segment(a, b - a) for a, b in pairwise(bounds)]
    for count in range(1, len(segments) + 1):
        found = CODER.decode(segments[:count], kind, earlier if coded.after else None)
        assert np.array_equal(found, CODER.received(FILM[frame], bounds[count], kind).latent)
    assert coded.bits[-1] <= CODER.code(FILM[frame], kind).bits[-1]
    assert coded.kind == kind


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.builds(LayerShape, st.integers(1, 3), st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=3),
    st.integers(2, 6), st.integers(0, 1000), st.sampled_from([0, 1, 20, 127]),
)  # fmt: skip
def test_every_shape_and_table_survives(numbers, classes, seed, size):
    random, count = np.random.default_rng(seed), 8
    values = random.integers(-size, size + 1, (count, sum(shape.size for shape in numbers)), dtype=np.int8)
    maps = random.integers(0, classes, (count, 7, 9)).astype(np.int8)
    pairs = golden.film_pairs(6)
    tables, places = fit_tables(values[:6], numbers, pairs_by_pace=pairs), fit_class_tables(maps[:6], classes, pairs[0])
    coder = LayeredCoder(tables, [*class_layers(7, 9, classes), *numbers], places)
    latents = np.concatenate([values, maps.reshape(count, -1)], axis=1)
    for before, now in pairwise(latents):
        earlier = coder.received(before, coder.layers)
        coded = coder.code(now, earlier=earlier)
        assert np.array_equal(coder.decode([coded.whole], earlier=earlier if coded.after else None), now)


def test_coded_size_is_close_to_the_model():
    excess = []
    for before, now in pairwise(FILM):
        coded = CODER.code(now, earlier=CODER.received(before, LAYERS))
        excess += [len(coded.segment(0, k).stream) - coded.bits[k] / 8 for k in range(1, LAYERS + 1)]
    assert max(excess) <= 1.01 and np.mean(excess) < 0.7


def test_what_a_receiver_knows_is_what_it_decodes():
    for kind in KINDS:
        for layers in (0, 1, 6, LAYERS):
            coded = CODER.code(FILM[0], kind)
            decoded = CODER.decode([coded.segment(0, layers)] if layers else [], kind)
            assert np.array_equal(coded.received(layers).latent, decoded)


def test_a_map_is_found_where_the_camera_turned_it():
    (scene,) = golden.maps(1, 3, 60, 60, 5)
    for move in ((0, 0), (3, -2), (-7, 7), (1, 5)):
        now = scene[20 - move[0] : 43 - move[0], 20 - move[1] : 50 - move[1]]
        found = best_move(now, scene[20:43, 20:50])
        alike = np.mean(moved(scene[20:43, 20:50], found) == now)
        assert found == move or alike >= np.mean(moved(scene[20:43, 20:50], move) == now)


def test_so_many_classes_that_tables_would_be_too_large_are_coded_by_themselves():
    maps = np.random.default_rng(0).integers(0, 32, (3, 40, 50)).astype(np.int8)
    numbers = np.zeros((3, 1), np.int8)
    pairs = [(2, 1), (1, 0)]
    tables = fit_tables(numbers, [LayerShape(1, 1, 1)])
    coder = LayeredCoder(tables, [LayerShape(1, 1, 1), *class_layers(40, 50, 32)], fit_class_tables(maps, 32, pairs))
    latents = np.concatenate([numbers, maps.reshape(3, -1)], axis=1)
    assert not coder.code(latents[1], earlier=coder.received(latents[1], coder.layers)).after


@whole
@given(st.integers(1, golden.FRAMES - 1), st.data())
def test_mutated_streams_and_other_frames_are_decoded_or_refused(frame, data):
    segments = mutated(EPITOMES[frame][1], data, least=0)
    earlier = CODER.received(FILM[data.draw(st.integers(0, 39))], data.draw(st.integers(0, LAYERS)))
    refused_or_shaped(CODER, segments, earlier)


@whole
@given(st.binary(max_size=300))
def test_random_streams_are_decoded_or_refused(stream):
    refused_or_shaped(CODER, [Segment(0, LAYERS, stream)], KNOWN)


def test_what_is_sent_decides_whether_an_earlier_frame_helps():
    for seed in range(20, 60):
        other = golden.film(1, seed)[0]
        for layers in (1, 4, LAYERS):
            alone, coded = CODER.code(other), CODER.code(other, earlier=KNOWN, layers=layers)
            assert coded.bits[layers] <= alone.bits[layers]
            assert coded.after == (coded.bits[layers] < alone.bits[layers])


# What robot and edge remember


def sent(*after: bool) -> SentFrames:
    """Frames that were sent, some coded given an earlier one."""
    frames = SentFrames()
    for sequence, refers in enumerate(after):
        coded = CODER.code(FILM[sequence % len(FILM)], earlier=KNOWN if refers else None)
        assert coded.after == refers
        frames.sent(sequence, coded)
    return frames


def test_only_what_was_answered_is_coded_given():
    frames = sent(*[False] * 5)
    assert frames.before(5) is None
    frames.reported(2, 7)
    before = frames.before(5)
    assert (before.sequence, before.back_from(5)) == (2, 3)
    assert np.array_equal(before.earlier.latent, CODER.received(FILM[2], 7).latent)
    frames.reported(1, LAYERS)  # came late
    assert frames.before(5).sequence == 2
    frames.reported(4, LAYERS)
    assert frames.before(5).sequence == 4


def test_reports_of_frames_that_were_not_sent_or_twice_change_nothing():
    frames = sent(False, True, True)
    frames.reported(1, LAYERS)
    frames.reported(99, LAYERS)
    frames.reported(99, 0)
    frames.reported(1, 0)
    assert frames.before(3).sequence == 1


def test_after_a_frame_that_was_refused_the_next_are_coded_by_themselves():
    frames = sent(False, True, True, False)
    frames.reported(1, LAYERS)
    frames.reported(2, 0)
    assert frames.before(4) is None
    frames.reported(3, LAYERS)
    assert frames.before(4).sequence == 3


def test_a_frame_whose_first_message_was_lost_makes_nothing_forgotten():
    frames = sent(False, False)
    frames.reported(0, LAYERS)
    frames.reported(1, 0)
    assert frames.before(2).sequence == 0


def test_what_is_too_long_ago_is_not_named_and_a_newer_answer_is():
    frames = sent(False)
    frames.reported(0, LAYERS)
    assert frames.before(MOST_BACK).sequence == 0 and frames.before(MOST_BACK + 1) is None
    frames.sent(1000, CODER.code(FILM[3]))
    frames.reported(1000, LAYERS)
    assert frames.before(1001).sequence == 1000


def test_numbers_that_begin_anew_at_their_end_go_on():
    frames = SentFrames()
    last = (1 << 32) - 1
    for sequence in (last, 0):
        frames.sent(sequence, CODER.code(FILM[0]))
        frames.reported(sequence, LAYERS)
    assert (frames.before(1).sequence, frames.before(1).back_from(1)) == (0, 1)
    received = ReceivedFrames()
    received.keep(last, 1, KNOWN)
    assert received.before(1, 2) is KNOWN


def test_neither_side_remembers_more_than_can_be_named():
    frames, received = sent(*[False] * (3 * MOST_BACK)), ReceivedFrames()
    for sequence in range(3 * MOST_BACK):
        received.keep(sequence, 1, Earlier(FILM[0], sequence))
    frames.reported(2 * MOST_BACK - 1, LAYERS)
    assert frames.before(3 * MOST_BACK) is None
    frames.reported(2 * MOST_BACK, LAYERS)
    assert frames.before(3 * MOST_BACK).back_from(3 * MOST_BACK) == MOST_BACK
    assert received.before(3 * MOST_BACK, MOST_BACK).numbers == 2 * MOST_BACK
    with pytest.raises(CodecError, match=f"the frame {MOST_BACK + 1} before it, which this edge does not have"):
        received.before(3 * MOST_BACK, MOST_BACK + 1)
    assert received.before(7, 0) is None


def test_what_was_told_first_of_a_frame_counts_until_the_robot_begins_anew():
    received = ReceivedFrames()
    first, less, other = (Earlier(FILM[number], 1) for number in range(3))
    received.keep(5, 100, first)
    received.keep(5, 100, less)
    assert received.before(6, 1) is first
    received.keep(5, 200, other)
    assert received.before(6, 1) is other


def test_a_map_that_was_not_sent_tells_nothing():
    earlier = CODER.received(FILM[0], LAYERS, Kind.NUMBERS)
    assert (earlier.latent[16:] == NOTHING).all()
    assert CODER.code(FILM[0], Kind.CLASSES, earlier).after is False

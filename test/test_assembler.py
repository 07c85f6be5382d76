# SPDX-License-Identifier: Apache-2.0
"""Frames from messages: order, loss, duplicates, restarts."""

from nepi_ros.codec import Segment
from nepi_ros.nodes.assembler import MISSED_MAX, Assembler, Frame, Part

WAIT_S = 0.02


def part(sequence, first=0, count=1, of=1, at=0.0, handover=None, patience=1.0):
    handover = sequence * 1000 if handover is None else handover
    segment = Segment(first, count, bytes([first]))
    return Part(sequence, handover, of, segment, size=100, arrival=at, header=f"frame {sequence}", patience=patience)


def layers(frame: Frame) -> list[int]:
    """Numbers of the layers that a frame's segments hold."""
    return [layer for s in frame.prefix() for layer in range(s.first, s.stop)]


def taken(assembler: Assembler, at: float = 0.0) -> Frame | None:
    return assembler.take(at, WAIT_S)


def test_single_message_is_ready_at_once():
    assembler = Assembler()
    assert assembler.add(part(7, count=3, of=3)) == ""
    frame = taken(assembler)
    assert (frame.sequence, layers(frame), frame.size, frame.missed) == (7, [0, 1, 2], 100, 0)
    assert taken(assembler) is None and assembler.due(WAIT_S) is None


def test_messages_of_one_frame_in_any_order():
    assembler = Assembler()
    assembler.add(part(0, first=2, count=1, of=3, at=1.000))
    assert taken(assembler, 1.0) is None
    assembler.add(part(0, first=0, count=2, of=3, at=1.003))
    frame = taken(assembler, 1.003)
    assert frame.complete and layers(frame) == [0, 1, 2]
    assert frame.last_arrival - frame.first_arrival == 1.003 - 1.0 and frame.size == 200


def test_waits_only_briefly_and_gives_the_prefix():
    assembler = Assembler()
    assembler.add(part(0, count=2, of=4, at=1.0))
    assert assembler.due(WAIT_S) == 1.0 + WAIT_S
    assert taken(assembler, 1.01) is None
    assert layers(taken(assembler, 1.02)) == [0, 1]
    assert assembler.add(part(0, first=2, count=2, of=4, at=1.03)) == "duplicate"


def test_prefix_is_empty_without_layer_zero():
    assembler = Assembler()
    assembler.add(part(0, first=1, count=2, of=3))
    frame = taken(assembler, WAIT_S)
    assert frame.prefix() == [] and frame.layers == 0


def test_a_picture_is_waited_for_longer():
    assembler = Assembler()
    assembler.add(part(0, count=2, of=9, at=1.0, patience=5.0))
    assert assembler.due(WAIT_S) == 1.0 + 5 * WAIT_S
    assert taken(assembler, 1.09) is None
    assert layers(taken(assembler, 1.1)) == [0, 1]


def test_what_says_more_from_layer_zero_takes_the_place_of_what_went_ahead():
    assembler = Assembler()
    assembler.add(part(0, count=2, of=9, at=1.0))
    assert taken(assembler, 1.001) is None
    assembler.add(part(0, count=9, of=9, at=1.002))
    frame = taken(assembler, 1.002)
    assert frame.complete and layers(frame) == list(range(9)) and frame.size == 200


def test_what_goes_ahead_and_comes_behind_is_a_duplicate():
    assembler = Assembler()
    assembler.add(part(0, count=9, of=9, at=1.0))
    assert assembler.add(part(0, count=2, of=9, at=1.001)) == "duplicate"
    assert layers(taken(assembler, 1.001)) == list(range(9))


def test_a_newer_frame_ends_the_wait():
    assembler = Assembler()
    assembler.add(part(0, count=1, of=2, at=1.0))
    assembler.add(part(1, count=1, of=2, at=1.01))
    assert taken(assembler, 1.01).sequence == 0
    assembler.add(part(1, first=1, of=2, at=1.011))
    assert taken(assembler, 1.011).complete


def test_newest_frame_wins_and_the_replaced_ones_are_missed():
    assembler = Assembler()
    for sequence in (0, 1, 2, 5):
        assembler.add(part(sequence))
        if sequence == 0:
            taken(assembler)
    frame = taken(assembler)
    assert frame.sequence == 5 and frame.missed == 4 and taken(assembler) is None


def test_older_and_repeated_messages_are_ignored():
    assembler = Assembler()
    assembler.add(part(4, count=1, of=2))
    assert assembler.add(part(4, count=1, of=2)) == "duplicate"
    assert assembler.add(part(3)) == "older"
    assert assembler.add(part(4, first=1, of=2)) == ""
    assert taken(assembler).sequence == 4
    assert assembler.add(part(4, count=1, of=2)) == "duplicate"


def test_restarted_encoder_is_followed_at_once():
    assembler = Assembler()
    assembler.add(part(900, at=1.0))
    taken(assembler, 1.0)
    assert assembler.add(part(0, at=1.1, handover=901_000)) == ""
    frame = taken(assembler, 1.1)
    assert frame.sequence == 0 and frame.missed == 0


def test_rebooted_robot_is_followed_after_a_silence():
    assembler = Assembler(silence_s=1.0)
    assembler.add(part(900, at=1.0))
    assert assembler.add(part(0, at=1.5, handover=5)) == "older"
    assert assembler.add(part(1, at=2.0, handover=6)) == ""
    assert taken(assembler, 2.0).missed == 0


def test_sequence_wraps_and_missed_saturates():
    assembler = Assembler()
    assembler.add(part(2**32 - 1, handover=1))
    taken(assembler)
    assembler.add(part(1, handover=2))
    assert taken(assembler).missed == 1
    assembler.add(part(1_000_000, handover=3))
    assert taken(assembler).missed == MISSED_MAX

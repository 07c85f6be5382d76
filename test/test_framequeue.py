# SPDX-License-Identifier: Apache-2.0
"""Frames of several robots wait for one worker."""

import threading

from nepi_ros.codec import Segment
from nepi_ros.nodes.assembler import Part
from nepi_ros.nodes.framequeue import FrameQueue


def part(sequence: int, of: int = 1, at: float = 0.0) -> Part:
    return Part(sequence, sequence, of, Segment(0, 1, b"x"), 100, at, None)


def robots_of(frames: list) -> list[tuple[str, int]]:
    return [(robot, frame.sequence) for robot, frame in frames]


def queue_at(now: list[float], *robots: str) -> FrameQueue:
    queue = FrameQueue(0.02, clock=lambda: now[0])
    queue.set_robots(robots)
    return queue


def test_a_batch_takes_who_waits_longest_and_leaves_the_rest():
    now = [0.0]
    queue = queue_at(now, "a", "b", "c")
    for robot, at in (("b", 0.001), ("a", 0.002), ("c", 0.003)):
        queue.add(robot, part(0, at=at))
    now[0] = 0.004
    assert robots_of(queue.take(2)) == [("b", 0), ("a", 0)]
    assert robots_of(queue.take(2)) == [("c", 0)]


def test_only_the_newest_frame_of_a_robot_is_there():
    queue = queue_at([0.0], "a")
    for sequence in range(3):
        queue.add("a", part(sequence))
    assert robots_of(queue.take(9)) == [("a", 2)]


def test_an_incomplete_frame_is_taken_when_its_wait_is_over():
    queue = FrameQueue(0.03)
    queue.set_robots(("a",))
    taken = []
    waiter = threading.Thread(target=lambda: taken.extend(queue.take(1)), daemon=True)
    waiter.start()
    queue.add("a", part(0, of=2, at=queue._clock()))
    waiter.join(5)
    assert robots_of(taken) == [("a", 0)] and not taken[0][1].complete


def test_unknown_robots_and_closing():
    queue = queue_at([0.0], "a")
    assert queue.add("b", part(0)) == "unknown"
    queue.set_robots(("b",))
    assert queue.add("b", part(0)) == "" and queue.add("a", part(1)) == "unknown"
    queue.close()
    assert queue.take(1) == []

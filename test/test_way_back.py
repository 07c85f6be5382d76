# SPDX-License-Identifier: Apache-2.0
"""What the arrival of results tells of the way back."""

from __future__ import annotations

from std_msgs.msg import Header

from nepi_ros.link.wire import wire_bytes
from nepi_ros.msg import LinkReport, Results
from nepi_ros.nodes.way_back import WayBack

SIZES = (1300, 900, 400)
MS = 1_000_000


def told(*arrivals: tuple[int, int, int], total: int | None = None, way_back: WayBack | None = None) -> LinkReport:
    """The report after messages (seconds of the stamp, place in SIZES, ms of arrival), which comes with the last."""
    way_back = way_back or WayBack()
    report = LinkReport(result_bytes=sum(map(wire_bytes, SIZES)) if total is None else total)
    for number, (stamp, place, at_ms) in enumerate(arrivals, 1):
        message = Results(header=Header(), report=[report] * (number == len(arrivals)))
        message.header.stamp.sec = stamp
        way_back.arrived(message, SIZES[place], at_ms * MS)
        report = message.report[0] if message.report else report
    return report


def test_spread_and_bytes_after_the_first_message() -> None:
    report = told((1, 0, 100), (1, 1, 105), (1, 2, 109))
    assert (report.return_bytes, report.return_spread_us) == (wire_bytes(900) + wire_bytes(400), 9000)


def test_a_single_message_tells_nothing() -> None:
    report = told((1, 0, 100), total=wire_bytes(SIZES[0]))
    assert (report.return_bytes, report.return_spread_us) == (0, 0)


def test_nor_do_results_of_which_a_message_is_missing() -> None:
    for arrivals in (((1, 0, 100), (1, 2, 109)), ((1, 1, 100), (1, 2, 109)), ((1, 0, 90), (2, 1, 100), (2, 2, 109))):
        assert told(*arrivals).return_bytes == 0


def test_nor_times_that_are_not_known_or_run_backwards() -> None:
    assert told((1, 0, 0), (1, 1, 0), (1, 2, 0)).return_bytes == 0
    assert told((1, 0, 100), (1, 1, 105), (1, 2, 99)).return_bytes == 0


def test_frames_follow_each_other_even_with_the_same_stamp() -> None:
    way_back = WayBack()
    for begin in (100, 200):
        report = told((1, 0, begin), (1, 1, begin + 1), (1, 2, begin + 4), way_back=way_back)
        assert report.return_spread_us == 4000

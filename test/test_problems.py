# SPDX-License-Identifier: Apache-2.0
"""One line per kind of problem and period; every one counted."""

from nepi_ros.nodes.problems import Problems


def test_throttled_per_kind_and_source_with_repeats():
    now, lines = [0.0], []
    problems = Problems(lines.append, period_s=5.0, clock=lambda: now[0])
    for _ in range(3):
        problems.report("damaged", "/a/epitome: damaged", "/a/epitome")
    problems.report("damaged", "/b/epitome: damaged", "/b/epitome")
    assert lines == ["/a/epitome: damaged", "/b/epitome: damaged"]
    now[0] = 5.0
    problems.report("damaged", "/a/epitome: damaged", "/a/epitome")
    assert lines[2:] == ["/a/epitome: damaged (2 more like this since the last line)"]
    assert problems.counts() == {"damaged": 5}


def test_recent_and_silent_counts():
    now = [0.0]
    problems = Problems(lambda line: None, clock=lambda: now[0])
    problems.count("older", 3)
    assert problems.recent(5.0) == "" and problems.counts() == {"older": 3}
    problems.report("foreign", "text")
    assert problems.recent(5.0) == "text"
    now[0] = 6.0
    assert problems.recent(5.0) == ""

# SPDX-License-Identifier: Apache-2.0
"""Making items ahead of their time."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from ros_process import wait_until

from nepi_ros.nodes.prefetch import Prefetch


def test_all_items_in_order() -> None:
    assert list(Prefetch(range(100), depth=3)) == list(range(100))


def test_no_further_ahead_than_depth() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    prefetch = Prefetch(items(), depth=4)
    taken = iter(prefetch)
    for count in range(5):
        wait_until(lambda count=count: len(made) == count + 5, "four ready and one in hand", 2.0)
        assert next(taken) == count
    prefetch.close()


def test_error_comes_after_what_was_ready() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    prefetch = iter(Prefetch(items(), depth=4))
    assert next(prefetch) == 1
    with pytest.raises(ValueError, match="broken"):
        next(prefetch)


def test_error_at_once_is_raised_by_wait() -> None:
    def items() -> Iterator[int]:
        raise ValueError("nothing here")
        yield 1

    with pytest.raises(ValueError, match="nothing here"):
        Prefetch(items(), depth=1).wait()


def test_close_ends_who_waits_and_who_makes() -> None:
    never = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        never.wait(2.0)

    prefetch = Prefetch(items(), depth=1)
    seen: list[int] = []
    reader = threading.Thread(target=lambda: seen.extend(prefetch))
    reader.start()
    wait_until(lambda: seen == [1], "the first item", 2.0)
    threading.Timer(0.05, never.set).start()
    prefetch.close()
    reader.join(2.0)
    assert not reader.is_alive() and seen == [1]


def test_nothing_at_all() -> None:
    prefetch = Prefetch([], depth=1)
    assert not prefetch.wait() and list(prefetch) == []

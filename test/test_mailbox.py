# SPDX-License-Identifier: Apache-2.0
"""The newest item wins, and a bad item ends nothing."""

import threading

from nepi_ros.nodes.mailbox import Mailbox, Worker


def test_newest_wins_and_close_wakes():
    box = Mailbox()
    assert [box.put(item) for item in (1, 2, 3)] == [False, True, True]
    assert box.take() == 3
    taker = threading.Thread(target=lambda: results.append(box.take()))
    results: list = []
    taker.start()
    box.close()
    taker.join(5)
    assert results == [None] and box.take() is None


def test_worker_survives_a_bad_item():
    handled, failures, done = [], [], threading.Event()

    def handle(item):
        if item == "bad":
            raise ValueError("bad")
        handled.append(item)
        done.set()

    worker = Worker("test", handle, lambda error: (failures.append(error), done.set()))
    worker.put("bad")
    assert done.wait(5)
    done.clear()
    worker.put("good")
    assert done.wait(5)
    worker.stop()
    assert handled == ["good"] and len(failures) == 1
    worker.put("ignored")
    assert handled == ["good"]

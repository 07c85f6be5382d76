# SPDX-License-Identifier: Apache-2.0
"""The demo's supervision of node processes, and its ROS domain."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from demo_help import gone, wait_for

from nepi_ros.demo.domain import environment, isolated_domain
from nepi_ros.demo.processes import NodeDiedError, NodeSpec, Supervisor


def python(name: str, code: str, **options: bool) -> NodeSpec:
    return NodeSpec(name, (sys.executable, "-c", code), **options)


SLEEP = "import time; print('up', flush=True); time.sleep(60)"


class TestSupervisor:
    def test_a_dying_child_is_explained_by_its_last_lines(self, tmp_path: Path) -> None:
        with Supervisor(tmp_path / "logs") as nodes:
            nodes.start(python("steady", SLEEP))
            nodes.start(python("weak", "import sys; print('no bundle'); sys.exit(3)"))
            wait_for(lambda: nodes.finished("weak"))
            with pytest.raises(NodeDiedError, match=r"(?s)weak ended by itself with status 3.*weak\.log.*no bundle"):
                nodes.check()
            steady = nodes.pids["steady"]
        assert gone(steady)

    def test_one_that_may_finish_is_no_error_unless_it_fails(self, tmp_path: Path) -> None:
        with Supervisor(tmp_path) as nodes:
            nodes.start(python("source", "pass", may_finish=True))
            wait_for(lambda: nodes.finished("source"))
            nodes.check()
            nodes.start(python("source2", "raise SystemExit(1)", may_finish=True))
            wait_for(lambda: nodes.finished("source2"))
            with pytest.raises(NodeDiedError, match="source2"):
                nodes.check()

    def test_a_killed_child_is_named_with_its_signal(self, tmp_path: Path) -> None:
        with Supervisor(tmp_path) as nodes:
            nodes.start(python("node", SLEEP))
            os.kill(nodes.pids["node"], signal.SIGSEGV)
            wait_for(lambda: nodes.finished("node"))
            with pytest.raises(NodeDiedError, match="node was ended by SIGSEGV"):
                nodes.check()

    def test_a_deaf_child_and_its_own_children_are_stopped(self, tmp_path: Path) -> None:
        code = (
            "import signal, subprocess, sys, time\n"
            "signal.signal(signal.SIGINT, signal.SIG_IGN); signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            f"child = subprocess.Popen([sys.executable, '-c', {SLEEP!r}])\n"
            "print(child.pid, flush=True); time.sleep(60)"
        )
        nodes = Supervisor(tmp_path)
        nodes.start(python("deaf", code))

        def numbers() -> list[int]:  # the child's own child may have written before
            return [int(word) for word in (tmp_path / "deaf.log").read_text().split() if word.isdigit()]

        wait_for(numbers)
        nodes.stop(grace_s=0.3)
        assert gone(nodes.pids["deaf"])
        wait_for(lambda: gone(numbers()[0]))

    def test_children_end_with_a_killed_parent(self, tmp_path: Path) -> None:
        code = (
            "import sys, time; from pathlib import Path; from nepi_ros.demo.processes import *\n"
            f"nodes = Supervisor(Path({str(tmp_path)!r}))\n"
            f"nodes.start(NodeSpec('node', (sys.executable, '-c', {SLEEP!r})))\n"
            "print(nodes.pids['node'], flush=True); time.sleep(60)"
        )
        root = Path(__file__).resolve().parent.parent
        parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=root)
        with parent:
            child = int(parent.stdout.readline())
            parent.kill()
        wait_for(lambda: gone(child))

    def test_a_command_that_does_not_exist(self, tmp_path: Path) -> None:
        with Supervisor(tmp_path) as nodes, pytest.raises(NodeDiedError, match="cannot start /no/such/program"):
            nodes.start(NodeSpec("ghost", ("/no/such/program",)))

    def test_usage_is_measured_and_kept(self, tmp_path: Path) -> None:
        with Supervisor(tmp_path) as nodes:
            nodes.start(python("worker", "import time; print('up', flush=True); time.sleep(60)"))
            wait_for(lambda: (tmp_path / "worker.log").read_text())
            running = nodes.usage()["worker"]
            assert 3 < running.memory_mb < 200 and running.cpu_s >= 0
            nodes.stop()
            assert nodes.usage()["worker"] == running


def test_domains_are_of_ones_own() -> None:
    before = dict(os.environ)
    with isolated_domain() as one, isolated_domain() as another:
        assert one["ROS_DOMAIN_ID"] != another["ROS_DOMAIN_ID"]
        with environment({**one, "NEPI_TEST_VARIABLE": "x"}):
            assert os.environ["ROS_DOMAIN_ID"] == one["ROS_DOMAIN_ID"]
    assert dict(os.environ) == before

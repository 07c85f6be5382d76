# SPDX-License-Identifier: Apache-2.0
"""Nodes in processes of their own, and a client that talks to them over DDS."""

from __future__ import annotations

import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import rclpy
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import SetParameters
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile

from nepi_ros.nodes.topics import newest

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT_S = 20.0
ASK_AGAIN_S = 0.2


def wait_until(
    condition: Callable[[], Any], what: str | Callable[[], str], timeout_s: float = TIMEOUT_S
) -> Any:
    """Wait for a condition to hold and return its value; fails the test with `what` when it does not."""
    end = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > end:
            pytest.fail(f"not within {timeout_s:g} s: {what if isinstance(what, str) else what()}")
        time.sleep(0.01)
    return value


class NodeProcess:
    """One node of nepi_ros running as its own process; its log lines are collected."""

    def __init__(
        self,
        module: str,
        directory: Path,
        parameters: Mapping[str, Any],
        namespace: str = "",
        name: str | None = None,
        files: Sequence[Path] = (),
    ) -> None:
        """`files`: YAML files with parameters; `parameters` come after them."""
        self.name = f"{namespace}/{name or module}"
        file = directory / f"{self.name.replace('/', '_')}.yaml"
        file.write_text(yaml.safe_dump({"/**": {"ros__parameters": dict(parameters)}}))
        arguments = ["-r", f"__ns:={namespace or '/'}", "-r", f"__node:={name or module}"]
        arguments += [part for path in (*files, file) for part in ("--params-file", str(path))]
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"nepi_ros.nodes.{module}", "--ros-args", *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "RCUTILS_COLORIZED_OUTPUT": "0"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout:
            self.lines.append(line.rstrip())

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def matching(self, pattern: str) -> list[str]:
        """Log lines so far in which the pattern is found."""
        return [line for line in list(self.lines) if re.search(pattern, line)]

    def wait_for_line(self, pattern: str, timeout_s: float = TIMEOUT_S) -> str:
        """The first log line in which the pattern is found, now or soon."""
        return wait_until(
            lambda: self.matching(pattern), lambda: f"{self.name} logs /{pattern}/; it said {self.lines}", timeout_s
        )[0]

    def cpu_seconds(self) -> float:
        """Processor time used so far by all of the node's threads, in seconds."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_mb(self) -> float:
        """Resident memory in megabytes."""
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        """End the node as Ctrl-C would; its exit status."""
        if self.alive:
            self._process.send_signal(how)
        try:
            status = self._process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self._reader.join()
        return status


class Client:
    """A node of the test's own: publishes, collects what it hears, calls services. Spins in a thread."""

    def __init__(self, name: str = "test_client") -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node(name, context=self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._publishers: dict[str, Any] = {}
        self._clients: dict[str, Any] = {}
        self.heard: dict[str, list[Any]] = defaultdict(list)
        self.diagnostics: dict[str, Any] = {}
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            pass

    def _on_diagnostics(self, array: DiagnosticArray) -> None:
        for status in array.status:
            self.diagnostics[status.name] = status

    def close(self) -> None:
        self._executor.shutdown()
        self._thread.join()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)

    def advertise(self, message_type: type, topic: str, qos: QoSProfile | None = None) -> Any:
        """A publisher that has found its subscriber."""
        publisher = self._publishers.get(topic)
        if publisher is None:
            publisher = self.node.create_publisher(message_type, topic, qos or newest(16))
            self._publishers[topic] = publisher
        wait_until(publisher.get_subscription_count, f"someone subscribes to {topic}")
        return publisher

    def listen(self, message_type: type, topic: str, qos: QoSProfile | None = None) -> list[Any]:
        """The growing list of messages heard on a topic; returns once its publisher is found."""
        if topic not in self.heard:
            self.node.create_subscription(message_type, topic, self.heard[topic].append, qos or newest(16))
        wait_until(lambda: self.node.count_publishers(topic), f"someone publishes {topic}")
        return self.heard[topic]

    def wait_for_diagnostic(self, node: str, accept: Callable[[dict[str, str]], bool], what: str) -> Any:
        """The first status of a node (full name) whose values are accepted."""

        def found() -> Any:
            status = self.diagnostics.get(node.lstrip("/"))
            if status is None:
                return None
            return status if accept({pair.key: pair.value for pair in status.values}) else None

        return wait_until(found, lambda: f"{node} reports {what}; last {self.diagnostics.get(node.lstrip('/'))}")

    def count_of(self, node: str, key: str) -> int:
        """The number under a key in a node's latest diagnostics; 0 when it is not there."""
        status = self.diagnostics.get(node.lstrip("/"))
        pairs = {pair.key: pair.value for pair in status.values} if status else {}
        return int(float(pairs.get(key, 0)))

    def call(self, service_type: type, name: str, request: Any, ask_again_s: float = math.inf) -> Any:
        """Call a service and wait for its answer.

        `ask_again_s`: ask again after so long, where a request may be made twice. The server of a killed process counts
        as ready until its lease ends, and what only it is asked is lost.
        """
        client = self._clients.get(name)
        if client is None:
            client = self._clients[name] = self.node.create_client(service_type, name)
        wait_until(client.service_is_ready, f"service {name}")
        asked = []

        def answer() -> Any:
            if len(asked) <= (time.monotonic() - began) / ask_again_s:
                asked.append(client.call_async(request))
            return next((future for future in asked if future.done()), None)

        began = time.monotonic()
        return wait_until(answer, f"answer of {name}").result()

    def set_parameters(self, node: str, **values: Any) -> list[Any]:
        """Set parameters of a node; the results, one per parameter."""
        parameters = [Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]
        request = SetParameters.Request(parameters=parameters)
        return self.call(SetParameters, f"{node}/set_parameters", request, ASK_AGAIN_S).results

    def state_of(self, node: str) -> str:
        """Label of the node's lifecycle state."""
        return self.call(GetState, f"{node}/get_state", GetState.Request(), ASK_AGAIN_S).current_state.label

    def transition(self, node: str, label: str) -> bool:
        """Ask for a lifecycle transition ("configure", "activate", ...); whether it succeeded."""
        request = ChangeState.Request()
        request.transition.label = label
        return self.call(ChangeState, f"{node}/change_state", request).success


@contextmanager
def ros_session(directory: Path) -> Iterator[tuple[Client, Callable[..., NodeProcess]]]:
    """A client and a function that starts nodes; all of them end with the block."""
    processes: list[NodeProcess] = []

    def start(module: str, parameters: Mapping[str, Any], **options: Any) -> NodeProcess:
        processes.append(NodeProcess(module, directory, parameters, **options))
        return processes[-1]

    client = Client()
    try:
        yield client, start
    finally:
        for process in processes:
            process.stop()
        client.close()

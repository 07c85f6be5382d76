# SPDX-License-Identifier: Apache-2.0
"""Knows when all nodes are active and have found each other, and what is missing until then."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.srv import GetState
from rclpy.node import Node
from rclpy.task import Future

from nepi_ros.errors import NepiError

_POLL_S = 0.05
_ANSWER_S = 1.0


class NotReadyError(NepiError):
    """The nodes did not come up."""


@dataclass(frozen=True)
class Topic:
    """A topic that works once it has so many publishers and subscriptions."""

    name: str
    publishers: int = 1
    subscriptions: int = 1


class Readiness:
    """Watches lifecycle nodes (full names) and topics through another node, which somebody else spins."""

    def __init__(self, node: Node, lifecycle: Sequence[str], topics: Sequence[Topic]) -> None:
        self._node = node
        self._topics = topics
        self._clients = {name: node.create_client(GetState, f"{name}/get_state") for name in lifecycle}
        self._states = dict.fromkeys(lifecycle, "not there yet")
        self._asked: dict[str, tuple[Future | None, float]] = {}
        self._refusals: dict[str, str] = {}
        self._diagnostics = node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 16)

    def wait(self, timeout_s: float, check: Callable[[], None]) -> None:
        """Return when everything is ready; call `check` meanwhile, which may raise.

        Raises NotReadyError: a node refuses to start, or something is missing after `timeout_s`.
        """
        end = time.monotonic() + timeout_s
        while missing := self.missing():
            check()
            if self._refusals:
                raise NotReadyError("; ".join(f"{name} {why}" for name, why in self._refusals.items()))
            if time.monotonic() > end:
                raise NotReadyError(f"not ready after {timeout_s:g} s: {'; '.join(missing)}")
            time.sleep(_POLL_S)
        # Where nodes speak over a radio this would go on costing.
        self._node.destroy_subscription(self._diagnostics)

    def missing(self) -> list[str]:
        """What is not ready yet, in words."""
        self._ask()
        nodes = [f"{name} is {state}" for name, state in self._states.items() if state != "active"]
        return nodes + [what for topic in self._topics for what in self._missing_of(topic)]

    def _missing_of(self, topic: Topic) -> list[str]:
        found = (
            ("publishers", self._node.count_publishers(topic.name), topic.publishers),
            ("subscriptions", self._node.count_subscribers(topic.name), topic.subscriptions),
        )
        return [f"{topic.name} has {there} of {wanted} {what}" for what, there, wanted in found if there < wanted]

    def _ask(self) -> None:
        for name, client in self._clients.items():
            future, since = self._asked.get(name, (None, 0.0))
            if future is not None and future.done():
                self._states[name] = future.result().current_state.label
                future = None
            # A service that has just been found may lose its first answer: ask again.
            stale = future is None or time.monotonic() - since > _ANSWER_S
            if stale and self._states[name] != "active" and client.service_is_ready():
                self._asked[name] = client.call_async(GetState.Request()), time.monotonic()

    def _on_diagnostics(self, array: DiagnosticArray) -> None:
        names = {name.lstrip("/") for name in self._clients}
        for status in array.status:
            if status.level == DiagnosticStatus.ERROR and status.name in names:
                self._refusals[f"/{status.name}"] = status.message



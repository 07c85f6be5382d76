# SPDX-License-Identifier: Apache-2.0
"""Base of the lifecycle nodes: starts by itself, explains why it cannot, and tries again."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription

from nepi_ros.errors import NepiError
from nepi_ros.nodes.parameters import Parameter, declare
from nepi_ros.nodes.problems import Problems
from nepi_ros.nodes.status import ERROR, OK, WARN, DiagnosticsPublisher
from nepi_ros.nodes.topics import parse

RETRY_S = 2.0
RECENT_S = 5.0

AUTOSTART = Parameter(
    "autostart", True, "Configure and activate at start; false leaves that to a lifecycle manager.", read_only=True
)

Message = TypeVar("Message")


class _ToRos(logging.Handler):
    """Passes on what the rooms below the nodes log."""

    def __init__(self, log: Callable[[str], object]) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log(record.getMessage())


class ManagedNode(LifecycleNode):
    """A lifecycle node with a parameter table, counters and diagnostics.

    A node derives from it and fills in the hooks `configure`, `activate`, `deactivate`, `release`, `changed`,
    `tick`, `values` and `trouble`; the first two raise to refuse. A refused transition is logged with its reason,
    shows as an error on /diagnostics and leaves the node in the state it was in, from where it can be tried again.
    With the parameter `autostart` the node configures and activates itself and tries again every 2 s.
    """

    def __init__(self, name: str, table: Sequence[Parameter]) -> None:
        super().__init__(name)
        self.problems = Problems(self._warn)
        self.parameters = declare(self, table, self.changed, lambda: self.state != "unconfigured")
        logging.getLogger("nepi_ros").addHandler(_ToRos(self._warn))
        self._refusal = ""
        self._advertised: list[Publisher] = []
        self._listening: list[Subscription] = []
        self._diagnostics = DiagnosticsPublisher(self)
        # Not the ROS clock: a node under simulated time must report while the simulation stands still.
        self.steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0, self._each_second, clock=self.steady)

    # Hooks

    def configure(self) -> None:
        """Load what the node needs and create its publishers."""

    def activate(self) -> None:
        """Create the subscriptions and start working."""

    def deactivate(self) -> None:
        """Stop working; the subscriptions are already gone."""

    def release(self) -> None:
        """Let go of what `configure` loaded, even if it failed half-way."""

    def changed(self, names: frozenset[str]) -> None:
        """Parameters have new, valid values."""

    def tick(self) -> None:
        """Called once a second while the node is active."""

    def values(self) -> Mapping[str, object]:
        """What the node's diagnostics show besides its counters of problems."""
        return {}

    def trouble(self) -> str:
        """What is wrong as long as it lasts, in words; empty when nothing is."""
        return ""

    # What the hooks use

    def advertise(self, message_type: type, topic: str, qos: QoSProfile) -> Publisher:
        """A publisher that lives until the node is cleaned up and is mute unless it is active."""
        options = QoSOverridingOptions.with_default_policies()
        publisher = self.create_lifecycle_publisher(message_type, topic, qos, qos_overriding_options=options)
        if self.state in ("activating", "active"):
            publisher.on_activate(None)
        self._advertised.append(publisher)
        return publisher

    def listen(
        self, message_type: type, topic: str, callback: Callable[..., None], qos: QoSProfile
    ) -> Subscription:
        """A subscription to serialised messages that lives until the node is deactivated.

        `callback` takes the bytes, and where it has a second parameter what rclpy's MessageInfo says of them.
        """
        options = QoSOverridingOptions.with_default_policies()
        subscription = self.create_subscription(
            message_type, topic, callback, qos, qos_overriding_options=options, raw=True
        )
        self._listening.append(subscription)
        return subscription

    def retire(self, *entities: Publisher | Subscription) -> None:
        """Take back publishers and subscriptions before the node's state does."""
        for entity in entities:
            if entity in self._advertised:
                self._advertised.remove(entity)
                self.destroy_lifecycle_publisher(entity)
            elif entity in self._listening:
                self._listening.remove(entity)
                self.destroy_subscription(entity)

    def publish_diagnostics(self) -> None:
        """Publish the node's state now, beside once a second: something has just changed."""
        recent = self.trouble() or self.problems.recent(RECENT_S)
        level = ERROR if self._refusal else WARN if recent else OK
        values = {"state": self.state, **self.values(), **self.problems.counts()}
        self._diagnostics.publish(level, self._refusal or recent or self.state, values)

    def read(self, data: bytes, message_type: type[Message], topic: str) -> Message | None:
        """The message in these bytes, or None after reporting that they are none."""
        try:
            return parse(data, message_type, self.resolve_topic_name(topic))
        except NepiError as error:
            self.problems.report("unreadable", str(error), topic)
            return None

    @property
    def state(self) -> str:
        """Label of the lifecycle state."""
        return self._state_machine.current_state[1]

    # Transitions

    def start(self) -> None:
        """Configure and activate the node if it is to start by itself; keep trying while that fails."""
        if self.parameters.autostart and not self._come_up():
            self._starter = self.create_timer(RETRY_S, self._retry, clock=self.steady)

    def close(self) -> None:
        """Stop and let go of everything, in whatever state the node is."""
        self._halt()
        self._release()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        if self._attempt("configure", self.configure):
            return TransitionCallbackReturn.SUCCESS
        self._release()
        return TransitionCallbackReturn.FAILURE

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        super().on_activate(state)
        if self._attempt("activate", self.activate):
            return TransitionCallbackReturn.SUCCESS
        self._halt()
        super().on_deactivate(state)
        return TransitionCallbackReturn.FAILURE

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._halt()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.close()
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.close()
        return TransitionCallbackReturn.SUCCESS

    def _come_up(self) -> bool:
        if self.state == "unconfigured" and self.trigger_configure() != TransitionCallbackReturn.SUCCESS:
            return False
        return self.trigger_activate() == TransitionCallbackReturn.SUCCESS

    def _retry(self) -> None:
        # Somebody else has taken the node through its states, or to its end: leave it to them.
        theirs = not self._refusal or self.state not in ("unconfigured", "inactive")
        if theirs or self._come_up():
            self._starter.cancel()

    def _attempt(self, what: str, hook: Callable[[], None]) -> bool:
        """Call a hook; when it raises, say why and return False."""
        try:
            hook()
        except NepiError as error:
            self._refusal = f"cannot {what}: {error}"
        except Exception as error:  # noqa: BLE001 - a defect, too, must leave a node that can be tried again
            self._refusal = f"cannot {what}: {type(error).__name__}: {error}"
            self.get_logger().debug(traceback.format_exc())
        else:
            self._refusal = ""
            return True
        self.problems.report(f"{what}_failed", self._refusal, log=self._error)
        return False

    def _halt(self) -> None:
        self.retire(*self._listening)
        self.deactivate()

    def _release(self) -> None:
        self.release()
        self.retire(*self._advertised)

    # rclpy ties a severity to the place that logs, so each severity needs a place of its own.

    def _warn(self, text: str) -> None:
        self.get_logger().warning(text)

    def _error(self, text: str) -> None:
        self.get_logger().error(text)

    def _each_second(self) -> None:
        if self.state == "active":
            self.tick()
        self.publish_diagnostics()


def run(make: Callable[[], ManagedNode], args: Sequence[str] | None = None) -> None:
    """Make a node and spin it until it is told to stop. A fault of the user's ends it with one clear line."""
    rclpy.init(args=args)
    node = None
    try:
        node = make()
        node.start()
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except NepiError as error:
        raise SystemExit(str(error)) from None
    finally:
        if node is not None:
            node.close()
            node.destroy_node()
        rclpy.try_shutdown()

# SPDX-License-Identifier: Apache-2.0
"""A node that says and hears what could cross the radio: epitomes, logs, changes of parameters.

    python test/radio_probe.py NAME PERIOD_S      (0: it only listens)

Prints {"topic", "sender"} as a line of JSON for each message heard. Falls silent with the first line on its standard
input, and ends with that.
"""

import json
import os
import sys
import threading

import rclpy
from rcl_interfaces.msg import Log, ParameterEvent
from rclpy.node import Node
from rclpy.parameter import Parameter

from nepi_ros.msg import Epitome
from nepi_ros.nodes.topics import newest

EPITOME_BYTES = 500


class Probe(Node):
    def __init__(self, name: str, period_s: float) -> None:
        super().__init__(name)
        self._count = self.declare_parameter("count", 0).value
        for kind, topic, sender in (
            (Epitome, "/epitome", lambda epitome: epitome.header.frame_id),
            (Log, "/rosout", lambda log: log.name),
            (ParameterEvent, "/parameter_events", lambda event: event.node.lstrip("/")),
        ):
            self.create_subscription(
                kind, topic, lambda message, topic=topic, sender=sender: hear(topic, sender(message)), newest(10)
            )
        self._publisher = self.create_publisher(Epitome, "/epitome", newest())
        self._epitome = Epitome(data=bytes(EPITOME_BYTES))
        self._epitome.header.frame_id = name
        self.timer = self.create_timer(period_s or 1.0, self._speak, autostart=bool(period_s))

    def _speak(self) -> None:
        self._count += 1
        self._publisher.publish(self._epitome)
        self.get_logger().info(f"said {self._count}")
        self.set_parameters([Parameter("count", value=self._count)])


def hear(topic: str, sender: str) -> None:
    print(json.dumps({"topic": topic, "sender": sender}), flush=True)


def obey(node: Probe) -> None:
    for _ in sys.stdin:
        node.timer.cancel()
    os._exit(0)


if __name__ == "__main__":
    rclpy.init()
    node = Probe(sys.argv[1], float(sys.argv[2]))
    threading.Thread(target=obey, args=[node], daemon=True).start()
    rclpy.spin(node)

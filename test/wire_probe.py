# SPDX-License-Identifier: Apache-2.0
"""Sends messages over real Fast DDS in a network namespace of its own and prints what crossed the wire, as JSON.

    unshare --user --map-root-user --net python test/wire_probe.py

Prints a list of {"type", "serialised", "packets": [bytes of each IP packet]}, one entry per message sent.
"""

import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time

import rclpy
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage

from nepi_ros.msg import Epitome, LinkReport, Results
from nepi_ros.nodes.topics import newest

DOMAIN = 7
USER_PORTS = range(7400 + 250 * DOMAIN + 11, 7400 + 250 * (DOMAIN + 1), 2)
PAUSE_S = 0.02
IP_PROTOCOL = 0x0800
SIZES = (0, 1, 50, 700, 1000, 1270, 1272, 1273, 1400, 3000, 10000, 65256, 65257, 66000, 140000)


def messages() -> list:
    """What is measured: epitomes over all sizes of data, results, and images."""
    epitomes = [Epitome(data=bytes(size)) for size in SIZES]
    for epitome in epitomes:
        epitome.header.frame_id = "camera"
    images = [CompressedImage(format="mono8; png compressed ", data=bytes(size)) for size in (10, 900, 5000)]
    results = [Results(segmentation=bytes(size), report=[LinkReport()]) for size in (0, 300, 1500)]
    return [*epitomes, *results, *images]


def listen() -> None:
    """The receiving process: subscribes to all three types until its input ends."""
    rclpy.init()
    node = rclpy.create_node("probe_listener")
    for kind in (Epitome, Results, CompressedImage):
        node.create_subscription(kind, kind.__name__.lower(), lambda data: None, newest(), raw=True)
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    rclpy.spin(node)


class Capture:
    """Sizes of the IP packets to user data ports that arrive over the loopback, in order."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(IP_PROTOCOL))
        self._socket.bind(("lo", IP_PROTOCOL))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        self._wanted: set[int] = set()

    def take(self) -> list[int]:
        """The packets since the last call."""
        sizes = []
        self._socket.settimeout(PAUSE_S)
        try:
            while True:
                packet = self._socket.recv(65536)
                if self._is_user_data(packet):
                    sizes.append(struct.unpack(">H", packet[2:4])[0])
        except TimeoutError:
            return sizes

    def _is_user_data(self, packet: bytes) -> bool:
        identity, flags = struct.unpack(">HH", packet[4:8])
        if flags & 0x1FFF:  # a later fragment has no UDP header
            return identity in self._wanted
        start = (packet[0] & 15) * 4
        port = struct.unpack(">H", packet[start + 2 : start + 4])[0]
        if packet[9] != socket.IPPROTO_UDP or port not in USER_PORTS:
            return False
        self._wanted.add(identity)
        return True


def main() -> None:
    subprocess.run(["ip", "link", "set", "lo", "mtu", "1500", "multicast", "on", "up"], check=True)
    subprocess.run(["ip", "route", "add", "default", "dev", "lo"], check=True)
    os.environ.update(
        ROS_DOMAIN_ID=str(DOMAIN),
        # Among processes of one host Fast DDS would use shared memory, with LOCALHOST whatever it is told.
        ROS_AUTOMATIC_DISCOVERY_RANGE="SUBNET",
        RMW_IMPLEMENTATION="rmw_fastrtps_cpp",
        FASTDDS_BUILTIN_TRANSPORTS="UDPv4",
    )
    os.environ.pop("FASTRTPS_DEFAULT_PROFILES_FILE", None)  # its transports would take precedence
    listener = subprocess.Popen([sys.executable, __file__, "listen"], stdin=subprocess.PIPE)
    try:
        print(json.dumps(measure()))
    finally:
        listener.stdin.close()
        listener.wait(10)


def measure() -> list[dict]:
    """Send every message and see what leaves."""
    rclpy.init()
    node = rclpy.create_node("probe_sender")
    publishers = {}
    for kind in (Epitome, Results, CompressedImage):
        publisher = publishers[kind] = node.create_publisher(kind, kind.__name__.lower(), newest())
        end = time.monotonic() + 20
        while not publisher.get_subscription_count():
            if time.monotonic() > end:
                raise TimeoutError(f"nobody subscribes to {kind.__name__}")
            time.sleep(0.05)
    time.sleep(0.5)
    capture = Capture()
    results = []
    for message in messages():
        capture.take()
        publishers[type(message)].publish(message)
        serialised = len(serialize_message(message))
        results.append({"type": type(message).__name__, "serialised": serialised, "packets": capture.take()})
    rclpy.shutdown()
    return results


if __name__ == "__main__":
    listen() if sys.argv[1:] == ["listen"] else main()

# SPDX-License-Identifier: Apache-2.0
"""Two network namespaces, robot and edge, and a link between them that this process carries packet by packet.

Each namespace has a tun device: IP packets that the nodes send come out of it here, wait in the queue of a
nepi_ros.nodes.carrier.Carrier for as long as the link would take, and go into the other device.
"""

from __future__ import annotations

import fcntl
import os
import select
import shutil
import struct
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import astuple, dataclass

from nepi_ros.errors import NepiError
from nepi_ros.link.bottleneck import Counters
from nepi_ros.link.trace import ConstantRate, Schedule
from nepi_ros.nodes.carrier import Carrier

ADDRESSES = ("10.253.0.1", "10.253.0.2")
"""Of the robot and of the edge."""
SIDES = ("robot", "edge")
_TUN = "/dev/net/tun"
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_MOST = 65535
_POLL_MS = 200
_FREE_KBPS = 100_000.0


class PathError(NepiError):
    """This machine does not allow what the bench needs, or a command failed."""


@dataclass(frozen=True)
class LinkSettings:
    """delay_s: of each way; queue_bytes: longest queue of each way; loss: share of IP packets."""

    delay_s: float
    queue_bytes: int = 65536
    loss: float = 0.0


class Tunnel:
    """The link between the namespaces: free at first, so that the nodes may find each other."""

    def __init__(self, names: Sequence[str], devices: Sequence[int], settings: LinkSettings) -> None:
        self.names = tuple(names)
        self._devices = tuple(devices)
        self._settings = settings
        robot, edge = self._devices
        free, rest = ConstantRate(_FREE_KBPS), (settings.delay_s, settings.queue_bytes, 0.0)
        self._up: Carrier[bytes] = Carrier("up", lambda packet: _put(edge, packet), free, *rest, seed=1)
        self._down: Carrier[bytes] = Carrier("down", lambda packet: _put(robot, packet), free, *rest, seed=2)
        self._before = self._totals()
        self._closed = threading.Event()
        ends = ((robot, self._up), (edge, self._down))
        self._readers = [threading.Thread(target=self._read, args=end, daemon=True) for end in ends]
        for reader in self._readers:
            reader.start()

    def play(self, up: Schedule, down: Schedule) -> None:
        """From now on the link is as recorded."""
        s = self._settings
        for carrier, schedule in ((self._up, up), (self._down, down)):
            carrier.change(schedule, s.delay_s, s.queue_bytes, s.loss)
        self._before = self._totals()

    def counters(self) -> tuple[Counters, Counters]:
        """What the ways up and down have carried since `play`, or else since the beginning."""
        return tuple(
            Counters(*(after - before for after, before in zip(astuple(now), astuple(then), strict=True)))
            for now, then in zip(self._totals(), self._before, strict=True)
        )

    def _totals(self) -> tuple[Counters, Counters]:
        return self._up.counters()[0], self._down.counters()[0]

    def close(self) -> None:
        """Carry nothing more."""
        self._closed.set()
        for reader in self._readers:
            reader.join()
        for carrier in (self._up, self._down):
            carrier.close()

    def _read(self, device: int, carrier: Carrier[bytes]) -> None:
        poll = select.poll()
        poll.register(device, select.POLLIN)
        while not self._closed.is_set():
            if poll.poll(_POLL_MS):
                packet = os.read(device, _MOST)
                carrier.carry([len(packet)], packet)


def _put(device: int, packet: bytes) -> None:
    try:
        os.write(device, packet)
    except OSError:
        # The device is going down; a link may lose packets.
        pass


def demand_privileges() -> None:
    """Raise PathError, saying what to do, unless namespaces and tun devices can be made here."""
    if shutil.which("ip") is None:
        raise PathError("the command ip is missing; install the package iproute2")
    if os.geteuid() != 0:
        raise PathError("network namespaces need root; run this command with sudo")
    if not os.access(_TUN, os.R_OK | os.W_OK):
        raise PathError(f"{_TUN}: cannot be opened; load the kernel's module tun (modprobe tun)")


@contextmanager
def tunnel(settings: LinkSettings) -> Iterator[Tunnel]:
    """Namespaces and a link between them, gone afterwards. Raises PathError."""
    demand_privileges()
    names = [f"nepi-{os.getpid()}-{side}" for side in SIDES]
    with ExitStack() as stack:
        devices = []
        for name, own in zip(names, ADDRESSES, strict=True):
            stack.enter_context(_namespace(name))
            devices.append(stack.enter_context(_tun(name, own)))
        link = Tunnel(names, devices, settings)
        stack.callback(link.close)
        yield link


def within(name: str, command: Sequence[str]) -> tuple[str, ...]:
    """A command that runs in a namespace, with shared memory of its own: that would be a way around the link."""
    return ("ip", "netns", "exec", name, "sh", "-c", 'mount -t tmpfs tmpfs /dev/shm && exec "$@"', "sh", *command)


@contextmanager
def _namespace(name: str) -> Iterator[None]:
    _ip("netns", "add", name)
    try:
        _ip("-n", name, "link", "set", "lo", "up")
        yield
    finally:
        subprocess.run(("ip", "netns", "del", name), check=False, capture_output=True)


@contextmanager
def _tun(namespace: str, address: str) -> Iterator[int]:
    """A tun device in a namespace: its file descriptor."""
    device = os.open(_TUN, os.O_RDWR)
    try:
        request = fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH14x", b"nepi%d", _IFF_TUN | _IFF_NO_PI))
        name = request[:16].rstrip(b"\0").decode()
        _ip("link", "set", name, "netns", namespace)
        _ip("-n", namespace, "addr", "add", f"{address}/24", "dev", name)
        # Without IPv6 the kernel sends nothing of its own over the link.
        _ip("netns", "exec", namespace, "sysctl", "-qw", f"net.ipv6.conf.{name}.disable_ipv6=1")
        _ip("-n", namespace, "link", "set", name, "up")
        yield device
    finally:
        os.close(device)


def _ip(*words: str) -> None:
    done = subprocess.run(("ip", *words), check=False, capture_output=True, text=True)
    if done.returncode:
        raise PathError(f"ip {' '.join(words)}: {done.stderr.strip()}")

# SPDX-License-Identifier: Apache-2.0
"""Two computers joined by a radio: network namespaces with an Ethernet pair between them, and nodes on them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ros_process import wait_until

ROOT = Path(__file__).resolve().parent.parent
PROBE = Path(__file__).with_name("radio_probe.py")
RADIO = "radio"
PERIOD_S = 0.2
"""Between two epitomes of a probe."""


class Host:
    """A computer of its own, with network, addresses and shared memory. A process that does nothing keeps it alive."""

    def __init__(self, beside: Host | None = None) -> None:
        """`beside`: a host of the same owner, so that the two can be wired together."""
        users = beside.enter if beside else ["unshare", "--user", "--map-root-user"]
        keep = "mount -t tmpfs tmpfs /dev/shm && ip link set lo up && echo ready && exec cat"
        self._keeper = subprocess.Popen(
            [*users, "unshare", "--net", "--mount", "sh", "-c", keep],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        if self._keeper.stdout.readline() != "ready\n":
            self.close()
            raise OSError(f"no network namespace of one's own here: {self._keeper.stderr.read().strip()}")

    @property
    def pid(self) -> int:
        return self._keeper.pid

    @property
    def enter(self) -> list[str]:
        """The start of a command line that runs the rest of it on this host."""
        spaces = ["--user", "--net", "--mount", "--preserve-credentials"]
        return ["nsenter", f"--target={self.pid}", *spaces, f"--wd={ROOT}"]

    def run(self, *command: str) -> None:
        subprocess.run([*self.enter, *command], check=True, capture_output=True, text=True)

    def connect(self, interface: str, other: Host, addresses: Sequence[str]) -> None:
        """Join the two hosts by a cable whose ends have the same name and these addresses (with prefix length)."""
        far = ("peer", "name", interface, "netns", str(other.pid))
        self.run("ip", "link", "add", interface, "type", "veth", *far)
        for host, address in zip((self, other), addresses, strict=True):
            # IPv6 would add its own multicast to what is counted.
            host.run("sh", "-c", f"echo 1 > /proc/sys/net/ipv6/conf/{interface}/disable_ipv6 2> /dev/null || true")
            host.run("ip", "addr", "add", address, "dev", interface)
            host.run("ip", "link", "set", interface, "up")

    def sent(self, interface: str = RADIO) -> int:
        """Bytes that left by the interface so far, without Ethernet headers."""
        line = next(line for line in self._proc("dev").splitlines() if line.strip().startswith(f"{interface}:"))
        counters = line.partition(":")[2].split()
        return int(counters[8]) - 14 * int(counters[9])

    def multicast_sent(self) -> int:
        """Multicast IP packets sent by this host so far, on any interface."""
        names, values = [line.split() for line in self._proc("netstat").splitlines() if line.startswith("IpExt:")]
        return int(values[names.index("OutMcastPkts")])

    def _proc(self, table: str) -> str:
        return Path(f"/proc/{self.pid}/net/{table}").read_text()

    def close(self) -> None:
        self._keeper.stdin.close()
        self._keeper.wait(10)


def why_not_possible() -> str:
    """What keeps this machine from having such hosts; empty when nothing does."""
    for tool in ("unshare", "nsenter", "ip"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    try:
        with robot_and_edge():
            return ""
    except (OSError, subprocess.CalledProcessError) as error:
        return getattr(error, "stderr", "") or str(error)


@contextmanager
def robot_and_edge() -> Iterator[tuple[Host, Host]]:
    """A robot, 10.9.0.1, and an edge, 10.9.0.2, joined by nothing but the interface `radio`."""
    robot = Host()
    try:
        edge = Host(beside=robot)
        try:
            robot.connect(RADIO, edge, ("10.9.0.1/24", "10.9.0.2/24"))
            for host in (robot, edge):
                # Multicast leaves where the default route leads, as on a robot whose only network is its radio.
                host.run("ip", "route", "add", "default", "dev", RADIO)
            yield robot, edge
        finally:
            edge.close()
    finally:
        robot.close()


class Probe:
    """radio_probe.py in a process, and how often it heard whom on which topic."""

    def __init__(
        self, name: str, environment: Mapping[str, str], host: Host | None = None, quiet: bool = False
    ) -> None:
        """`host`: None for this computer itself; `quiet`: it only listens."""
        self.name = name
        self.heard: Counter[tuple[str, str]] = Counter()
        self.other: list[str] = []
        self._last: dict[str, float] = {}
        self._process = subprocess.Popen(
            [*(host.enter if host else ()), sys.executable, str(PROBE), name, "0" if quiet else str(PERIOD_S)],
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **environment},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout:
            if line.startswith("{"):
                said = json.loads(line)
                self.heard[said["topic"], said["sender"]] += 1
                self._last[said["sender"]] = time.monotonic()
            else:
                self.other.append(line.rstrip())

    def wait_to_hear(self, topic: str, sender: Probe, times: int = 1) -> None:
        """Wait for that many messages more."""
        key = (topic, sender.name)
        enough = self.heard[key] + times
        wait_until(
            lambda: self.heard[key] >= enough,
            lambda: f"{self.name} hears {sender.name} on {topic}; heard {dict(self.heard)}, said {self.other[-3:]}",
        )

    def senders(self, topic: str) -> set[str]:
        return {sender for heard, sender in list(self.heard) if heard == topic}

    def seconds_without(self, sender: Probe) -> float:
        """Since it last heard anything from that one."""
        return time.monotonic() - self._last[sender.name]

    def hush(self) -> None:
        """From now on it only listens."""
        self._process.stdin.write("hush\n")
        self._process.stdin.flush()

    def end(self, how: signal.Signals | None = None) -> None:
        """With a signal, or in order."""
        if how is not None:
            self._process.send_signal(how)
        self._process.stdin.close()
        self._process.wait(20)
        self._reader.join()


@contextmanager
def ending(*probes: Probe) -> Iterator[None]:
    """End the probes with the block, however it ends."""
    try:
        yield
    finally:
        for probe in probes:
            probe.end()

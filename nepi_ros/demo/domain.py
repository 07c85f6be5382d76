# SPDX-License-Identifier: Apache-2.0
"""A ROS domain of one's own: other ROS systems on the machine or the network neither see nor disturb it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from nepi_ros.errors import NepiError

# Domains 1 to 101 keep clear of Linux's ephemeral ports (ROS 2 documentation, "The ROS_DOMAIN_ID").
_DOMAINS = range(40, 102)
# A bound port marks a domain as taken for as long as this process lives, whatever way it ends.
_LOCK_PORT = 22000


@contextmanager
def isolated_domain() -> Iterator[dict[str, str]]:
    """Reserve a free domain; yields the environment variables that put a process into it, on this machine only.

    Raises NepiError when all are taken.
    """
    lock, domain = _reserve()
    with lock:
        yield {
            "ROS_DOMAIN_ID": str(domain),
            "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
            "ROS_STATIC_PEERS": "",
        }


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables of this process for the duration of a block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _reserve() -> tuple[socket.socket, int]:
    # Starting at a place of one's own makes two runs that begin together seldom meet.
    start = os.getpid() % len(_DOMAINS)
    for offset in range(len(_DOMAINS)):
        domain = _DOMAINS[(start + offset) % len(_DOMAINS)]
        lock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            lock.bind(("127.0.0.1", _LOCK_PORT + domain))
            return lock, domain
        except OSError:
            lock.close()
    raise NepiError(
        f"all ROS domains from {_DOMAINS.start} to {_DOMAINS.stop - 1} are in use on this machine; "
        "wait for other demos and tests to end"
    )

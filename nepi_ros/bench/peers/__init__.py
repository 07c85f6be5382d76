# SPDX-License-Identifier: Apache-2.0
"""The methods that are compared. A method is a class with the contract of `base.Peer` and a line in `make_peers`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from nepi_ros.bench.peers.base import Coded, Peer, Setting
from nepi_ros.bench.peers.epitome import EpitomePeer, MissingPeer, task_blind
from nepi_ros.bench.peers.grace import Grace, Tables
from nepi_ros.bench.peers.held import HeldPeer
from nepi_ros.bench.peers.stills import Avif, Jpeg, JpegDownscaled, WebP
from nepi_ros.bundle import Bundle

__all__ = ["PEERS", "VIDEO", "Coded", "Peer", "Setting", "make_peers"]

STILLS = ("jpeg", "jpeg_downscaled", "webp", "avif", "hevc_intra", "grace", "task_blind")
_BACK = {"epitome_1_back": 1, "epitome_3_back": 3}
_NO_VIDEO = "these frames are no video: it needs runs of consecutively numbered frames"
_HELD = {"epitome_held": "epitome_1_back", "hevc_held": "hevc", "av1_held": "av1"}
VIDEO = (*_BACK, "epitome_held", "h264", "hevc", "av1", "hevc_held", "av1_held")
PEERS = ("epitome", *STILLS, *VIDEO)
"""All methods, in the order in which they are shown."""


def make_peers(
    names: Iterable[str], bundle: Bundle, blind: Path | None, tables: Tables, is_video: bool, no_tables: str = ""
) -> dict[str, Peer]:
    """The named methods, those that cannot run included (`problem` says why). `no_tables`: why GRACE has none."""
    makers: dict[str, Callable[[], Peer]] = {
        "epitome": lambda: EpitomePeer("epitome", bundle, bundle),
        "jpeg": Jpeg,
        "jpeg_downscaled": JpegDownscaled,
        "webp": WebP,
        "avif": Avif,
        "grace": lambda: Grace(tables, no_tables),
        "task_blind": lambda: task_blind(blind, bundle),
    }
    makers |= {name: partial(EpitomePeer, name, bundle, bundle, back) for name, back in _BACK.items()}
    if not is_video:
        makers |= {name: partial(MissingPeer, name, _NO_VIDEO) for name in VIDEO}

    def make(name: str) -> Peer:
        if name in makers:
            return makers[name]()
        return HeldPeer(name, make(_HELD[name])) if name in _HELD else _video(name)

    return {name: make(name) for name in names}


def _video(name: str) -> Peer:
    try:
        from nepi_ros.bench.peers.video import VideoPeer
    except ImportError as error:
        return MissingPeer(name, f"the Python module {error.name} is missing: pip install av")
    return VideoPeer(name)

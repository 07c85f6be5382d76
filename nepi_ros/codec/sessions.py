# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime sessions of a bundle's networks, checked against what the bundle promises."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from nepi_ros.errors import BundleError

Port = tuple[str, Any, Sequence[int | None]]
"""What goes into or comes out of a network: name, numpy type, shape without batch (None = any)."""

_CPU = "CPUExecutionProvider"
_ERRORS_ONLY = 3
_TYPES = {"tensor(uint8)": np.uint8, "tensor(int8)": np.int8, "tensor(float)": np.float32}

logger = logging.getLogger(__name__)


def make_session(path: str | Path, providers: Sequence[str] | None = None, threads: int = 1) -> ort.InferenceSession:
    """A session of the network at `path` on the first usable of `providers` (CPU when none is named or usable).

    `threads` compute one call together; idle ones sleep instead of spinning. Raises BundleError when the file is
    no network that this ONNX Runtime can load.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = max(threads, 1)
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = _ERRORS_ONLY
    # spinning threads would take a core from the camera driver between two frames
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    try:
        session = ort.InferenceSession(str(path), options, providers=_usable(providers))
    except Exception as error:  # onnxruntime raises a class of its own for each kind of failure
        raise BundleError(f"{path}: not a network ONNX Runtime can load ({error}); restore the bundle") from error
    _tell_fallback(path, providers, session)
    return session


def _usable(providers: Sequence[str] | None) -> list[str]:
    available = ort.get_available_providers()
    chosen = [name for name in providers or () if name in available]
    return chosen if _CPU in chosen else [*chosen, _CPU]


def _tell_fallback(path: str | Path, providers: Sequence[str] | None, session: ort.InferenceSession) -> None:
    missing = [name for name in providers or () if name not in session.get_providers()]
    if missing:
        used = session.get_providers()[0]
        logger.warning("%s: %s not usable here, running on %s", Path(path).name, ", ".join(missing), used)


class Network:
    """One network with one input, and outputs, of known names, types and shapes."""

    def __init__(
        self,
        path: str | Path,
        source: Port,
        results: Sequence[Port],
        providers: Sequence[str] | None = None,
        threads: int = 1,
    ) -> None:
        """`source` has a shape without any None.

        Runs the network once, so that a wrong shape shows now and the first frame is not slow.
        Raises BundleError naming the file and what does not match.
        """
        self.path = Path(path)
        self._session = make_session(path, providers, threads)
        self._source, self._names = source[0], [name for name, _, _ in results]
        self._check("input", self._session.get_inputs(), [source])
        self._check("output", self._session.get_outputs(), results)
        _, dtype, shape = source
        for output, result in zip(self.run(np.zeros((1, *shape), dtype)), results, strict=True):
            self._check_shape(output, result)

    @property
    def providers(self) -> list[str]:
        """The execution providers in use, the preferred one first."""
        return self._session.get_providers()

    def run(self, batch: np.ndarray) -> list[np.ndarray]:
        """The outputs for a batch [N, ...]. Raises BundleError when the network fails."""
        try:
            return self._session.run(self._names, {self._source: batch})
        except Exception as error:  # see make_session
            raise BundleError(f"{self.path}: failed on an input of shape {batch.shape} ({error})") from error

    def _check(self, kind: str, found: Sequence[Any], wanted: Sequence[Port]) -> None:
        ports, names = {port.name: port for port in found}, [name for name, _, _ in wanted]
        if set(ports) != set(names):
            raise BundleError(f"{self.path}: has {kind}s {list(ports)}, must have {names}")
        for one in wanted:
            self._check_port(kind, ports[one[0]], one)

    def _check_port(self, kind: str, port: Any, wanted: Port) -> None:
        name, dtype, shape = wanted
        if _TYPES.get(port.type) is not dtype:
            raise BundleError(f"{self.path}: {kind} {name!r} is {port.type}, must be {np.dtype(dtype).name}")
        if isinstance(port.shape[0] if port.shape else None, int):
            raise BundleError(f"{self.path}: {kind} {name!r} has a fixed batch size; export it with a dynamic one")
        fixed = [size if isinstance(size, int) else None for size in port.shape[1:]]
        if len(fixed) != len(shape) or any(a and b and a != b for a, b in zip(fixed, shape, strict=True)):
            raise BundleError(f"{self.path}: {kind} {name!r} has shape {port.shape}, must be {_pattern(shape)}")

    def _check_shape(self, output: np.ndarray, wanted: Port) -> None:
        name, _, shape = wanted
        if len(output.shape) != len(shape) + 1 or any(
            b and a != b for a, b in zip(output.shape[1:], shape, strict=True)
        ):
            raise BundleError(f"{self.path}: output {name!r} came as {output.shape}, must be {_pattern(shape)}")


def _pattern(shape: Sequence[int | None]) -> str:
    return "[N, " + ", ".join("*" if size is None else str(size) for size in shape) + "]"

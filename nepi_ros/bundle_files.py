# SPDX-License-Identifier: Apache-2.0
"""A bundle's metadata file and the hashes in it, which make the bundle's identity."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nepi_ros.errors import BundleError

FORMAT = 3
METADATA = "bundle.json"
CLASS_TABLES = "classes.npz"
"""Where some layers are of a map of classes."""
REQUIRED = ("encoder.onnx", "decoder.onnx", "entropy.npz")
MAX_FILE = 512 << 20
RESTORE = "restore it from where the bundle came from, or train and export the bundle again"
_MAX_METADATA = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


def identity(metadata: Mapping[str, Any]) -> str:
    """A bundle's id, 16 hex digits: the hash of its metadata (and by the hashes therein of its files)."""
    canonical = json.dumps({k: v for k, v in metadata.items() if k != "id"}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def checked_name(name: Any) -> str:
    """A file name of a bundle: no folders, nothing hidden. Raises BundleError otherwise."""
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name == METADATA:
        raise BundleError(f"{name!r} is no name for a file or a bundle; use letters, digits, dot, dash and underscore")
    return name


def beside(folder: Path, others: str) -> Path:
    """The folder NAME-`others` beside that of a bundle, for networks of the same names that the bundle does without."""
    return Path(f"{folder.absolute()}-{others}")


def read_metadata(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MAX_METADATA:
            raise BundleError(f"{path}: larger than {_MAX_METADATA} bytes; {RESTORE}")
        metadata = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror}); is this the folder of a bundle?") from error
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path}: not JSON ({error}); {RESTORE}") from error
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        found = metadata.get("format") if isinstance(metadata, dict) else None
        raise BundleError(f"{path}: format {found!r}, this version reads {FORMAT}; use a matching nepi_ros")
    if metadata.get("id") != identity(metadata):
        raise BundleError(f"{path}: its content does not match its id; {RESTORE}")
    return metadata


def verify_files(path: Path, files: Mapping[str, str]) -> None:
    for name in REQUIRED:
        if name not in files:
            raise BundleError(f"{path / METADATA}: lists no {name}; {RESTORE}")
    for name, expected in files.items():
        if file_hash(path / checked_name(name)) != expected:
            raise BundleError(f"{path / name}: content does not match its hash in {METADATA}; {RESTORE}")


def file_hash(path: Path) -> str:
    """SHA-256 of a file, hex. Raises BundleError when it is missing or larger than MAX_FILE."""
    try:
        if path.stat().st_size > MAX_FILE:
            raise BundleError(f"{path}: larger than {MAX_FILE} bytes")
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror}); {RESTORE}") from error

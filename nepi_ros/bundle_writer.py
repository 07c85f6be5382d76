# SPDX-License-Identifier: Apache-2.0
"""Writes bundles: hashes, the id, and a folder that is complete or not there at all."""

import datetime
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nepi_ros.bundle import FORMAT, METADATA, Bundle, checked_name, file_hash, identity
from nepi_ros.errors import BundleError


def write_bundle(path: str | Path, metadata: Mapping[str, Any], files: Mapping[str, bytes | Path]) -> Bundle:
    """Make the bundle folder `path` from `metadata` (as in bundle.json) and `files` (name to content or source).

    `format`, `files`, `id` and a missing `created` are filled in. The bundle is verified before it takes the
    place of a former bundle at `path`; any other folder there is left alone. Returns the loaded bundle.
    Raises BundleError when the metadata or files make no bundle.
    """
    path = Path(path)
    if path.exists() and not (path / METADATA).is_file() and (not path.is_dir() or any(path.iterdir())):
        raise BundleError(f"{path}: exists and is no bundle; give another path or remove it")
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        _fill(draft, metadata, files)
        Bundle.load(draft)
        os.chmod(draft, 0o755)  # mkdtemp makes it private; bundles are installed for everybody
        _take_place(draft, path)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return Bundle.load(path)


def _fill(draft: Path, metadata: Mapping[str, Any], files: Mapping[str, bytes | Path]) -> None:
    for name, content in files.items():
        target = draft / checked_name(name)
        if isinstance(content, bytes):
            target.write_bytes(content)
        else:
            shutil.copyfile(content, target)
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    whole = {
        "created": now,
        **metadata,
        "format": FORMAT,
        "files": {name: file_hash(draft / name) for name in files},
    }
    whole["id"] = identity(whole)
    (draft / METADATA).write_text(json.dumps(whole, indent=1, sort_keys=True) + "\n", "utf-8")


def _take_place(draft: Path, path: Path) -> None:
    """Rename `draft` to `path`; a former folder there goes only once the new one is in place."""
    if not path.exists():
        draft.rename(path)
        return
    former = Path(tempfile.mkdtemp(prefix=f".{path.name}.former.", dir=path.parent))
    try:
        path.rename(former / path.name)
        draft.rename(path)
    finally:
        shutil.rmtree(former, ignore_errors=True)

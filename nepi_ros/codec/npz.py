# SPDX-License-Identifier: Apache-2.0
"""Integer tables as .npz files: the same bytes for the same tables, and nothing unpacked that is too large."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nepi_ros.errors import CodecError

_MOST = 40 << 20  # bytes that a file may unpack to


def demand(whose: str, good: bool | np.bool_, what: str) -> None:
    """Raise CodecError unless tables are as they must be."""
    if not good:
        raise CodecError(f"{whose}: {what}; restore or re-export the bundle")


def write_npz(arrays: Mapping[str, np.ndarray], file_format: int) -> bytes:
    """The bytes of an .npz file with `arrays` and the number of their `format`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in {"format": np.int32(file_format), **arrays}.items():
            data = io.BytesIO()
            np.lib.format.write_array(data, np.asarray(array), allow_pickle=False)
            # a ZipInfo made by hand has a fixed date: no clock in the bundle's hash
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), data.getvalue(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def read_npz(source: bytes | str | Path, formats: tuple[int, ...]) -> dict[str, np.ndarray]:
    """All arrays of a file or its bytes, `format` among them, which must be one of `formats`.

    Raises CodecError saying what is wrong.
    """
    where = "tables" if isinstance(source, bytes) else str(source)
    try:
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
            if size > _MOST:
                raise ValueError(f"unpacks to {size} bytes")
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = {name: np.asarray(array) for name, array in archive.items()}
        if int(arrays["format"]) not in formats:
            raise ValueError(f"format {int(arrays['format'])}, not {formats[-1]}")
        return arrays
    except Exception as error:  # zipfile, its decompressors and numpy's parser of headers raise some twenty classes
        raise CodecError(f"{where}: cannot be read as .npz ({error}); restore or re-export the bundle") from error

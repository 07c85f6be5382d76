# SPDX-License-Identifier: Apache-2.0
import zlib

import pytest

from nepi_ros.codec.packing import checksum
from nepi_ros.errors import CodecError


def test_checksum_is_what_the_message_definition_says():
    expected = zlib.crc32(b"\x01\0\0\0\x02\0\0\0\0\0\0\x80\x07\x40\x01\xf0\0\0\x03\x04" + b"\xff" * 8 + b"data")
    assert checksum(1, 1 << 63 | 2, 7, 320, 240, 0, 3, 4, -1, b"data") == expected


@pytest.mark.parametrize("position", range(9))
def test_fields_out_of_range_are_refused(position):
    fields = [0] * 9
    fields[position] = 1 << 64
    with pytest.raises(CodecError, match="out of range"):
        checksum(*fields, b"")

# SPDX-License-Identifier: Apache-2.0
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nepi_ros.codec.packing import checksum, join, pack, packed_size, split, unpack
from nepi_ros.errors import CodecError

layers = st.lists(st.binary(max_size=300), max_size=20)


@given(layers)
def test_unpack_is_the_inverse_of_pack(streams):
    data = pack(streams)
    assert len(data) == packed_size(streams)
    assert unpack(data, len(streams)) == streams


@given(layers)
def test_another_number_of_layers_is_refused(streams):
    with pytest.raises(CodecError):
        unpack(pack(streams), len(streams) + 1)
    if streams:
        with pytest.raises(CodecError):
            unpack(pack(streams), len(streams) - 1)


@given(st.binary(max_size=64), st.integers(0, 255))
def test_random_data_unpacks_to_what_packs_to_it_or_is_refused(data, expected):
    try:
        assert pack(unpack(data, expected)) == data
    except CodecError:
        pass


@pytest.mark.parametrize(
    "data", [b"", b"\x80", b"\x80\x00", b"\xff" * 9 + b"\x01", b"\x05abcd", b"\xff\xff\xff\xff\x7f"]
)
def test_bad_lengths_are_refused(data):
    with pytest.raises(CodecError):
        unpack(data, 1)


@given(layers, st.integers(0, 200), st.integers(1, 700))
def test_split_keeps_order_and_size(streams, first, room):
    groups = split(streams, first, room)
    assert [stream for _, group in groups for stream in group] == streams
    following = first
    for start, group in groups:
        assert start == following and group
        assert packed_size(group) <= room or len(group) == 1
        following += len(group)


def test_split_fills_messages():
    assert split([b"12", b"34", b"5", b"6" * 9, b"7"], 3, 6) == [
        (3, [b"12", b"34"]),
        (5, [b"5"]),
        (6, [b"6" * 9]),
        (7, [b"7"]),
    ]


def test_join_gives_the_longest_run_in_any_order():
    groups = [(3, [b"d"]), (0, [b"a", b"b"]), (5, [b"f"]), (1, [b"b", b"c"])]
    assert join(groups) == [b"a", b"b", b"c", b"d"]
    assert join([(1, [b"b"])]) == [] == join([])


def test_checksum_is_what_the_message_definition_says():
    fields = b"\x01\0\0\0\x02\0\0\0\0\0\0\x80\x07\x40\x01\xf0\0\0\x03\x04" + b"\xff" * 8 + b"\x10\x27\0\0\x02"
    expected = zlib.crc32(fields + b"data")
    assert checksum(1, 1 << 63 | 2, 7, 320, 240, 0, 3, 4, -1, 10_000, 2, b"data") == expected


@pytest.mark.parametrize("position", range(11))
def test_fields_out_of_range_are_refused(position):
    fields = [0] * 11
    fields[position] = 1 << 64
    with pytest.raises(CodecError, match="out of range"):
        checksum(*fields, b"")

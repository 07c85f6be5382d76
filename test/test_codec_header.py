# SPDX-License-Identifier: Apache-2.0
import zlib
from dataclasses import replace
from types import SimpleNamespace

import pytest

from nepi_ros.codec import DamagedEpitomeError, EpitomeHeader, ForeignBundleError, UnavailableTaskError
from nepi_ros.errors import CodecError

BUNDLE = SimpleNamespace(
    id=(1 << 64) - 5, name="garden", layer_count=3, tasks={"segmentation": None, "classification": None}, task_mask=5
)
GOOD = EpitomeHeader(
    sequence=7, bundle_id=BUNDLE.id, task_mask=5, width=640, height=480,
    first_layer=1, layer_count=2, frame_layers=3, handover_ns=-12,
)  # fmt: skip


def validate(header, data=b"data"):
    header.validate_against(BUNDLE, data, header.checksum(data))


def test_a_good_header_passes():
    validate(GOOD)
    validate(replace(GOOD, first_layer=0, layer_count=1, frame_layers=1, width=1, height=16384, task_mask=1))


def test_fields_come_from_a_message_of_any_type():
    message = SimpleNamespace(**vars(GOOD), checksum=1, data=b"")
    assert EpitomeHeader.from_message(message) == GOOD


@pytest.mark.parametrize(
    "change",
    [
        {"width": 0}, {"height": 0}, {"width": 16385}, {"height": 65535},
        {"layer_count": 0}, {"layer_count": 3}, {"first_layer": 3}, {"frame_layers": 4}, {"frame_layers": 0},
        {"first_layer": 255, "layer_count": 255},
    ],
)  # fmt: skip
def test_impossible_claims_are_damage(change):
    with pytest.raises(DamagedEpitomeError, match="claims"):
        validate(replace(GOOD, **change))


def test_another_bundle_is_told_from_damage():
    with pytest.raises(ForeignBundleError, match="0000000000000007.*garden.*set the same `bundle`"):
        validate(replace(GOOD, bundle_id=7))


@pytest.mark.parametrize("mask", [0, 2, 7, 8, 255])
def test_tasks_the_bundle_lacks_are_refused(mask):
    with pytest.raises(UnavailableTaskError, match="segmentation, classification"):
        validate(replace(GOOD, task_mask=mask))


@pytest.mark.parametrize("name", vars(GOOD))
def test_any_changed_field_or_data_is_noticed(name):
    right = GOOD.checksum(b"data")
    with pytest.raises(DamagedEpitomeError, match="checksum"):
        replace(GOOD, **{name: getattr(GOOD, name) + 1 & 0xFF}).validate_against(BUNDLE, b"data", right)
    with pytest.raises(DamagedEpitomeError, match="checksum"):
        GOOD.validate_against(BUNDLE, b"dada", right)


def test_all_are_codec_errors():
    assert all(issubclass(e, CodecError) for e in (DamagedEpitomeError, ForeignBundleError, UnavailableTaskError))


def test_the_checksum_is_what_the_message_definition_says():
    fields = b"\x01\0\0\0\x02\0\0\0\0\0\0\x80\x07\x40\x01\xf0\0\0\x03\x04" + b"\xff" * 8 + b"\x10\x27\0\0\x02\x05"
    header = EpitomeHeader(1, 1 << 63 | 2, 7, 320, 240, 0, 3, 4, -1, 10_000, 2, 5)
    assert header.checksum(b"data") == zlib.crc32(fields + b"data")


@pytest.mark.parametrize("position", range(12))
def test_fields_out_of_range_are_refused(position):
    fields = [0] * 12
    fields[position] = 1 << 64
    with pytest.raises(CodecError, match="out of range"):
        EpitomeHeader(*fields).checksum(b"")

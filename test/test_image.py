# SPDX-License-Identifier: Apache-2.0
"""Image messages in every encoding: against pixels worked out by hand, and against swscale."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from nepi_ros.errors import ImageError
from nepi_ros.image import ENCODINGS, compressed_to_rgb, from_rgb, to_rgb

EIGHT_BIT = [encoding for encoding in ENCODINGS if not encoding.endswith("16")]
SIXTEEN_BIT = [encoding for encoding in ENCODINGS if encoding.endswith("16")]
BAYER = [encoding for encoding in EIGHT_BIT if encoding.startswith("bayer")]
YUV = ["yuv422", "uyvy", "yuv422_yuy2", "yuyv", "nv12", "nv21"]

RED, GREEN, BLUE = (200, 30, 40), (50, 180, 60), (20, 70, 210)


def colours(width: int = 64, height: int = 48, seed: int = 0) -> np.ndarray:
    """A smooth picture of many colours, so that shared chroma and mosaics lose little."""
    coarse = np.random.default_rng(seed).integers(20, 236, (4, 5, 3)).astype(np.float32)
    picture = cv2.resize(coarse, (64, 48), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)
    return np.ascontiguousarray(picture[:height, :width])


def flat(colour: tuple[int, int, int], width: int = 8, height: int = 6) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)


def message(encoding: str, width: int, height: int, step: int, data: bytes, **fields: int) -> Image:
    return Image(encoding=encoding, width=width, height=height, step=step, data=data, **fields)


def padded(image: Image, padding: int) -> Image:
    """The same image with `padding` bytes of rubbish behind every row."""
    data = np.frombuffer(image.data, np.uint8)
    rows = data[: len(data) // image.step * image.step].reshape(-1, image.step)
    rubbish = np.full((len(rows), padding), 0xA5, np.uint8)
    image.data = np.hstack([rows, rubbish]).tobytes()
    image.step += padding
    return image


def difference(a: np.ndarray, b: np.ndarray) -> float:
    assert a.shape == b.shape and a.dtype == b.dtype == np.uint8
    return float(np.abs(a.astype(int) - b).mean())


class TestByHand:
    """Pixels worked out from the definitions of the encodings."""

    @pytest.mark.parametrize(
        ("encoding", "pixel"),
        [
            ("rgb8", [1, 2, 3]),
            ("bgr8", [3, 2, 1]),
            ("rgba8", [1, 2, 3, 77]),
            ("bgra8", [3, 2, 1, 77]),
            ("rgb16", [9, 1, 9, 2, 9, 3]),
            ("bgra16", [9, 3, 9, 2, 9, 1, 9, 77]),
        ],
    )
    def test_colour_orders(self, encoding: str, pixel: list[int]) -> None:
        rgb = to_rgb(message(encoding, 2, 1, 2 * len(pixel), bytes(pixel + pixel)))
        assert rgb.tolist() == [[[1, 2, 3], [1, 2, 3]]]

    def test_mono(self) -> None:
        assert to_rgb(message("mono8", 2, 1, 2, bytes([5, 250]))).tolist() == [[[5] * 3, [250] * 3]]

    def test_byte_order(self) -> None:
        data = bytes([0x12, 0x34])
        assert to_rgb(message("mono16", 1, 1, 2, data)).tolist() == [[[0x34] * 3]]
        assert to_rgb(message("mono16", 1, 1, 2, data, is_bigendian=1)).tolist() == [[[0x12] * 3]]

    # A saturated red in BT.601: Y 81, U 90, V 240; and grey: Y 126, U V 128.
    @pytest.mark.parametrize(
        ("encoding", "data"),
        [
            ("yuv422_yuy2", [81, 90, 81, 240] * 2),
            ("yuyv", [81, 90, 81, 240] * 2),
            ("yuv422", [90, 81, 240, 81] * 2),
            ("uyvy", [90, 81, 240, 81] * 2),
            ("nv12", [81] * 4 + [90, 240]),
            ("nv21", [81] * 4 + [240, 90]),
        ],
    )
    def test_yuv_red(self, encoding: str, data: list[int]) -> None:
        step = 4 if len(data) == 8 else 2
        rgb = to_rgb(message(encoding, 2, 2, step, bytes(data)))
        assert np.abs(rgb.astype(int) - [255, 0, 0]).max() <= 2

    @pytest.mark.parametrize("encoding", BAYER)
    @pytest.mark.parametrize("colour", [RED, GREEN, BLUE])
    def test_mosaic_of_one_colour(self, encoding: str, colour: tuple[int, int, int]) -> None:
        """Every sample of a mosaic is the colour's value for the letter at its place."""
        letters = encoding.removeprefix("bayer_").removesuffix("8")
        values = [colour["rgb".index(letter)] for letter in letters]
        tile = np.array(values, np.uint8).reshape(2, 2)
        mosaic = np.tile(tile, (3, 4))
        assert (to_rgb(message(encoding, 8, 6, 8, mosaic.tobytes())) == colour).all()


class TestAgainstSwscale:
    """What FFmpeg's converter makes of the same picture, ours must read as the picture."""

    @pytest.mark.parametrize(
        ("encoding", "pixel_format"),
        [("yuyv", "yuyv422"), ("yuv422", "uyvy422"), ("nv12", "nv12"), ("nv21", "nv21")],
    )
    def test_yuv(self, encoding: str, pixel_format: str) -> None:
        av = pytest.importorskip("av")
        rgb = cv2.GaussianBlur(colours(), (0, 0), 4)
        frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
        frame = frame.reformat(format=pixel_format, dst_colorspace="ITU601", dst_color_range="MPEG")
        packed = len(frame.planes) == 1
        row = 128 if packed else 64
        data = b"".join(
            np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: 24 if index else 48, :row].tobytes()
            for index, plane in enumerate(frame.planes)
        )
        assert difference(to_rgb(message(encoding, 64, 48, row, data)), rgb) < 2.5

    @pytest.mark.parametrize("encoding", BAYER)
    def test_bayer(self, encoding: str) -> None:
        av = pytest.importorskip("av")
        ours = from_rgb(colours(), encoding)
        frame = av.VideoFrame(64, 48, encoding)
        plane = frame.planes[0]
        rows = np.zeros((48, plane.line_size), np.uint8)
        rows[:, :64] = np.frombuffer(ours.data, np.uint8).reshape(48, 64)
        plane.update(rows.tobytes())
        assert difference(to_rgb(ours), frame.reformat(format="rgb24").to_ndarray()) < 4


@pytest.mark.parametrize("size", [(64, 48), (63, 47), (64, 47), (63, 48), (5, 3)])
@pytest.mark.parametrize("encoding", EIGHT_BIT)
class TestRoundTrip:
    def test_back_and_forth(self, encoding: str, size: tuple[int, int]) -> None:
        rgb = colours(*size)
        expected = cv2.cvtColor(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        expected = expected if encoding == "mono8" else rgb
        exact = not encoding.startswith("bayer") and encoding not in YUV
        allowed = 0.0 if exact else 6.0
        assert difference(to_rgb(from_rgb(rgb, encoding)), expected) <= allowed

    def test_padding_of_rows_makes_no_difference(self, encoding: str, size: tuple[int, int]) -> None:
        if encoding.startswith("nv") and size[0] % 2:
            pytest.skip("without padding the chroma rows of an odd width are longer than the luma rows")
        rgb = colours(*size)
        plain = to_rgb(from_rgb(rgb, encoding))
        for padding in (1, 3, 64):
            assert np.array_equal(to_rgb(padded(from_rgb(rgb, encoding), padding)), plain)


def test_nv12_of_odd_width_with_padding() -> None:
    rgb = flat(RED, 5, 3)
    image = from_rgb(rgb, "nv12")
    luma, chroma = bytes(image.data[:15]), bytes(image.data[15:])
    rows = [luma[i : i + 5] + b"\xa5\xa5\xa5" for i in (0, 5, 10)] + [chroma[i : i + 6] + b"\xa5\xa5" for i in (0, 6)]
    assert difference(to_rgb(message("nv12", 5, 3, 8, b"".join(rows))), rgb) < 2


@pytest.mark.parametrize("encoding", SIXTEEN_BIT)
def test_sixteen_bits_count_by_the_upper_byte(encoding: str) -> None:
    eight = from_rgb(colours(), encoding.replace("16", "8"))
    low = np.full(len(eight.data), 0x5A, np.uint8)
    for is_bigendian in (0, 1):
        pair = (np.frombuffer(eight.data, np.uint8), low)
        data = np.stack(pair if is_bigendian else pair[::-1], axis=-1).tobytes()
        image = message(encoding, 64, 48, 2 * eight.step, data, is_bigendian=is_bigendian)
        assert np.array_equal(to_rgb(padded(image, 5)), to_rgb(eight))


def test_last_row_may_lack_its_padding() -> None:
    rgb = colours()
    image = padded(from_rgb(rgb, "bgr8"), 7)
    image.data = image.data[:-7]
    assert np.array_equal(to_rgb(image), rgb)


class TestRefused:
    """What cannot be converted is named, with what would do."""

    def check(self, image: Image, *words: str) -> None:
        with pytest.raises(ImageError) as caught:
            to_rgb(image)
        for word in words:
            assert word in str(caught.value)

    def test_unknown_encoding(self) -> None:
        self.check(message("32FC1", 2, 1, 8, bytes(8)), "'32FC1' of 2 x 1", "bgr8", "nv12", "yuv422_yuy2")
        self.check(message("", 2, 1, 8, bytes(8)), "''")
        self.check(message("x" * 10_000, 2, 1, 8, bytes(8)), "xxx...")

    @pytest.mark.parametrize("encoding", ENCODINGS)
    def test_too_little_data(self, encoding: str) -> None:
        step = 64 * 8
        self.check(message(encoding, 64, 48, step, bytes(step * 47)), encoding, "64 x 48", "takes")
        self.check(message(encoding, 64, 48, step, b""), "holds 0 bytes")

    @pytest.mark.parametrize("encoding", ENCODINGS)
    def test_step_shorter_than_a_row(self, encoding: str) -> None:
        self.check(message(encoding, 64, 48, 63, bytes(100_000)), "step says 63 bytes")
        self.check(message(encoding, 64, 48, 0, bytes(100_000)), "step says 0 bytes")

    @pytest.mark.parametrize("size", [(0, 4), (4, 0), (0, 0), (16385, 1), (1, 16385), (2**32 - 1, 2**32 - 1)])
    def test_absurd_sizes(self, size: tuple[int, int]) -> None:
        self.check(message("mono8", *size, 2**32 - 1, bytes(16)), "from 1 to 16384")

    def test_absurd_step(self) -> None:
        for encoding in ENCODINGS:
            self.check(message(encoding, 16384, 16384, 2**32 - 1, bytes(100)), "holds 100 bytes")

    def test_too_small_for_its_encoding(self) -> None:
        self.check(message("bayer_rggb8", 2, 2, 2, bytes(4)), "mosaic")
        self.check(message("yuyv", 1, 1, 2, bytes(2)), "at least 2 pixels wide")

    def test_what_is_not_made(self) -> None:
        with pytest.raises(ImageError, match="mono16"):
            from_rgb(colours(), "mono16")


class TestCompressed:
    def compressed(self, suffix: str, pixels: np.ndarray, form: str) -> CompressedImage:
        return CompressedImage(format=form, data=cv2.imencode(suffix, pixels)[1].tobytes())

    @pytest.mark.parametrize("form", ["jpeg", "rgb8; jpeg compressed bgr8", "bgr8; jpeg compressed bgr8", ""])
    def test_jpeg(self, form: str) -> None:
        rgb = colours()
        assert difference(compressed_to_rgb(self.compressed(".jpg", rgb[..., ::-1], form)), rgb) < 3

    @pytest.mark.parametrize("form", ["png", "rgb8; png compressed bgr8"])
    def test_png(self, form: str) -> None:
        rgb = colours()
        assert np.array_equal(compressed_to_rgb(self.compressed(".png", rgb[..., ::-1], form)), rgb)

    def test_pixels_in_rgb_order_as_the_format_says(self) -> None:
        rgb = colours()
        assert np.array_equal(compressed_to_rgb(self.compressed(".png", rgb, "rgb8; png compressed rgb8")), rgb)

    def test_grey_alpha_and_sixteen_bits(self) -> None:
        rgb = colours()
        grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        expected = np.repeat(grey[..., None], 3, axis=2)
        assert np.array_equal(compressed_to_rgb(self.compressed(".png", grey, "mono8; png compressed ")), expected)
        wide = grey.astype(np.uint16) << 8
        assert np.array_equal(compressed_to_rgb(self.compressed(".png", wide, "mono16; png compressed ")), expected)
        bgra = np.dstack([rgb[..., ::-1], np.full(grey.shape, 9, np.uint8)])
        assert np.array_equal(compressed_to_rgb(self.compressed(".png", bgra, "bgra8; png compressed bgr8")), rgb)

    @pytest.mark.parametrize("encoding", BAYER)
    def test_mosaic_keeps_its_colours(self, encoding: str) -> None:
        raw = from_rgb(colours(), encoding)
        mosaic = np.frombuffer(raw.data, np.uint8).reshape(48, 64)
        image = self.compressed(".png", mosaic, f"{encoding}; png compressed ")
        assert np.array_equal(compressed_to_rgb(image), to_rgb(raw))

    def test_orientation_of_the_file_is_ignored(self) -> None:
        """The pixels stay where the camera has them, whatever EXIF says."""
        rgb = colours()
        jpeg = cv2.imencode(".jpg", rgb[..., ::-1])[1].tobytes()
        tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"  # one entry: orientation 6
        exif = b"Exif\0\0" + tiff
        app1 = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
        image = CompressedImage(format="jpeg", data=jpeg[:2] + app1 + jpeg[2:])
        assert compressed_to_rgb(image).shape == rgb.shape

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"\xff\xd8",
            b"\xff\xd8\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\xff\xd8" + b"\xff\xe0\x00\x00" * 50,
            b"\x89PNG\r\n\x1a\n",
            b"\x89PNG\r\n\x1a\n" + bytes(100),
            b"GIF89a" + bytes(100),
            b"RIFF\0\0\0\0WEBPVP8 " + bytes(100),
        ],
    )
    def test_what_is_no_image(self, data: bytes) -> None:
        with pytest.raises(ImageError, match="its format says 'jpeg'"):
            compressed_to_rgb(CompressedImage(format="jpeg", data=data))

    def test_damaged(self) -> None:
        png = self.compressed(".png", colours(), "png")
        png.data = png.data[:60]
        with pytest.raises(ImageError, match="64 x 48"):
            compressed_to_rgb(png)

    def test_absurd_claims_cost_nothing(self) -> None:
        png = bytearray(cv2.imencode(".png", colours())[1].tobytes())
        png[16:24] = b"\x7f\xff\xff\xff\x7f\xff\xff\xff"
        jpeg = bytearray(cv2.imencode(".jpg", colours())[1].tobytes())
        frame = jpeg.index(b"\xff\xc0")
        jpeg[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
        for data in (png, jpeg):
            with pytest.raises(ImageError, match="claims"):
                compressed_to_rgb(CompressedImage(format="x", data=bytes(data)))

    def test_random_bytes_raise_nothing_else(self) -> None:
        random = np.random.default_rng(1)
        good = cv2.imencode(".jpg", colours())[1]
        for _ in range(200):
            data = good.copy()
            places = random.integers(0, len(data), 5)
            data[places] = random.integers(0, 256, 5)
            try:
                compressed_to_rgb(CompressedImage(format="jpeg", data=data.tobytes()))
            except ImageError:
                pass


def test_header_passes_untouched() -> None:
    header = Header(frame_id="camera")
    header.stamp.sec, header.stamp.nanosec = 12, 34
    assert from_rgb(colours(), "bgr8", header).header == header

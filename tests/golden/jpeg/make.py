#!/usr/bin/env python3
"""Makes the JPEG corpus of tests/images/test_jpeg.c: every kind of pixel, tiny, and what Pillow reads from each.

    python3 make.py          needs Pillow and numpy; writes NAME.jpg, expected.rgb and bad_*.jpg beside itself

expected.rgb holds Image.open(NAME).convert("RGB") of NAMES in order, [n,29,37,3] u8: 37x29 is a multiple of no block.
"""
import io
import os
import struct

import numpy as np
from PIL import Image

HERE = os.path.dirname(os.path.abspath(__file__))
W, H = 37, 29
y, x = np.mgrid[0:H, 0:W]
noise = np.random.RandomState(20261123).randint(0, 60, (H, W, 4))
PIXELS = np.clip(np.stack([6 * x, 8 * y, 255 - 5 * x, 3 * x + 3 * y], -1) + noise, 0, 255).astype("u1")
RGB, GREY, CMYK = (Image.fromarray(PIXELS[..., :3]), Image.fromarray(PIXELS[..., 0]), Image.fromarray(PIXELS, "CMYK"))
EXIF_TURNED = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"


def jpeg(image, **how):
    out = io.BytesIO()
    image.save(out, "JPEG", **{"quality": 80, **how})
    return out.getvalue()


def adobe_marker(data, transform):
    """The same file with another word about its colours; -1: none."""
    at = data.find(b"\xff\xee")
    if transform >= 0 and at >= 0:
        return data[:at + 15] + bytes([transform]) + data[at + 16:]
    return data[:at] + data[at + 16:] if at >= 0 else data


def rgb_as_it_is():
    """Three components that are red, green and blue: an Adobe marker says that nothing was transformed."""
    marker = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0"
    data = jpeg(RGB, subsampling=0)
    return data[:2] + marker + data[2:]


GOOD = {
    "rgb_444": jpeg(RGB, subsampling=0),
    "rgb_422": jpeg(RGB, subsampling=1),
    "rgb_420": jpeg(RGB, subsampling=2),
    "rgb_420_fine": jpeg(RGB, subsampling=2, quality=98),
    "rgb_progressive": jpeg(RGB, progressive=True, subsampling=2),
    "rgb_optimised": jpeg(RGB, optimize=True),
    "rgb_untransformed": rgb_as_it_is(),
    "rgb_turned": jpeg(RGB, exif=EXIF_TURNED),
    "rgb_gamma": jpeg(RGB, icc_profile=b"not a profile"),
    "grey": jpeg(GREY),
    "grey_progressive": jpeg(GREY, progressive=True),
    "cmyk": jpeg(CMYK),
    "cmyk_without_adobe": adobe_marker(jpeg(CMYK), -1),
    "ycck": adobe_marker(jpeg(CMYK), 2),
    "junk_before_marker": None,  # below
}
plain = GOOD["rgb_420"]
scan = plain.find(b"\xff\xda")
GOOD["junk_before_marker"] = plain[:scan] + b"\0\0\0" + plain[scan:]
frame = plain.find(b"\xff\xc0")
body = scan + 14


def with_size(data, height, width):
    at = data.find(b"\xff\xc0") if b"\xff\xc0" in data else data.find(b"\xff\xc2")
    return data[:at + 5] + struct.pack(">HH", height, width) + data[at + 9:]


def with_components(count):
    parts = b"".join(bytes([i + 1, 0x11, 0]) for i in range(count))
    picks = b"".join(bytes([i + 1, 0]) for i in range(count))
    return (plain[:frame] + struct.pack(">HHBHHB", 0xffc0, 8 + 3 * count, 8, H, W, count) + parts +
            struct.pack(">HHB", 0xffda, 6 + 2 * count, count) + picks + b"\0\x3f\0" + plain[body:])


def many_scans():
    """A progressive file of one block that tells each coefficient bit by bit, as is allowed: 14 scans a coefficient. Both
    Huffman tables have one code, 0, for "nothing"."""
    data = b"\xff\xd8" + struct.pack(">HHB", 0xffdb, 67, 0) + b"\x01" * 64
    data += struct.pack(">HHBHHB", 0xffc2, 11, 8, 8, 8, 1) + bytes([1, 0x11, 0])
    for table in (0x00, 0x10):
        data += struct.pack(">HHB", 0xffc4, 20, table) + b"\1" + b"\0" * 15 + b"\0"
    for k in range(16):
        for low in range(13, -1, -1):
            high = 0 if low == 13 else low + 1
            data += struct.pack(">HHB", 0xffda, 8, 1) + bytes([1, 0, k, k, high << 4 | low]) + b"\x7f"
    return data + b"\xff\xd9"


BAD = {
    "empty": b"",
    "text": b"hello, I am no image\n",
    "half": plain[:len(plain) // 2],
    "no_end": plain[:-2],
    "header_alone": plain[:scan],
    "huge": with_size(plain, 65000, 65000),
    "hollow": with_size(plain, 8000, 8000),
    "no_height": with_size(plain, 0, W),
    "damaged_scan": plain[:body] + b"\x5a\xa5\xff\xc4\0\x03" * 20 + plain[body + 120:],
    "two_components": with_components(2),
    "twelve_bits": plain[:frame + 4] + b"\x0c" + plain[frame + 5:],
    "lossless": plain[:frame + 1] + b"\xc3" + plain[frame + 2:],
    "many_scans": many_scans(),
}


def main():
    expected = b""
    for name, data in GOOD.items():
        with open(os.path.join(HERE, name + ".jpg"), "wb") as file:
            file.write(data)
        image = Image.open(io.BytesIO(data)).convert("RGB")
        assert image.size == (W, H), name
        expected += image.tobytes()
    with open(os.path.join(HERE, "expected.rgb"), "wb") as file:
        file.write(expected)
    for name, data in BAD.items():
        with open(os.path.join(HERE, f"bad_{name}.jpg"), "wb") as file:
            file.write(data)


if __name__ == "__main__":
    main()

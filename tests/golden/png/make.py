#!/usr/bin/env python3
"""Makes the PNG corpus of tests/images/test_png.c: every kind of pixel, tiny, and what Pillow reads from each.

    python3 make.py          needs Pillow and numpy; writes NAME.png, expected.rgb and bad_*.png beside itself

The containers are written here (Pillow writes neither Adam7 nor 16-bit colour); expected.rgb holds
Image.open(NAME).convert("RGB") of NAMES in order, [n,9,13,3] u8. grey16 is the exception: Pillow clips or shifts
16-bit grey depending on its version, so the high byte, which it takes for 16-bit colour, is what is expected.
"""
import os
import struct
import zlib

import numpy as np
from PIL import Image

HERE = os.path.dirname(os.path.abspath(__file__))
W, H = 13, 9
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
rng = np.random.RandomState(20261123)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def header(width, height, depth, colour, interlaced=0):
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced))


def pack_rows(pixels, depth):
    """pixels [h,w,c] of samples -> filter byte 0 and packed samples, row by row."""
    out = b""
    for row in pixels.reshape(pixels.shape[0], -1):
        if depth == 16:
            data = row.astype(">u2").tobytes()
        elif depth == 8:
            data = row.astype("u1").tobytes()
        else:
            bits = ((row[:, None] >> np.arange(depth - 1, -1, -1)) & 1).astype("u1").ravel()
            data = np.packbits(bits).tobytes()
        out += b"\0" + data
    return out


def png(colour, depth, interlaced=False, palette=None, trns=None, extra=b""):
    high = 2 ** depth if palette is None else len(palette) // 3
    pixels = rng.randint(0, high, (H, W, CHANNELS[colour]))
    passes = [(x, y, dx, dy) for x, y, dx, dy in ADAM7] if interlaced else [(0, 0, 1, 1)]
    raw = b"".join(pack_rows(pixels[y::dy, x::dx], depth) for x, y, dx, dy in passes if pixels[y::dy, x::dx].size)
    data = header(W, H, depth, colour, int(interlaced)) + extra
    if palette is not None:
        data += chunk(b"PLTE", palette)
    if trns is not None:
        data += chunk(b"tRNS", trns)
    packed = zlib.compress(raw, 9)
    return data + chunk(b"IDAT", packed[:20]) + chunk(b"IDAT", packed[20:]) + chunk(b"IEND", b""), pixels


def colours(n):
    return rng.randint(0, 256, 3 * n).astype("u1").tobytes()


FILES = {
    "grey1": png(GREY, 1), "grey2": png(GREY, 2), "grey4": png(GREY, 4), "grey8": png(GREY, 8), "grey16": png(GREY, 16),
    "grey_alpha8": png(GREY_ALPHA, 8), "grey_alpha16": png(GREY_ALPHA, 16), "grey_clear": png(GREY, 8, trns=struct.pack(">H", 7)),
    "rgb8": png(RGB, 8), "rgb16": png(RGB, 16), "rgb_clear": png(RGB, 8, trns=struct.pack(">HHH", 1, 2, 3)),
    "rgba8": png(RGBA, 8), "rgba16": png(RGBA, 16),
    "palette1": png(PALETTE, 1, palette=colours(2)), "palette2": png(PALETTE, 2, palette=colours(4)),
    "palette4": png(PALETTE, 4, palette=colours(11)), "palette8": png(PALETTE, 8, palette=colours(200)),
    "palette_alpha": png(PALETTE, 8, palette=colours(50), trns=bytes(range(50))),
    "interlaced_grey1": png(GREY, 1, interlaced=True), "interlaced_rgb8": png(RGB, 8, interlaced=True),
    "interlaced_palette4": png(PALETTE, 4, interlaced=True, palette=colours(16)),
    "gamma_text": png(RGB, 8, extra=chunk(b"gAMA", struct.pack(">I", 22000)) + chunk(b"tEXt", b"Title\0sample")),
}


def main():
    expected = []
    for name, (data, pixels) in FILES.items():
        path = os.path.join(HERE, name + ".png")
        with open(path, "wb") as f:
            f.write(data)
        if name == "grey16":
            expected.append(np.repeat((pixels >> 8).astype("u1"), 3, axis=2))
        else:
            expected.append(np.asarray(Image.open(path).convert("RGB")))
    np.stack(expected).tofile(os.path.join(HERE, "expected.rgb"))

    good = FILES["rgb8"][0]
    flipped = bytearray(good)
    flipped[good.index(b"IDAT") + 9] ^= 0x40
    bad = {
        "bad_empty": b"",
        "bad_text": b"this is not a picture\n",
        "bad_jpeg": b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(40),
        "bad_half": good[:len(good) // 2],
        "bad_no_end": good[:-12],
        "bad_checksum": bytes(flipped),
        "bad_huge": header(65000, 65000, 8, RGB) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b""),
        "bad_hollow": header(8000, 8000, 8, RGB) + chunk(b"IDAT", zlib.compress(bytes(100000))) + chunk(b"IEND", b""),
        "bad_short_rows": header(W, H, 8, RGB) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b""),
        "bad_palette_missing": header(W, H, 8, PALETTE) + chunk(b"IDAT", zlib.compress(bytes(H * (W + 1)))) + chunk(b"IEND", b""),
    }
    for name, data in bad.items():
        with open(os.path.join(HERE, name + ".png"), "wb") as f:
            f.write(data)
    print("NAMES:", ", ".join('"%s"' % name for name in FILES))


if __name__ == "__main__":
    main()

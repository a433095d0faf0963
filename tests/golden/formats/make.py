#!/usr/bin/env python3
"""Makes the corpus of tests/images/test_formats.c: WebP, BMP, TIFF and PPM files of every kind that is read, tiny, and what
Pillow reads from each.

    python3 make.py          needs Pillow and numpy; writes NAME.EXT, NAME.EXT.png and bad_NAME.EXT beside itself

NAME.EXT.png holds Image.open(NAME.EXT).convert("RGB"). Kinds of which ddq makes other pixels than Pillow are in OTHERS, with
the pixels that ddq makes.
"""
import io
import os
import struct
import zlib

import numpy as np
from PIL import Image

HERE = os.path.dirname(os.path.abspath(__file__))
W, H = 37, 21
y, x = np.mgrid[0:H, 0:W]
noise = np.random.RandomState(20261129).randint(0, 60, (H, W, 4))
PIXELS = np.clip(np.stack([6 * x, 11 * y, 255 - 5 * x, 3 * x + 5 * y], -1) + noise, 0, 255).astype("u1")
RGB, RGBA, GREY = Image.fromarray(PIXELS[..., :3]), Image.fromarray(PIXELS, "RGBA"), Image.fromarray(PIXELS[..., 0])
CMYK, BITS, PALETTE = Image.fromarray(PIXELS, "CMYK"), GREY.convert("1"), RGB.quantize(200)
WIDE = PIXELS.astype("u2") * 257 ^ 0x55


def saved(image, kind, **how):
    out = io.BytesIO()
    image.save(out, kind, **how)
    return out.getvalue()


# --- BMP -----------------------------------------------------------------------------------------------


def bmp(bits, rows, palette=b"", compression=0, header=40, masks=(), height=None, offset=None, colours=0):
    """rows: bytes, padded to four, in the order of the file."""
    body = b"".join(rows)
    fields = struct.pack("<iiHHIIiiII", W, H if height is None else height, 1, bits, compression, len(body), 0, 0, colours, 0)
    more = b"".join(struct.pack("<I", mask) for mask in masks)
    head = struct.pack("<I", header) + fields
    tail = more if header == 40 else b""
    if header > 40:
        head += more
        head += bytes(header - len(head))
    at = 14 + len(head) + len(tail) + len(palette)
    return b"BM" + struct.pack("<IHHI", at + len(body), 0, 0, at if offset is None else offset) + head + tail + palette + body


def padded(row):
    return row + bytes(-len(row) % 4)


def packed16(red, green, blue):
    """Bits of each colour to a little-endian row."""
    shift = [green + blue, blue, 0]
    values = sum((PIXELS[..., c].astype("u4") >> (8 - bits)) << shift[c] for c, bits in enumerate((red, green, blue)))
    return [padded(row.astype("<u2").tobytes()) for row in values[::-1]]


def four(order):
    return [PIXELS[r][:, order].tobytes() for r in range(H - 1, -1, -1)]


def run_lengths(indices, delta=False):
    """Runs, copies with and without padding, early ends of rows and perhaps a delta, which Pillow 9.4 misreads."""
    out = b""
    for r, row in enumerate(indices[::-1]):
        if r == 3 and delta:
            out += b"\0\2" + bytes([5, 0])
            row = row[5:]
        if r == 5:
            out += bytes([9, row[0]]) + b"\0\0"  # the rest is colour 0
            continue
        out += bytes([3, row[0]])
        rest = row[3:]
        odd = rest[:7] if r % 2 else rest[:8]
        out += b"\0" + bytes([len(odd)]) + odd.tobytes() + (b"\0" if len(odd) % 2 else b"")
        for value in rest[len(odd):]:
            out += bytes([1, value])
        out += b"\0\0"
    return out + b"\0\1"


INDICES = np.asarray(PALETTE)
COLOURS = np.frombuffer(bytes(PALETTE.getpalette()[:600]), "u1").reshape(200, 3)
PAL4 = np.concatenate([COLOURS[:, ::-1], np.zeros((200, 1), "u1")], 1).tobytes()
BMPS = {
    "rgb": saved(RGB, "BMP"),
    "grey": saved(GREY, "BMP"),
    "palette": saved(PALETTE, "BMP"),
    "bits": saved(BITS, "BMP"),
    "nibbles": bmp(4, [padded(bytes((r[i] % 16) << 4 | (r[i + 1] % 16 if i + 1 < W else 0) for i in range(0, W, 2))) for r in INDICES[::-1]],
                   PAL4[:64]),
    "rgba": bmp(32, four([2, 1, 0, 3]), compression=3, header=108, masks=(0xff0000, 0xff00, 0xff, 0xff000000)),
    "rgbx": bmp(32, four([2, 1, 0, 3])),
    "red_first": bmp(32, four([0, 1, 2, 3]), compression=3, header=124, masks=(0xff, 0xff00, 0xff0000, 0xff000000)),
    "alpha_first": bmp(32, four([3, 2, 1, 0]), compression=3, header=108, masks=(0xff000000, 0xff0000, 0xff00, 0xff)),
    "no_masks": bmp(32, four([2, 1, 0, 3]), compression=3, header=108, masks=(0, 0, 0, 0)),
    "short_masks": bmp(32, four([2, 1, 0, 3]), compression=3, masks=(0xff0000, 0xff00, 0xff)),
    "555": bmp(16, packed16(5, 5, 5)),
    "565": bmp(16, packed16(5, 6, 5), compression=3, masks=(0xf800, 0x7e0, 0x1f)),
    "from_top": bmp(24, [padded(PIXELS[r][:, [2, 1, 0]].tobytes()) for r in range(H)], height=-H),
    "runs": bmp(8, [run_lengths(INDICES)], PAL4, compression=1, colours=200),
    "old": b"BM" + struct.pack("<IHHIIHHHH", 0, 0, 0, 26 + 768, 12, W, H, 1, 8) + np.concatenate(
        [COLOURS[:, ::-1], np.zeros((56, 3), "u1")]).tobytes() + b"".join(padded(r.tobytes()) for r in INDICES[::-1]),
}

# --- TIFF ----------------------------------------------------------------------------------------------


def tiff(pieces, tags, order="<", big=False):
    """One page of strips or tiles that are packed already. tags: number -> values (short), or ("I", values) for long."""
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    tags = {256: [W], 257: [H], **tags}
    entries, extra = {}, b""
    tiled = 322 in tags
    count = len(tags) + 2
    room = 8 + 2 + 12 * count + 4
    data_at = [None] * len(pieces)
    for number in sorted([*tags, *((324, 325) if tiled else (273, 279))]):
        entries[number] = None
    packed = {}
    for number, values in tags.items():
        form, values = ("I", values[1]) if isinstance(values, tuple) else ("H", values)
        packed[number] = (form, values)
    packed[325 if tiled else 279] = ("I", [len(p) for p in pieces])
    packed[324 if tiled else 273] = ("I", [0] * len(pieces))
    size = sum(len(v) * (4 if f == "I" else 2) for f, v in packed.values() if len(v) * (4 if f == "I" else 2) > 4)
    at = room + size
    for i, piece in enumerate(pieces):
        data_at[i] = at
        at += len(piece)
    packed[324 if tiled else 273] = ("I", data_at)
    out = struct.pack(order + "H", count)
    for number in sorted(packed):
        form, values = packed[number]
        raw = b"".join(struct.pack(order + form, v) for v in values)
        out += struct.pack(order + "HHI", number, 4 if form == "I" else 3, len(values))
        if len(raw) <= 4:
            out += raw.ljust(4, b"\0")
        else:
            out += struct.pack(order + "I", room + len(extra))
            extra += raw
    return head + out + struct.pack(order + "I", 0) + extra + b"".join(pieces)


def strips(array, rows=8):
    return [np.ascontiguousarray(array[r:r + rows]).tobytes() for r in range(0, len(array), rows)]


def tiles(array, pack=bytes):
    padded_ = np.zeros((32, 48, *array.shape[2:]), array.dtype)
    padded_[:H, :W] = array
    return [pack(np.ascontiguousarray(padded_[r:r + 16, c:c + 16]).tobytes()) for r in (0, 16) for c in (0, 16, 32)]


RGB8 = {258: [8, 8, 8], 262: [2], 277: [3], 278: [8], 259: [1]}
TILES = {**RGB8, 322: [16], 323: [16]}
del TILES[278]
TIFFS = {
    **{f"rgb_{c}": saved(RGB, "TIFF", compression=c) for c in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "zstd", "lzma")},
    "webp": saved(RGB, "TIFF", compression="webp"),
    "predictor": saved(RGB, "TIFF", compression="tiff_lzw", tiffinfo={317: 2}),
    "rgba": saved(RGBA, "TIFF"),
    "grey": saved(GREY, "TIFF"),
    "grey_alpha": saved(GREY.convert("LA"), "TIFF"),
    "palette": saved(PALETTE, "TIFF", compression="tiff_lzw"),
    "cmyk": saved(CMYK, "TIFF"),
    "bits": saved(BITS, "TIFF"),
    "group4": saved(BITS, "TIFF", compression="group4"),
    "group3": saved(BITS, "TIFF", compression="group3"),
    "white_is_0": tiff(strips(PIXELS[..., 0]), {258: [8], 262: [0], 277: [1], 278: [8], 259: [1]}),
    "nibbles": tiff(strips(np.packbits(np.unpackbits(PIXELS[..., 0][..., None], -1)[..., :4].reshape(H, -1), -1)),
                    {258: [4], 262: [1], 277: [1], 278: [8], 259: [1]}),
    "pairs_white": tiff(strips(np.packbits(np.unpackbits(PIXELS[..., 0][..., None], -1)[..., :2].reshape(H, -1), -1)),
                        {258: [2], 262: [0], 277: [1], 278: [8], 259: [1]}),
    "rgb16": tiff(strips(WIDE[..., :3].astype("<u2")), {**RGB8, 258: [16, 16, 16]}),
    "rgb16_big_endian": tiff(strips(WIDE[..., :3].astype(">u2")), {**RGB8, 258: [16, 16, 16]}, ">"),
    "rgba16": tiff(strips(WIDE.astype("<u2")), {**RGB8, 258: [16] * 4, 277: [4], 338: [2]}),
    "multiplied": tiff(strips(PIXELS), {**RGB8, 258: [8] * 4, 277: [4], 338: [1]}),
    "rgbx": tiff(strips(PIXELS), {**RGB8, 258: [8] * 4, 277: [4], 338: [0]}),
    "planes": tiff([PIXELS[r:r + 8, :, c].tobytes() for c in range(3) for r in range(0, H, 8)],
                   {**RGB8, 284: [2]}),
    "planes_deflate": tiff([zlib.compress(PIXELS[r:r + 8, :, c].tobytes()) for c in range(3) for r in range(0, H, 8)],
                           {**RGB8, 284: [2], 259: [8]}),
    "tiles": tiff(tiles(PIXELS[..., :3]), TILES),
    "tiles_deflate": tiff(tiles(PIXELS[..., :3], zlib.compress), {**TILES, 259: [8]}),
    "tiles_bits": tiff([zlib.compress(np.packbits(np.pad((PIXELS[..., 0] > 99), ((0, 11), (0, 11)))[r:r + 16, c:c + 16], -1).tobytes())
                        for r in (0, 16) for c in (0, 16, 32)], {258: [1], 262: [1], 277: [1], 259: [8], 322: [16], 323: [16]}),
    **{f"turned_{t}": tiff(strips(PIXELS[..., :3]), {**RGB8, 274: [t]}) for t in range(1, 9)},
    "pages": saved(RGB, "TIFF", save_all=True, append_images=[GREY, RGBA]),
}
OTHERS = {"grey16.tif": (tiff(strips(WIDE[..., 0].astype("<u2")), {258: [16], 262: [1], 277: [1], 278: [8], 259: [1]}), WIDE[..., 0] >> 8)}

stepped = INDICES.copy()
stepped[H - 1 - 3, :5] = 0
stepped[H - 1 - 5, 9:] = 0
stepped[H - 1 - 5, :9] = stepped[H - 1 - 5, 0]
for r in range(H):
    first = 5 if r == H - 1 - 3 else 0
    if r != H - 1 - 5:
        stepped[r, first:first + 3] = INDICES[r, first]
OTHERS["delta.bmp"] = (bmp(8, [run_lengths(INDICES, True)], PAL4, compression=1, colours=200), COLOURS[stepped])

# --- WebP ----------------------------------------------------------------------------------------------

WEBPS = {
    "lossy": saved(RGB, "WEBP", quality=70),
    "lossless": saved(RGB, "WEBP", lossless=True),
    "lossy_alpha": saved(RGBA, "WEBP", quality=70),
    "lossless_alpha": saved(RGBA, "WEBP", lossless=True, exact=True),
    "animated": saved(RGBA, "WEBP", lossless=True, save_all=True, append_images=[RGBA.rotate(180)], duration=100),
    "animated_lossy": saved(RGB, "WEBP", quality=70, save_all=True, append_images=[RGB.rotate(180)], duration=100),
    "exif": saved(RGB, "WEBP", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"),
}

# --- PNM -----------------------------------------------------------------------------------------------


def text(values, width):
    return b"\n".join(b" ".join(b"%d" % v for v in row) for row in values.reshape(-1, width)) + b"\n"


PNMS = {
    "p6.ppm": saved(RGB, "PPM"),
    "p5.pgm": saved(GREY, "PPM"),
    "p4.pbm": saved(BITS, "PPM"),
    "comments.ppm": b"P6 # a comment\n# another\n%d # width\n%d\n255\n" % (W, H) + PIXELS[..., :3].tobytes(),
    "most_100.ppm": b"P6\n%d %d\n100\n" % (W, H) + (PIXELS[..., :3] // 2).tobytes(),  # some are above
    "most_4095.ppm": b"P6\n%d %d\n4095\n" % (W, H) + (WIDE[..., :3] >> 4).astype(">u2").tobytes(),
    "most_65535.ppm": b"P6\n%d %d\n65535\n" % (W, H) + WIDE[..., :3].astype(">u2").tobytes(),
    "most_7.pgm": b"P5 %d %d 7 " % (W, H) + (PIXELS[..., 0] // 32).tobytes(),
    "p3.ppm": b"P3\n%d %d\n255\n" % (W, H) + text(PIXELS[..., :3], 3 * W),
    "p2.pgm": b"P2\n%d %d\n15\n" % (W, H) + text(PIXELS[..., 0] // 16, W),
    "p1.pbm": b"P1\n%d %d\n" % (W, H) + b"\n".join(b"".join(b"%d" % (v > 99) for v in row) for row in PIXELS[..., 0]) + b"\n",
}
OTHERS["grey16.pgm"] = (b"P5\n%d %d\n65535\n" % (W, H) + WIDE[..., 0].astype(">u2").tobytes(), WIDE[..., 0] >> 8)
OTHERS["grey16.png"] = (saved(Image.fromarray(WIDE[..., 0].astype("i4"), "I"), "PNG"), WIDE[..., 0] >> 8)

# --- what is refused -----------------------------------------------------------------------------------

BAD = {
    "half.bmp": BMPS["rgb"][:len(BMPS["rgb"]) // 2],
    "huge.bmp": BMPS["rgb"][:18] + struct.pack("<ii", 60000, 60000) + BMPS["rgb"][26:],
    "hollow.bmp": BMPS["rgb"][:18] + struct.pack("<ii", 8000, 8000) + BMPS["rgb"][26:],
    "masks.bmp": bmp(32, four([2, 1, 0, 3]), compression=3, masks=(0x3ff, 0xffc00, 0x3ff00000)),
    "rle4.bmp": bmp(4, [b"\0\1"], PAL4[:64], compression=2),
    "runs_end.bmp": bmp(8, [run_lengths(INDICES)[:99]], PAL4, compression=1, colours=200),
    "colour.bmp": bmp(8, [padded(r.tobytes()) for r in INDICES[::-1]], PAL4[:400], colours=100),
    "header.bmp": BMPS["rgb"][:14] + struct.pack("<I", 41) + BMPS["rgb"][18:],
    "half.tif": TIFFS["rgb_raw"][:len(TIFFS["rgb_raw"]) // 2],
    "cut.tif": TIFFS["planes"][:-100],
    "float.tif": tiff(strips(PIXELS[..., 0].astype("<f4")), {258: [32], 262: [1], 277: [1], 278: [8], 259: [1], 339: [3]}),
    "twelve.tif": tiff(strips(PIXELS[..., 0].repeat(2, 1)), {258: [12], 262: [1], 277: [1], 278: [8], 259: [1]}),
    "ycbcr.tif": tiff(strips(PIXELS[..., :3]), {**RGB8, 262: [6]}),
    "lab.tif": tiff(strips(PIXELS[..., :3]), {**RGB8, 262: [8]}),
    "huge.tif": tiff(strips(PIXELS[..., :3]), {**RGB8, 256: ("I", [60000]), 257: ("I", [60000])}),
    "hollow.tif": tiff(strips(PIXELS[..., :3]), {**RGB8, 256: ("I", [8000]), 257: ("I", [8000])}),
    "no_palette.tif": tiff(strips(PIXELS[:, :19, 0]), {258: [4], 262: [3], 277: [1], 278: [8], 259: [1]}),
    "damaged.tif": tiff([zlib.compress(PIXELS[..., :3].tobytes())[:500] + b"\xff" * 500], {**RGB8, 259: [8], 278: [H]}),
    "half.webp": WEBPS["lossy"][:len(WEBPS["lossy"]) // 2],
    "header.webp": WEBPS["lossy"][:24],
    "half_animated.webp": WEBPS["animated"][:200],
    "wave.webp": b"RIFF\x24\0\0\0WAVEfmt " + bytes(20),
    "half.ppm": PNMS["p6.ppm"][:-1],
    "huge.ppm": b"P6 60000 60000 255\n",
    "hollow.ppm": b"P6 8000 8000 255\n123",
    "most.ppm": b"P6 1 1 65536\n123",
    "word.ppm": b"P3 1 1 255 1 x 3\n",
    "above.ppm": b"P3 1 1 9 1 10 3\n",
    "bit.pbm": b"P1 2 1 02\n",
    "long.ppm": b"P3 00000000001 1 255 1 2 3\n",
}


def main():
    good = {**{f"{n}.bmp": d for n, d in BMPS.items()}, **{f"{n}.tif": d for n, d in TIFFS.items()},
            **{f"{n}.webp": d for n, d in WEBPS.items()}, **PNMS}
    for name, data in good.items():
        with open(os.path.join(HERE, name), "wb") as file:
            file.write(data)
        try:
            image = Image.open(io.BytesIO(data)).convert("RGB")
        except Exception as error:
            raise SystemExit(f"{name}: {error!r}")
        image.save(os.path.join(HERE, name + ".png"), optimize=True)
    for name, (data, pixels) in OTHERS.items():
        with open(os.path.join(HERE, name), "wb") as file:
            file.write(data)
        Image.fromarray(pixels.astype("u1")).convert("RGB").save(os.path.join(HERE, name + ".png"), optimize=True)
    for name, data in BAD.items():
        with open(os.path.join(HERE, f"bad_{name}"), "wb") as file:
            file.write(data)


if __name__ == "__main__":
    main()

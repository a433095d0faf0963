"""Files that the tests of this folder read, as numpy and torch.save write them; torch itself is not needed.

    make_files.py npy FOLDER          arrays in every order, type and packing
    make_files.py check_npz FILE      fails unless numpy reads what test_npy.c wrote
"""
import io
import struct
import sys
import zipfile

import numpy as np


def arrays():
    """name -> bytes of a .npy; each counts 0, 1, 2, ... in C order."""
    def npy(array, version=None):
        out = io.BytesIO()
        np.lib.format.write_array(out, array, version=version)
        return out.getvalue()

    def count(dtype, shape=(2, 3, 4)):
        return np.arange(np.prod(shape, dtype=int), dtype=dtype).reshape(shape)

    made = {name: npy(count(name)) for name in ("f4", "f8", "i4", "i8", "u1")}
    made["f8_big"] = npy(count(">f8"))
    made["i4_big"] = npy(count(">i4"))
    made["f4_fortran"] = npy(np.asfortranarray(count("f4")))
    made["f8_big_fortran"] = npy(np.asfortranarray(count(">f8")))
    made["f4_row"] = npy(count("f4", (24,)))
    made["f4_version2"] = npy(count("f4"), (2, 0))
    header = b"{ \"shape\":(2L ,3L,4L), 'fortran_order' :False,'descr':'<f4'}"  # old, unaligned, and unusual spacing
    header += b" " * (9 - (10 + len(header)) % 8) + b"\n"
    assert (10 + len(header)) % 4
    made["f4_odd_header"] = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + count("f4").tobytes()
    made["f8_scalar"] = npy(np.float64(0))
    made["f4_empty"] = npy(np.zeros((0, 7), "f4"))
    made["b1"] = npy(np.array([False, True]))
    return made


def zip64(path, members):
    """Every size and offset in zip64 fields, as writers of large archives leave them."""
    full, out, directory = 0xFFFFFFFF, b"", b""
    for name, data in members.items():
        raw, crc = name.encode(), zipfile.crc32(data)
        entry = struct.pack("<HHHHHIIIHH", 45, 0, 0, 0, 0x21, crc, full, full, len(raw), 28)
        directory += b"PK\1\2" + struct.pack("<H", 45) + entry + struct.pack("<HHHII", 0, 0, 0, 0, full) + raw
        directory += struct.pack("<HHQQQ", 1, 24, len(data), len(data), len(out))
        out += b"PK\3\4" + entry[:-2] + struct.pack("<H", 20) + raw + struct.pack("<HHQQ", 1, 16, len(data), len(data)) + data
    end = b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, len(members), len(members), len(directory), len(out))
    end += b"PK\6\7" + struct.pack("<IQI", 0, len(out) + len(directory), 1)
    end += b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 0xFFFF, 0xFFFF, full, full, 0)
    with open(path, "wb") as f:
        f.write(out + directory + end)


class Unseekable:
    """zipfile writes data descriptors to what cannot seek."""
    def __init__(self, file):
        self.write, self.flush = file.write, file.flush


def npy(folder):
    made = arrays()
    for name, data in made.items():
        with open(f"{folder}/{name}.npy", "wb") as f:
            f.write(data)
    out = io.BytesIO()
    np.save(out, np.arange(1000, dtype="i8"))
    members = {"f8_big_fortran.npy": made["f8_big_fortran"], "a/b.c.npy": out.getvalue()}
    for name, method in (("stored", zipfile.ZIP_STORED), ("deflated", zipfile.ZIP_DEFLATED), ("descriptor", zipfile.ZIP_DEFLATED)):
        with open(f"{folder}/{name}.npz", "wb") as f:
            with zipfile.ZipFile(Unseekable(f) if name == "descriptor" else f, "w", method) as z:
                for member, data in members.items():
                    z.writestr(member, data)
    zip64(f"{folder}/zip64.npz", members)


def check_npz(path):
    with np.load(path) as z:
        assert z.files == ["sigma", "num_images", "none"], z.files
        assert z["sigma"].dtype == "f8" and (z["sigma"] == np.arange(9).reshape(3, 3)).all()
        assert z["num_images"].shape == () and z["num_images"] == 50000
        assert z["none"].shape == (0,) and z["none"].dtype == "u1"
    assert zipfile.ZipFile(path).testzip() is None


if __name__ == "__main__":
    {f.__name__: f for f in (npy, check_npz)}[sys.argv[1]](*sys.argv[2:])

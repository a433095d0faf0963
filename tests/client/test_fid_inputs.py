"""The files that people have, as sides of `ddq fid`: told by their content, whatever they are called."""
import os
import pickle
import shutil
import struct
import zipfile

import numpy as np
import pytest
from PIL import Image

from test_fid import B, GOLDEN, person  # noqa: F401

STATS = np.load(GOLDEN / "e2e/stats_b_pt.npz")
MU, SIGMA = STATS["mu"], STATS["sigma"]
A_PT = GOLDEN / "e2e/stats_a_pt.npz"


@pytest.fixture(scope="module")
def wanted(person):
    return person.value(A_PT, GOLDEN / "e2e/stats_b_pt.npz", weights=None)


def put(path, data):
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", ["REF.NPZ", "statistics", "ref.npz?download=true", "ref.pkl", "a\\b.npz", "a\nb", "a'\"b"])
def test_statistics_of_any_name(person, wanted, tmp_path, name):
    path = tmp_path / name
    shutil.copy(GOLDEN / "e2e/stats_b_pt.npz", path)
    assert person.value(A_PT, path, weights=None) == wanted


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_pickles_of_edm2(person, wanted, tmp_path, protocol):
    both = {"fid": {"mu": MU, "sigma": SIGMA}, "fd_dinov2": {"mu": MU[:4], "sigma": SIGMA[:4, :4]}}
    assert person.value(A_PT, put(tmp_path / "ref.pkl", pickle.dumps(both, protocol)), weights=None) == wanted
    del both["fid"]
    said = person.refused(A_PT, put(tmp_path / "dino.pkl", pickle.dumps(both, protocol)), weights=None)
    assert "fid.mu" in said and "fd_dinov2.mu, fd_dinov2.sigma" in said


def test_other_names_are_listed(person, tmp_path):
    np.savez(tmp_path / "a.npz", mean=MU, cov=SIGMA)
    said = person.refused(A_PT, tmp_path / "a.npz", weights=None)
    assert "it has mean, cov" in said


def test_rounding(person, wanted, tmp_path):
    """Variances just below zero, and covariances that were computed in float32."""
    sigma = SIGMA.copy()
    sigma[3, 3] = -1.7e-15
    np.savez(tmp_path / "a.npz", mu=MU, sigma=sigma)
    person.value(A_PT, tmp_path / "a.npz", weights=None)
    single = SIGMA.astype("f4")
    single[0, 1] = np.nextafter(single[0, 1], np.float32(9))
    for dtype in "f4", "f8":
        np.savez(tmp_path / "b.npz", mu=MU.astype("f4"), sigma=single.astype(dtype))
        assert person.value(A_PT, tmp_path / "b.npz", weights=None) == pytest.approx(wanted, abs=1e-3)
    single[0, 1] += 1
    np.savez(tmp_path / "c.npz", mu=MU, sigma=single)
    said = person.refused(A_PT, tmp_path / "c.npz", weights=None)
    assert "not symmetric" in said and f"{float(single[0, 1])!r} at [0,1]" in said


def bomb(path, side):
    """A covariance of zeros that is a thousand times as large as its file."""
    def header(shape):
        text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
        return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text.encode()

    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("mu.npy", header((side,)) + bytes(8 * side))
        with file.open("sigma.npy", "w", force_zip64=True) as member:
            member.write(header((side, side)))
            for _ in range(side):
                member.write(bytes(8 * side))


def test_members_that_unpack_to_gigabytes(person, tmp_path):
    bomb(tmp_path / "a.npz", 9000)  # 0.6 MB, 650 MB
    assert (tmp_path / "a.npz").stat().st_size < 1 << 20
    assert "1 to 4096 features" in person.refused(A_PT, tmp_path / "a.npz", weights=None)
    np.savez_compressed(tmp_path / "b.npz", mu=MU, sigma=SIGMA, num_images=np.zeros(1 << 24, "i8"), pipeline=np.zeros(1 << 24, "u1"))
    person.value(A_PT, tmp_path / "b.npz", weights=None)  # what no reader has a use for is not unpacked


def test_what_is_no_file(person, tmp_path):
    """Opening a pipe must not wait for whoever writes to it."""
    for name in "x.npy", "x.npz", "x.png", "x":
        os.mkfifo(tmp_path / name)
        assert "device or pipe" in person.refused(A_PT, tmp_path / name)
    assert "device or pipe" in person.refused("/dev/zero", A_PT)


@pytest.fixture
def pictures(tmp_path):
    """A folder of images whose names hold all that a name may hold."""
    folder = os.fsencode(tmp_path / "a\\b")
    os.mkdir(folder)
    names = [b"a\\b.png", b"two\nlines.png", b"'quotes\".png", b"\xff\xfe.png", "\N{LATIN SMALL LETTER E WITH ACUTE}.png".encode(), b"-r.png"]
    for name, image in zip(names, np.load(B)):
        with open(os.path.join(folder, name), "wb") as file:
            Image.fromarray(image).save(file, "PNG")
    return os.fsdecode(folder)


def test_names_of_images(person, pictures):
    person.value(pictures, pictures)
    person.value(pictures, B)

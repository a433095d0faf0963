"""The files that people have, as sides of `ddq fid`: recognised by their content, whatever their names."""
import json
import os
import pathlib
import pickle
import shutil
import struct
import subprocess
import zipfile

import numpy as np
import pytest
from PIL import Image

from session import DDQ
from test_fid import B, GOLDEN, W16, person  # noqa: F401
from wait import DEADLINE

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
    """Opening a pipe must not wait for a writer."""
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


# --- images of every format ------------------------------------------------------------------------


def shown(person, path, other, code=0):
    """What --json says of both sides, and of their distance."""
    answer = json.loads(person.fid(path, other, "--json", "--quiet", code=code).stdout)
    return answer["generated"], answer["reference"], answer


@pytest.fixture(scope="module")
def originals():
    return [Image.fromarray(image).resize((40 + i, 31)) for i, image in enumerate(np.load(B)[:4])]


def deep(image):
    """16 bits per channel."""
    return Image.fromarray(np.asarray(image.convert("L")).astype("i4") * 257 ^ 0x35, "I")


FORMATS = {
    "png": ("png", lambda image: image, {}),
    "webp": ("webp", lambda image: image, {"quality": 80}),
    "lossless webp": ("webp", lambda image: image.convert("RGBA"), {"lossless": True}),
    "animated webp": ("webp", lambda image: image, {"save_all": True, "append_images": [Image.new("RGB", (40, 31))]}),
    "bmp": ("bmp", lambda image: image, {}),
    "bmp of a palette": ("bmp", lambda image: image.quantize(60), {}),
    "tiff": ("tif", lambda image: image, {}),
    "tiff with lzw": ("tiff", lambda image: image.convert("RGBA"), {"compression": "tiff_lzw"}),
    "tiff with jpeg": ("TIF", lambda image: image, {"compression": "jpeg"}),
    "tiff of cmyk": ("tif", lambda image: image.convert("CMYK"), {}),
    "ppm": ("ppm", lambda image: image, {}),
    "pgm": ("PGM", lambda image: image.convert("L"), {}),
    "pbm": ("pbm", lambda image: image.convert("1"), {}),
    "no suffix": ("", lambda image: image, {"format": "WEBP"}),
    "a wrong suffix": ("jpg", lambda image: image, {"format": "BMP"}),
    "png of a palette with transparency": ("png", lambda image: image.quantize(9), {"transparency": 3}),
    "animated png": ("png", lambda image: image, {"save_all": True, "append_images": [Image.new("RGB", (40, 31))]}),
    "jpeg of cmyk": ("jpg", lambda image: image.convert("CMYK"), {}),
    "jpeg that is turned": ("jpeg", lambda image: image, {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"}),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_pixels_are_those_of_pillow(person, tmp_path, originals, kind):
    suffix, make, how = FORMATS[kind]
    for folder in "a", "b":
        (tmp_path / folder).mkdir()
    for i, original in enumerate(originals):
        path = tmp_path / "a" / (f"{i}.{suffix}" if suffix else f"{i}")
        if "append_images" in how:
            how = {**how, "append_images": [Image.new("RGB", original.size)]}
        make(original).save(path, **how)
        Image.open(path).convert("RGB").save(tmp_path / f"b/{i}.png")  # what pytorch-fid gives to its network
    a, b, answer = shown(person, tmp_path / "a", tmp_path / "b")
    assert a["sha256"] == b["sha256"] and a["images"] == 4 and a["left_out"] == 0 and answer["fid"] == 0
    lossy = any("lossy" in text or "JPEG" in text for text in answer["warnings"])
    assert lossy == (kind in ("webp", "animated webp", "no suffix") or kind.startswith("jpeg"))


def test_grey_of_16_bits_is_told_once(person, tmp_path, originals):
    for folder in "a", "b":
        (tmp_path / folder).mkdir()
    for i, original in enumerate(originals):
        deep(original).save(tmp_path / f"a/{i}.png")
        Image.fromarray((np.asarray(deep(original)) >> 8).astype("u1")).save(tmp_path / f"b/{i}.png")
    for _ in range(2):  # measured, and from the cache
        done = person.fid(tmp_path / "a", tmp_path / "b")
        assert done.stderr.count("4 of the 4 images are grey with 16 bits") == 1 and "Pillow" in done.stderr
        assert done.stdout == "FID:  0.0\n"
    assert any("grey with 16 bits" in text for text in shown(person, tmp_path / "a", tmp_path / "b")[2]["warnings"])


@pytest.fixture
def mixed(tmp_path, originals):
    """Images, and files that are none."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    for i, original in enumerate(originals):
        original.save(folder / f"{i}.png")
    originals[0].save(folder / "moving.gif")
    (folder / "notes.txt").write_text("hello")
    return folder


def test_hidden_images_are_told(person, mixed):
    (mixed / "._0.png").write_bytes(b"\0\5\x16\7")
    assert "3 files in the folder are no PNG" in (said := person.fid(mixed, mixed).stderr) and "._0.png" in said


def test_a_place_that_cannot_be_written(person, mixed):
    said = person.refused("--save-stats", mixed, "/proc/nowhere/a.npz", code=102)
    assert "cannot be written" in said


def test_what_is_left_out_is_told(person, mixed, tmp_path):
    assert "2 files in the folder are no PNG" in (said := person.fid(mixed, mixed).stderr) and "moving.gif" in said
    a, _, answer = shown(person, mixed, B)
    assert a["left_out"] == 2 and any("moving.gif" in text for text in answer["warnings"])
    job = {"kind": "evaluate", "images": str(mixed), "reference": str(mixed), "inception": str(W16), "output": str(tmp_path / "out")}
    (tmp_path / "job.json").write_text(json.dumps(job))
    worker = pathlib.Path(DDQ).with_name("ddq-worker")
    done = subprocess.run([worker, "exec", tmp_path / "job.json"], capture_output=True, text=True, env=person.env, timeout=DEADLINE)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert report["left_out"] == 2 and report["reference"]["left_out"] == 2
    assert sum("moving.gif" in text for text in report["warnings"]) == 2  # of the images, and of the reference
    told = subprocess.run([worker, "reference", mixed], capture_output=True, text=True, env=person.env, timeout=DEADLINE)
    assert json.loads(told.stdout)["left_out"] == 2 and "moving.gif" in told.stderr
    assert any("moving.gif" in text for text in json.loads(told.stdout)["warnings"])


def test_a_zip_of_images(person, mixed, tmp_path):
    """As EDM's dataset_tool writes it: stored members in folders, and dataset.json."""
    for packing in zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED:
        with zipfile.ZipFile(tmp_path / "dataset.zip", "w", packing) as file:
            file.writestr("dataset.json", "{}")
            for path in mixed.glob("*.png"):
                file.write(path, f"00000/img{path.name}")
        a, b, answer = shown(person, tmp_path / "dataset.zip", mixed)
        assert a["kind"] == "zip" and a["sha256"] == b["sha256"] and answer["fid"] == 0 and a["left_out"] == 1
    shutil.copy(tmp_path / "dataset.zip", tmp_path / "dataset")  # the content decides
    assert shown(person, mixed, tmp_path / "dataset")[1]["kind"] == "zip"
    torn = (tmp_path / "dataset.zip").read_bytes()
    at = torn.index(b"00000/img1.png") + 60
    put(tmp_path / "torn.zip", torn[:at] + b"\0\0\0\0" + torn[at + 4:])
    assert "img1.png" in person.refused(tmp_path / "torn.zip", mixed)
    with zipfile.ZipFile(tmp_path / "none.zip", "w") as file:
        file.writestr("readme.txt", "hello")
    assert "readme.txt" in person.refused(tmp_path / "none.zip", mixed, code=102)


def test_one_image_is_no_set(person, mixed):
    for side in (mixed / "0.png", B), (B, mixed / "0.png"):
        said = person.refused(*side)
        assert "this is one image" in said and "folder" in said


# --- names that are no UTF-8 -----------------------------------------------------------------------


def valid(data):
    """Parsed strictly: JSON is UTF-8."""
    return json.loads(data.decode("utf-8", errors="strict"))


@pytest.fixture
def odd(tmp_path, mixed):
    """A folder, a file and a place for results, each with stray bytes in its name."""
    top = os.path.join(os.fsencode(tmp_path), b"caf\xe9 \xff\"\\")
    os.mkdir(top)
    shutil.copytree(os.fsencode(mixed), os.path.join(top, b"images\xfe"))
    shutil.copy(GOLDEN / "e2e/stats_b_pt.npz", os.path.join(top, b"ref\x80.npz"))
    return top


def bytes_of(person, *words, code=0):
    done = subprocess.run([os.fsencode(DDQ), *words], capture_output=True, env=person.env, timeout=DEADLINE)
    assert done.returncode == code, done.stderr
    return done.stdout


def test_json_of_fid_and_refs_is_valid(person, odd):
    a, b, weights = os.path.join(odd, b"images\xfe"), os.path.join(odd, b"ref\x80.npz"), os.fsencode(W16)
    answer = valid(bytes_of(person, b"fid", a, b, b"--json", b"--inception", weights))
    assert answer["generated"]["path"].endswith("images\\xfe") and answer["reference"]["path"].endswith("ref\\x80.npz")
    worker = os.fsencode(pathlib.Path(DDQ).with_name("ddq-worker"))
    for path in a, b:
        told = subprocess.run([worker, b"reference", path], capture_output=True, env=person.env, timeout=DEADLINE)
        assert valid(told.stdout)["path"], told.stderr


def test_a_report_is_valid(person, odd, tmp_path):
    """Also one that names images, and says why one of them was left out."""
    images = os.path.join(odd, b"images\xfe")
    os.rename(os.path.join(images, b"1.png"), os.path.join(images, b"\xff\xc3.png"))
    with open(os.path.join(images, b"torn\xe9.png"), "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
    out = os.path.join(odd, b"out\xff")

    def quoted(path):
        return path.replace(b"\\", b"\\\\").replace(b'"', b'\\"')

    job = b'{"kind": "evaluate", "images": "%s", "reference": "%s", "inception": "%s", "skip_bad": "yes", "output": "%s"}' % (
        quoted(images), quoted(os.path.join(odd, b"ref\x80.npz")), os.fsencode(W16), quoted(out))
    put(tmp_path / "job.json", job)
    worker = os.fsencode(pathlib.Path(DDQ).with_name("ddq-worker"))
    done = subprocess.run([worker, b"exec", os.fsencode(tmp_path / "job.json")], capture_output=True, env=person.env, timeout=DEADLINE)
    assert done.returncode == 0, done.stderr
    with open(os.path.join(out, b"report.json"), "rb") as file:
        report = valid(file.read())
    assert report["spec"]["images"].endswith("images\\xfe") and report["n"] == 4
    assert any("torn\\xe9.png" in text for text in report["warnings"]), report["warnings"]

"""The worker over the stand-ins of bare/ against the worker over the packages."""
import io
import json
import shutil
import subprocess
import zipfile

import numpy
import pytest
from PIL import Image

from harness import BIN, DIGITS, ROOT, clean_env

JOB = {"kind": "sample", "student": f"{DIGITS}/student.pt", "tokenizer": f"{DIGITS}/vq.pt", "t_list": [0, 20], "split_t": 20,
       "images": 40, "classes": "balanced", "seed": 5, "inception": f"{DIGITS}/inception.pth",
       "reference": f"{DIGITS}/statistics.npz", "save": ["png", "npz"]}


def execute(program, job, folder):
    path = folder.parent / f"{folder.name}.json"
    path.write_text(json.dumps({**job, "output": str(folder)}))
    done = subprocess.run([BIN / program, "exec", path, "--quiet"], capture_output=True, text=True, env=clean_env())
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "report.json").read_text())


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    base = tmp_path_factory.mktemp("bare")
    reports = [execute(program, JOB, base / program) for program in ("ddq-worker", "ddq-worker-bare")]
    return base, reports


def test_same_images(both):
    base, _ = both
    for i in range(JOB["images"]):
        name = f"images/{i:06}.png"
        ours, bare = [numpy.asarray(Image.open(base / program / name)) for program in ("ddq-worker", "ddq-worker-bare")]
        assert (ours == bare).all(), name
    assert zipfile.ZipFile(base / "ddq-worker-bare" / "samples.npz").testzip() is None


def test_same_report(both):
    _, (ours, bare) = both
    assert bare["fid"] == pytest.approx(ours["fid"], rel=1e-9)
    assert bare["job_identity"] == ours["job_identity"]
    assert bare["inputs"] == ours["inputs"]


def same_pixels(source, folder):
    job = {"kind": "statistics", "images": str(source), "inception": f"{DIGITS}/inception.pth"}
    ours, bare = [execute(program, job, folder / program) for program in ("ddq-worker", "ddq-worker-bare")]
    assert ours["images_sha256"] == bare["images_sha256"]


def test_reads_every_kind_of_png(tmp_path):
    """Colour types, depths, palettes, interlacing: the golden ones that are whole."""
    folder = tmp_path / "png"
    folder.mkdir()
    whole = [path for path in (ROOT / "tests/golden/png").glob("*.png") if not path.name.startswith("bad_")]
    assert any("interlaced" in path.name for path in whole) and len(whole) > 15
    for path in whole:
        shutil.copy(path, folder)
    same_pixels(folder, tmp_path)


def test_reads_deflated_npz(tmp_path):
    array = numpy.random.default_rng(8).integers(0, 256, (5, 20, 23, 3), dtype=numpy.uint8)
    array[:, :10] //= 32
    numpy.savez_compressed(tmp_path / "set.npz", arr_0=array)
    same_pixels(tmp_path / "set.npz", tmp_path)


def refused(data, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "a.png").write_bytes(data)
    path = tmp_path / "job.json"
    path.write_text(json.dumps({"kind": "statistics", "images": str(folder), "inception": f"{DIGITS}/inception.pth",
                                "output": str(tmp_path / "out")}))
    done = subprocess.run([BIN / "ddq-worker-bare", "exec", path], capture_output=True, text=True, env=clean_env())
    assert done.returncode == 1 and "a.png" in done.stderr, done.stderr
    return done.stderr


def test_refuses_damage(tmp_path):
    stream = io.BytesIO()
    Image.fromarray(numpy.full((16, 16, 3), 9, numpy.uint8)).save(stream, "PNG")
    data = bytearray(stream.getvalue())
    data[50] ^= 1
    refused(data, tmp_path)


def test_says_that_it_reads_no_jpeg(tmp_path):
    assert "built without libjpeg" in refused((ROOT / "tests/golden/jpeg/grey.jpg").read_bytes(), tmp_path)

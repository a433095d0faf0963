"""ddq-worker exec: one job with no daemon and no Redis, from outside."""
import hashlib
import json
import re
import resource
import shutil
import signal
import subprocess
import sys
import time

import numpy
import pytest
from PIL import Image

from harness import BIN, DIGITS, ROOT, clean_env, digest
from wait import DEADLINE, wait_for

TINY = ROOT / "tests/golden/llamagen/tiny"

FILES = {"student": f"{DIGITS}/student.pt", "teacher": f"{DIGITS}/teacher.pt", "tokenizer": f"{DIGITS}/vq.pt"}
MEASURE = {"inception": f"{DIGITS}/inception.pth", "reference": f"{DIGITS}/statistics.npz"}
ONE_STEP = {"kind": "sample", **FILES, "t_list": [0], "split_t": 20, "images": 12, "classes": "balanced", "seed": 3}
TWO_STEP = {**ONE_STEP, "t_list": [0, 20]}
TEACHER = {**ONE_STEP, "t_list": [0, 20], "teacher_start_t": 10, "split_t": 45, "cfg_scale": 1.5, "top_k": 0}
TEACHER_ALONE = {"kind": "sample", "teacher": FILES["teacher"], "tokenizer": FILES["tokenizer"], "t_list": [0, 64],
                 "teacher_start_t": 0, "cfg_scale": 1.5, "top_k": 0, "images": 6, "classes": [7, 1], "seed": 1}
ALL = ["png", "npz", "codes", "vectors", "features"]


def start(job, folder, **options):
    path = folder / f"job-{time.monotonic_ns()}.json"
    path.write_text(json.dumps(job))
    return subprocess.Popen([BIN / "ddq-worker", "exec", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env=clean_env(), **options)


def execute(job, folder, code=0, **options):
    process = start(job, folder, **options)
    out, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == code, f"exit {process.returncode}, wanted {code}\n{out}\n{err}"
    process.out, process.err = out, err
    return process


def run(job, folder, name="out", **options):
    out = folder / name
    execute({**job, "output": str(out)}, folder, **options)
    return out


def report(out):
    return json.loads((out / "report.json").read_text())


def refused(job, folder, *words, code):
    """Exit code, and one sentence on stderr with these words in it."""
    done = execute(job, folder, code=code)
    lines = [line for line in done.err.splitlines() if line.startswith("ddq-worker: ")]
    assert len(lines) == 1 and done.out == "", done.err
    for word in words:
        assert word in lines[0], lines[0]
    return lines[0]


def test_figures_on_the_terminal(tmp_path):
    """What exec prints is the report's; unequal classes are reported."""
    job = {**ONE_STEP, **MEASURE, "images": 12, "classes": [1, 1, 4], "metrics": ["is", "fid"], "published_is": 9.5}
    done = execute({**job, "output": f"{tmp_path}/out"}, tmp_path)
    about = report(tmp_path / "out")
    lines = done.out.splitlines()
    table = {line[:16].strip(): line.split() for line in lines if line.startswith(("FID ", "Inception score"))}
    assert table["FID"][1] == f"{about['fid']:.3f}" and table["Inception score"][2] == f"{about['is_mean']:.2f}"
    assert "published 9.5, difference" in next(line for line in lines if line.startswith("Inception score"))
    assert lines[-1] == f"FID: {about['fid']!r}"
    assert about["labels"] == "a list of 3, repeated; 2 of 10 classes, 4 to 8 images each"
    assert any("classes are unequal, 4 to 8 images each" in w for w in about["warnings"])
    page = (tmp_path / "out/report.html").read_text()
    assert page.count("<figcaption>class 1, ") == page.count("<figcaption>class 4, ") == 4
    assert page.count("<h2>By class</h2>") == 1


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """Measured references are cached here and not in the user's home."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_other_metrics_make_the_report_anew(tmp_path, own_cache):
    """Images and features stay; with the same metrics nothing is made at all."""
    real = run({**ONE_STEP, **MEASURE, "images": 12, "seed": 8}, tmp_path, "real")
    job = {**ONE_STEP, "inception": MEASURE["inception"], "reference": str(real / "images"), "images": 12, "output": f"{tmp_path}/out"}
    first = run({**job, "metrics": ["fid"]}, tmp_path)
    assert "precision" not in report(first)
    blocks = {p.name: p.stat().st_mtime_ns for p in (first / "blocks").iterdir()}
    execute({**job, "metrics": ["prdc", "fid"]}, tmp_path)
    assert {"fid", "precision", "recall", "density", "coverage"} <= set(report(first))
    assert {p.name: p.stat().st_mtime_ns for p in (first / "blocks").iterdir()} == blocks
    assert "already finished" in execute({**job, "metrics": ["fid", "prdc"]}, tmp_path).out


def test_pictures_without_files(tmp_path, own_cache):
    """A job that keeps an .npz alone has the nearest and farthest images on its page, too."""
    real = run({**ONE_STEP, **MEASURE, "images": 12, "seed": 8}, tmp_path, "real")
    job = {**ONE_STEP, "inception": MEASURE["inception"], "reference": str(real / "images"), "images": 12, "metrics": ["prdc"]}
    pages = [(run({**job, "save": [kept]}, tmp_path, kept) / "report.html").read_text() for kept in ("npz", "png")]
    pictures = [re.findall(r"<figure>.*?</figure>", page, re.S) for page in pages]
    assert len(pictures[0]) > 24 and pictures[0] == pictures[1]


def leftovers(out):
    return [str(p) for p in out.rglob("*") if p.name.endswith(".part")]


# --- what it makes ---------------------------------------------------------------------------------

def test_everything_that_is_promised(tmp_path):
    out = run({**TWO_STEP, **MEASURE, "images": 20, "save": ALL, "published_fid": 1.663, "name": "digits-2step"}, tmp_path)
    assert sorted(p.name for p in (out / "images").iterdir()) == [f"{i:06d}.png" for i in range(20)]
    pixels = numpy.load(out / "samples.npz")["arr_0"]
    assert pixels.shape == (20, 32, 32, 3) and pixels.dtype == numpy.uint8
    for i in (0, 19):
        assert (numpy.array(Image.open(out / f"images/{i:06d}.png")) == pixels[i]).all()
    codes, vectors, features = (numpy.load(out / f"{n}.npy") for n in ("codes", "vectors", "features"))
    assert codes.shape == (20, 64) and codes.dtype == numpy.int32
    assert (codes[:, :20] >= 0).all() and (codes[:, :20] < 128).all() and (codes[:, 20:] == -1).all()
    assert vectors.shape == (20, 64, 8) and vectors.dtype == numpy.float32
    assert features.shape == (20, 256) and features.dtype == numpy.float32
    statistics = numpy.load(out / "statistics.npz")
    assert numpy.allclose(statistics["mu"], features.astype(float).mean(0), atol=1e-9)
    assert numpy.allclose(statistics["sigma"], numpy.cov(features.astype(float), rowvar=False), atol=1e-9)
    about = report(out)
    assert about["images"] == 20 and about["seconds"] > 0 and about["images_per_second"] > 0
    assert (out / "fid.txt").read_text() == f"FID: {about['fid']!r}\n"
    assert about["difference"] == pytest.approx(about["fid"] - 1.663)
    hashes = {i["field"]: i["sha256"] for i in about["inputs"]}
    assert set(hashes) == {"student", "tokenizer", "inception", "reference"}  # the teacher has no part in it
    assert hashes["student"] == hashlib.sha256((DIGITS / "student.pt").read_bytes()).hexdigest()
    assert any("singular" in w for w in about["warnings"])
    assert Image.open(out / "grid.png").size[0] > 4 * 32
    page = (out / "report.html").read_text()
    assert "digits-2step" in page and "data:image/png;base64," in page and f"{about['fid']:.3f}" in page
    assert json.loads((out / "job.json").read_text())["spec"]["seed"] == 3
    assert not leftovers(out)


@pytest.mark.parametrize("job", [ONE_STEP, TEACHER, TEACHER_ALONE], ids=["1step", "teacher", "teacher alone"])
def test_batch_changes_nothing(tmp_path, job):
    job = {**job, **MEASURE, "save": ["png", "codes", "vectors", "features"]}
    one = run({**job, "batch": 1}, tmp_path, "one")
    five = run({**job, "batch": 5}, tmp_path, "five")
    assert digest(one) == digest(five) and len(digest(one)) == job["images"] + 4
    # Another seed is another set of images.
    other = run({**job, "batch": 5, "seed": job["seed"] + 1}, tmp_path, "other")
    assert digest(other) != digest(five)


def test_labels_by_rule(tmp_path):
    """A list repeats, and equals the same labels from a file."""
    listed = run({**ONE_STEP, "classes": [7, 1, 4]}, tmp_path, "listed")
    numpy.save(tmp_path / "labels.npy", numpy.array([7, 1, 4] * 4, dtype=numpy.int64))
    filed = run({**ONE_STEP, "labels": str(tmp_path / "labels.npy")}, tmp_path, "filed")
    assert digest(listed) == digest(filed)
    uniform = run({**ONE_STEP, "classes": "uniform"}, tmp_path, "uniform")
    assert digest(uniform) != digest(filed)


def test_nothing_but_codes(tmp_path):
    out = run({**ONE_STEP, "save": ["codes"]}, tmp_path)
    assert not (out / "images").exists() and (out / "codes.npy").exists() and (out / "grid.png").exists()
    assert report(out)["fid"] is None and not (out / "fid.txt").exists()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The weights of the tiny set, as training leaves them."""
    folder = tmp_path_factory.mktemp("tiny")
    subprocess.run([sys.executable, ROOT / "tests/checkpoints/make_pt.py", "golden", folder, BIN.parent / "golden/llamagen/tiny"], check=True)
    return folder


def golden_job(tiny, case, folder):
    expected = numpy.load(TINY / "expected.npz")
    numpy.save(folder / "noise.npy", expected["noise"])
    numpy.save(folder / "labels.npy", expected["label"])
    job = {"kind": "sample", "tokenizer": f"{tiny}/vq.pt", "student": f"{tiny}/student.pt", "teacher": f"{tiny}/teacher.pt",
           "images": 3, "noise": f"{folder}/noise.npy", "labels": f"{folder}/labels.npy", "top_k": 0, "save": ALL[:-1],
           **case}
    return job, expected


CASES = json.loads((TINY / "case.json").read_text()) if TINY.exists() else {"few_step": {}, "teacher_involved": {}}
GOLDEN = [("few." + k, v) for k, v in CASES["few_step"].items()] + [("teacher." + k, v) for k, v in CASES["teacher_involved"].items()]


@pytest.mark.parametrize("name, case", GOLDEN, ids=[name for name, _ in GOLDEN])
def test_golden(tmp_path, tiny, name, case):
    job, expected = golden_job(tiny, case, tmp_path)
    out = run(job, tmp_path)
    codes, vectors = numpy.load(out / "codes.npy"), numpy.load(out / "vectors.npy")
    assert numpy.abs(vectors - expected[name + ".x"]).max() <= 2e-4
    taken = codes >= 0
    assert (taken == (numpy.arange(16) < case["split_t"])).all() or name.startswith("teacher.")
    assert numpy.abs(vectors[taken] - expected["codebook"][codes[taken]]).max(initial=0) <= 1e-6
    if name + ".ids" in expected:
        ids = expected[name + ".ids"]
        assert (codes[:, :ids.shape[1]][:, :min(case["split_t"], ids.shape[1])] == ids[:, :case["split_t"]]).all()
    pixels = numpy.load(out / "samples.npz")["arr_0"].astype(int)
    assert (numpy.abs(pixels - expected[name + ".uint8"]) <= 1).mean() >= 0.999


# --- going on after a stop -------------------------------------------------------------------------

SLOW = {**TEACHER_ALONE, **MEASURE, "images": 200, "batch": 2, "save": ["png", "codes", "vectors", "features"]}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of SLOW when nothing disturbed it."""
    return run(SLOW, tmp_path_factory.mktemp("undisturbed"))


@pytest.fixture(scope="module")
def undisturbed(whole):
    return digest(whole)


def safe_images(out):
    return sorted(i for p in out.glob("blocks/*.json") for i in range(*map(int, p.stem.split("-"))))


def in_the_middle(out, process):
    def some():
        assert process.poll() is None, process.communicate()
        return 8 <= len(safe_images(out))

    wait_for(some, "some images are safe")


def went_on(out, before):
    """Images that were safe were not made again."""
    return all((out / f"images/{i:06d}.png").stat().st_mtime_ns == stamp for i, stamp in before.items())


def stamps(out):
    return {i: (out / f"images/{i:06d}.png").stat().st_mtime_ns for i in safe_images(out)}


def test_kill_and_go_on(tmp_path, undisturbed):
    out = tmp_path / "out"
    process = start({**SLOW, "output": str(out)}, tmp_path)
    in_the_middle(out, process)
    process.kill()
    process.communicate()
    before = stamps(out)
    assert 8 <= len(before) < 200
    (out / "blocks/.junk.host-1-1.part").write_bytes(b"x")  # as an earlier crash may have left it
    run(SLOW, tmp_path)
    assert digest(out) == undisturbed
    assert went_on(out, before) and not leftovers(out)


def test_ctrl_c_and_go_on(tmp_path, undisturbed):
    out = tmp_path / "out"
    process = start({**SLOW, "output": str(out)}, tmp_path)
    in_the_middle(out, process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130 and "again to continue" in err
    before = stamps(out)
    run({**SLOW, "batch": 7}, tmp_path)
    assert digest(out) == undisturbed and went_on(out, before)


def test_damaged_shards_are_made_again(tmp_path, whole, undisturbed):
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    (out / "report.json").unlink()
    features = sorted(out.glob("blocks/*.features.npy"))[0]
    data = bytearray(features.read_bytes())
    data[-1] ^= 1
    features.write_bytes(data)
    (out / "images/000100.png").write_bytes(b"short")
    run(SLOW, tmp_path)
    assert digest(out) == undisturbed


def test_finished_is_recognised(tmp_path):
    out = run({**ONE_STEP, **MEASURE, "save": ["npz"]}, tmp_path)
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*")}
    again = execute({**ONE_STEP, **MEASURE, "save": ["npz"], "output": str(out), "batch": 2}, tmp_path)
    assert "already finished" in again.out
    assert before == {p: p.stat().st_mtime_ns for p in out.rglob("*")}
    # A lost file is made again; a new name is a new report of the same images.
    blocks = {p: t for p, t in before.items() if p.parent.name == "blocks"}
    run({**ONE_STEP, **MEASURE, "save": ["npz"], "name": "new"}, tmp_path)
    assert report(out)["name"] == "new"
    assert blocks == {p: p.stat().st_mtime_ns for p in blocks}
    (out / "grid.png").unlink()
    (out / "samples.npz").unlink()
    run({**ONE_STEP, **MEASURE, "save": ["npz"], "name": "new"}, tmp_path)
    assert (out / "samples.npz").exists() and (out / "grid.png").exists()


def test_the_job_json_of_a_folder_is_a_job(tmp_path):
    out = run(ONE_STEP, tmp_path)
    before = digest(out)
    for path in (out / "job.json", out):
        done = subprocess.run([BIN / "ddq-worker", "exec", path], capture_output=True, text=True, env=clean_env())
        assert done.returncode == 0 and "already finished" in done.stdout, done
    assert digest(out) == before
    shutil.rmtree(out / "images")
    shutil.rmtree(out / "blocks")
    assert subprocess.run([BIN / "ddq-worker", "exec", out], env=clean_env()).returncode == 0
    assert {k: v for k, v in digest(out).items() if "images" in str(k)} == {k: v for k, v in before.items() if "images" in str(k)}
    for text, said in (('{"about": "a", "source": "s", "jobs": [{"kind": "sample"}, {"kind": "sample"}]}', "holds 2 jobs"),
                       ('{"id": "x", "spec": {"kind": "sample", "model": "digits"}}', "ddq submit"), ("[]", "not a job"), ('{"jobs": 3}', "at least one job")):
        done = subprocess.run([BIN / "ddq-worker", "exec", "-"], input=text, capture_output=True, text=True, env=clean_env())
        assert done.returncode == 2 and said in done.stderr, done


def test_another_job_is_refused(tmp_path):
    out = run(ONE_STEP, tmp_path)
    before = digest(out)
    refused({**ONE_STEP, "seed": 4, "output": str(out)}, tmp_path, "holds another job", "seed is 3, wanted 4", "another folder", code=2)
    assert digest(out) == before
    foreign = tmp_path / "foreign"
    (foreign / "images").mkdir(parents=True)
    refused({**ONE_STEP, "output": str(foreign)}, tmp_path, "images", "no job.json", code=2)


# --- evaluate, statistics --------------------------------------------------------------------------

def test_evaluation_of_the_folder_is_the_same(tmp_path):
    job = {**TWO_STEP, **MEASURE, "images": 40, "save": ["png", "npz", "features"]}
    out = run(job, tmp_path)
    fid = report(out)["fid"]
    for name, source in (("folder", out), ("images", out / "images"), ("npz", out / "samples.npz")):
        seen = run({"kind": "evaluate", "images": str(source), **MEASURE, "save": ["features"], "batch": 7}, tmp_path, "seen-" + name)
        assert report(seen)["fid"] == fid and (seen / "fid.txt").read_text() == (out / "fid.txt").read_text()
        assert (seen / "features.npy").read_bytes() == (out / "features.npy").read_bytes()
        assert report(seen)["images_sha256"] == report(out)["images_sha256"] and (seen / "grid.png").exists()
    statistics = run({"kind": "statistics", "images": str(out), "inception": MEASURE["inception"]}, tmp_path, "statistics")
    ours, theirs = numpy.load(statistics / "statistics.npz"), numpy.load(out / "statistics.npz")
    assert (ours["mu"] == theirs["mu"]).all() and (ours["sigma"] == theirs["sigma"]).all()
    assert report(statistics)["fid"] is None
    # ... and those statistics are a reference: the distance of a set to itself.
    own = run({**job, "reference": str(statistics / "statistics.npz")}, tmp_path, "own")
    assert report(own)["fid"] == pytest.approx(0, abs=1e-6)


def test_evaluation_goes_on(tmp_path):
    out = run({**ONE_STEP, "images": 30}, tmp_path)
    job = {"kind": "evaluate", "images": str(out), **MEASURE, "batch": 2}
    whole = run(job, tmp_path, "whole")
    seen = run(job, tmp_path, "seen")
    manifest = sorted(seen.glob("blocks/*.json"))[-1]
    manifest.unlink()
    (seen / "report.json").unlink()
    run(job, tmp_path, "seen")
    assert (seen / "fid.txt").read_bytes() == (whole / "fid.txt").read_bytes()


# --- bad input -------------------------------------------------------------------------------------

@pytest.mark.parametrize("change, words, code", [
    ({"tlist": [0]}, ["tlist", "did you mean t_list?"], 2),
    ({"t_list": [0, 64]}, ["64"], 2),
    ({"t_list": [0, 70]}, ["70", "64"], 2),
    ({"split_t": 65}, ["split_t", "65", "64"], 2),
    ({"split_t": None}, ["split_t", "missing"], 2),
    ({"images": 0}, ["images", "0", "1 to 1000000000"], 2),
    ({"images": 10**12}, ["images", "1000000000000"], 2),
    ({"images": "12"}, ["images", "integer"], 2),
    ({"classes": [3, 10]}, ["label 10", "0 to 9"], 2),
    ({"classes": "evenly"}, ["classes", "balanced"], 2),
    ({"student": "/nowhere/student.pt"}, ["student", "/nowhere/student.pt", "No such file"], 102),
    ({"tokenizer": str(DIGITS / "teacher.pt")}, ["teacher.pt"], 1),
    ({"student": str(DIGITS / "statistics.npz")}, ["statistics.npz"], 1),
    ({"inception": str(DIGITS / "vq.pt")}, ["vq.pt"], 1),
    ({"reference": str(DIGITS / "statistics.npz")}, ["inception", "missing"], 2),
    ({"device": "GPU-none"}, ["GPU-none"], None),
    ({"output": "/dev/null/out"}, ["/dev/null"], 2),
    ({"output": "/proc/nowhere/out"}, ["/proc/nowhere"], None),
    ({"precision": "fp16"}, ["fp16"], 2),
    ({"noise": str(DIGITS / "student.pt")}, ["noise", "student.pt"], 1),
])
def test_bad_jobs(tmp_path, change, words, code):
    out = tmp_path / "out"
    process = start({**ONE_STEP, "output": str(out), **change}, tmp_path)
    stdout, err = process.communicate(timeout=DEADLINE)
    sentences = [line for line in err.splitlines() if line.startswith("ddq-worker: ")]
    assert process.returncode == code if code else process.returncode > 0, err
    assert len(sentences) == 1 and stdout == "", err
    for word in words:
        assert word in sentences[0], sentences[0]
    assert not list(out.glob("images/*")) and not leftovers(tmp_path)


@pytest.mark.parametrize("field, array, words", [
    ("labels", numpy.array([0] * 11 + [10]), ["labels", "10", "place 11", "0 to 9"]),
    ("labels", numpy.array([0] * 11), ["labels", "[11]", "12"]),
    ("labels", numpy.zeros(12, dtype=numpy.float32), ["labels", "f32", "i32"]),
    ("noise", numpy.zeros((12, 16, 8), dtype=numpy.float32), ["noise", "[12,16,8]"]),
    ("noise", numpy.zeros((3, 64, 8), dtype=numpy.float32), ["noise", "[3,64,8]", "12"]),
    ("noise", numpy.full((12, 64, 8), numpy.nan, dtype=numpy.float32), ["noise", "nan"]),
])
def test_bad_arrays(tmp_path, field, array, words):
    numpy.save(tmp_path / "a.npy", array)
    done = start({**ONE_STEP, "grid": 8, field: f"{tmp_path}/a.npy", "output": f"{tmp_path}/out"}, tmp_path)
    _, err = done.communicate(timeout=DEADLINE)
    assert done.returncode in (1, 2), err
    for word in words:
        assert word in err.splitlines()[-1], err


def test_bad_sources(tmp_path):
    job = {"kind": "evaluate", **MEASURE, "output": f"{tmp_path}/out"}
    refused({**job, "images": f"{tmp_path}/none"}, tmp_path, "images", "none", code=102)
    (tmp_path / "empty").mkdir()
    refused({**job, "images": f"{tmp_path}/empty"}, tmp_path, "empty", code=102)
    broken = tmp_path / "broken"
    broken.mkdir()
    Image.new("RGB", (8, 8)).save(broken / "0.png")
    (broken / "1.png").write_bytes((broken / "0.png").read_bytes()[:40])
    refused({**job, "images": str(broken)}, tmp_path, "1.png", code=1)
    one = tmp_path / "one"
    one.mkdir()
    Image.new("RGB", (8, 8)).save(one / "0.png")
    refused({**job, "images": str(one)}, tmp_path, "2", code=2)


def test_job_text(tmp_path):
    def feed(text, *words):
        done = subprocess.run([BIN / "ddq-worker", "exec", "-"], input=text, capture_output=True, env=clean_env())
        assert done.returncode == 2
        for word in words:
            assert word in done.stderr.decode(), done.stderr

    feed(b"{", "not JSON")
    feed(b"", "not JSON")
    feed(b"{}\0", "zero byte")
    feed(b"[" * 100000, "not JSON")
    feed(b" " * (5 << 20), "bytes")
    feed(json.dumps({**ONE_STEP, "output": str(tmp_path / "o"), "seed": 10**15}).encode(), "seed")


def test_a_batch_too_big_is_halved(tmp_path):
    gigabyte = 1 << 30
    process = start({**ONE_STEP, "images": 4096, "batch": 4096, "output": f"{tmp_path}/out"}, tmp_path,
                    preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (gigabyte * 3 // 2, gigabyte * 3 // 2)))
    line = process.stderr.readline()
    process.kill()
    process.communicate()
    assert "a batch of 4096 does not fit" in line and "went on with" in line


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 3 MB; needs the right to mount."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", disk], capture_output=True).returncode != 0:
        pytest.skip("no right to mount a small file system here")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_full_disk(tmp_path, small_disk):
    job = {**TWO_STEP, "images": 120, "batch": 10, "save": ALL, **MEASURE, "output": f"{small_disk}/out"}
    (small_disk / "ballast").write_bytes(b"\0" * (2 << 20))
    sentence = refused(job, tmp_path, "No space left on device", code=1)
    assert str(small_disk) in sentence
    out = small_disk / "out"
    assert not (out / "report.json").exists() and not leftovers(out)
    for path in out.rglob("*.npy"):
        numpy.load(path)  # whatever has its final name is whole
    for path in out.glob("images/*.png"):
        Image.open(path).load()
    # With room again it goes on and gives the same bytes.
    (small_disk / "ballast").unlink()
    subprocess.run(["mount", "-o", "remount,size=30m", small_disk], check=True)
    execute(job, tmp_path)
    assert digest(out) == digest(run({**job, "output": None}, tmp_path, "other"))


def test_the_title_names_the_recipe_and_what_was_changed(tmp_path):
    """A published FID of other parameters is named in one sentence and compared with nothing."""
    job = {**ONE_STEP, **MEASURE, "recipe": "digits-1step", "images": 12, "published_fid": 1.715}
    out = run({**job, "name": "digits-1step", "changed": "images 12, seed 3"}, tmp_path)
    said, page = report(out), (out / "report.html").read_text()
    assert "<h1>digits-1step, changed: images 12, seed 3</h1>" in page
    assert said["changed"] == "images 12, seed 3" and "difference" not in said and "published" not in said
    assert "published_fid" not in said and "FID 1.715" in said["not_compared"] and said["not_compared"] in page
    assert "it lies" not in page
    out = run({**job, "name": "mine", "changed": "seed 3"}, tmp_path, "seed")  # which published values do not depend on
    said, page = report(out), (out / "report.html").read_text()
    assert "<h1>mine, recipe digits-1step, changed: seed 3</h1>" in page
    assert said["published_fid"] == 1.715 and said["published"] and "not_compared" not in said

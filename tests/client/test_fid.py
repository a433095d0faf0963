"""ddq fid A B: the numbers of pytorch-fid on its command line, with no daemon and no Redis."""
import json
import pathlib
import shutil
import signal
import subprocess

import numpy as np
import pytest
from PIL import Image

from session import DDQ, ROOT
from wait import DEADLINE, catches, wait_for

GOLDEN = ROOT / "tests/golden/inception"
A, B = GOLDEN / "e2e/set_a_adm.npz", GOLDEN / "e2e/set_b.npy"
W16 = GOLDEN / "net/inception_w16_legacy.pth"  # the container of pt_inception-2015-12-05-6726825d.pth
WANTED = json.loads((GOLDEN / "e2e/e2e.json").read_text())


class Person:
    """A home without configuration, and one cache for all tests."""

    def __init__(self, folder):
        self.folder = folder
        self.env = {"HOME": str(folder), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive",
                    "DDQ_REDIS": "unix:/nonexistent"}

    def fid(self, *words, code=0, weights=W16, **env):
        words = [*words, *(["--inception", weights] if weights else [])]
        done = subprocess.run([DDQ, "fid", *map(str, words)], capture_output=True, text=True, timeout=DEADLINE, env={**self.env, **env},
                              cwd=self.folder)
        assert done.returncode == code, f"exit {done.returncode}, wanted {code}\n{done.stdout}\n{done.stderr}"
        return done

    def value(self, *words, **options):
        out = self.fid(*words, **options).stdout
        assert out.startswith("FID:  ") and out.count("\n") == 1, out  # as print("FID: ", value) of pytorch-fid
        return float(out[6:])

    def refused(self, *words, code=1, **options):
        done = self.fid(*words, code=code, **options)
        assert done.stdout == "" and done.stderr.startswith("ddq fid: ") and done.stderr.count("\n") == 1, done.stderr
        return done.stderr


@pytest.fixture(scope="module")
def person(tmp_path_factory):
    return Person(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def folders(person):
    """The first 8 images of either set as folders of PNGs; nested, and sizes that differ, in the second."""
    a, b = person.folder / "a", person.folder / "b"
    for folder, images in (a, np.load(A)["arr_0"]), (b, np.load(B)):
        (folder / "below").mkdir(parents=True)
        for i in range(8):
            Image.fromarray(images[i]).save(folder / ("below" if i % 2 else ".") / f"{i}.png")
    Image.fromarray(np.load(B)[8]).resize((40, 24)).save(b / "8.png")
    return a, b


# --- numbers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("pipeline", ["pt", "tf"])
def test_golden(person, pipeline):
    wanted = WANTED[pipeline]["fid_symmetric"]
    both = person.value(A, B, "--pipeline", pipeline)
    assert both == pytest.approx(wanted, abs=5e-5)
    assert person.value(A, GOLDEN / f"e2e/stats_b_{pipeline}.npz", "--pipeline", pipeline) == pytest.approx(wanted, abs=5e-5)
    assert person.value(GOLDEN / f"e2e/stats_a_{pipeline}.npz", GOLDEN / f"e2e/stats_b_{pipeline}.npz", weights=None) == pytest.approx(
        wanted, abs=1e-9)
    assert person.fid(A, A, "--pipeline", pipeline).stdout == "FID:  0.0\n"
    assert person.value(A, B, "--pipeline", pipeline, "--batch-size", "7") == both  # to the last bit


def test_metrics(person):
    """The other metrics of the golden sets, and FIDs of pytorch-fid's own root."""
    out = person.fid(A, B, "--metrics", "fid,kid,prdc,is").stdout
    numbers = {line.split(":  ")[0]: float(line.split(":  ")[1]) for line in out.splitlines()}
    wanted = WANTED["pt"]
    assert numbers["IS"] == pytest.approx(wanted["isc_a_splits10"]["mean"], abs=1e-5)
    assert numbers["KID"] == pytest.approx(wanted["kid_full"], abs=1e-5)
    assert {k: numbers[k] for k in ("precision", "recall", "coverage")} == {
        k: pytest.approx(wanted["prdc_k3_le"][k]) for k in ("precision", "recall", "coverage")}
    answer = json.loads(person.fid(A, B, "--metrics", "fid,kid,prdc,is", "--json").stdout)
    assert answer["kid"] == numbers["KID"] and answer["density"] == numbers["density"] and answer["fid"] == numbers["FID"]
    assert answer["is_std"] == pytest.approx(wanted["isc_a_splits10"]["std"], abs=1e-5)
    stats = [GOLDEN / f"e2e/stats_{side}_pt.npz" for side in "ab"]
    assert person.value(*stats, "--like", "pytorch-fid", weights=None) == pytest.approx(wanted["fid_scipy"], abs=1e-9)


ALL = ["fid", "sfid", "is", "kid", "prdc", "fid_inf"]


def test_as_a_job(person, tmp_path):
    """A job that evaluates the same images has every figure with the same bits, and the same intervals."""
    images = tmp_path / "images.npy"
    np.save(images, np.concatenate([np.load(A)["arr_0"]] * 3)[:420])  # 400 and more have intervals
    job = {"kind": "evaluate", "images": str(images), "inception": str(W16), "reference": str(B), "metrics": ALL, "pipeline": "tf",
           "output": str(tmp_path / "out")}
    (tmp_path / "job.json").write_text(json.dumps(job))
    worker = pathlib.Path(DDQ).with_name("ddq-worker")
    subprocess.run([worker, "exec", tmp_path / "job.json"], check=True, capture_output=True, env=person.env, timeout=DEADLINE)
    report = json.loads((tmp_path / "out/report.json").read_text())
    answer = json.loads(person.fid(images, B, "--metrics", ",".join(ALL), "--pipeline", "tf", "--json").stdout)
    figures = ["fid", "fid_low", "fid_high", "sfid", "is_mean", "is_mean_low", "is_std", "kid", "kid_low", "precision", "precision_high",
               "recall", "density", "coverage", "coverage_low", "fid_inf", "fid_terms", "sfid_terms", "is_parts", "curve", "neighbours"]
    assert {key: answer[key] for key in figures} == {key: report[key] for key in figures}
    alone = json.loads(person.fid(images, B, "--pipeline", "tf", "--json").stdout)
    assert [alone[key] for key in ("fid", "fid_low", "fid_high")] == [report[key] for key in ("fid", "fid_low", "fid_high")]


def test_too_few(person, folders):
    """What has too few images is left out beside others, and an error alone."""
    a, b = folders
    done = person.fid(a, b, "--metrics", "fid,is")
    assert done.stdout == f"FID:  {person.value(a, b)}\n" and "takes 10 parts and there are 8 images" in done.stderr
    assert "takes 10 parts and there are 8 images" in person.refused(a, b, "--metrics", "is", code=2)
    assert "FID-infinity" in person.refused(a, b, "--metrics", "fid_inf", code=2)


def test_containers_of_statistics(person):
    """The folder of --fid_statistic, the file, and the .npz hold the same; the release's mean is float32."""
    stats = GOLDEN / "stats"
    for name in "dd", "dd/statistic.pth", "statistic_legacy.pth", "statistic_tensors.pth", "statistic_numpy2.pth", "statistic_f64.pth":
        assert person.value(stats / name, stats / "stats_savez.npz", weights=None) == pytest.approx(0, abs=1e-6)


def test_dims(person):
    """The features of pytorch-fid's --dims, by the golden means after each block."""
    for dims, block, width in (64, 0, 4), (192, 1, 12), (768, 2, 48):
        answer = json.loads(person.fid(GOLDEN / "images/images_256.npy", B, "--dims", dims, "--json").stdout)
        assert answer["dims"] == width
        out = person.folder / f"{dims}.npz"
        person.fid("--save-stats", GOLDEN / "images/images_256.npy", out, "--dims", dims)
        golden = np.load(GOLDEN / f"net/block{block}_pt.npy")[:6]
        assert np.abs(np.load(out)["mu"] - golden.mean(0)).max() < 2e-4
        assert np.abs(np.load(out)["sigma"] - np.cov(golden, rowvar=False)).max() < 2e-3


def test_folders_and_cache(person, folders):
    a, b = folders
    first = person.value(a, b)
    assert person.value(f"{a}/", b) == first
    cached = list((person.folder / ".cache/ddq/references").glob("*.npz"))
    assert cached
    assert person.value(a, b, "--cache", person.folder / "other") == first
    assert list((person.folder / "other/references").glob("*.npz"))
    assert person.value(a, b, XDG_CACHE_HOME=str(person.folder / "xdg")) == first
    assert (person.folder / "xdg/ddq/references").is_dir()


def test_save_stats(person, folders):
    a, b = folders
    out = person.folder / "b.npz"
    assert person.fid("--save-stats", b, out).stdout == ""
    saved = np.load(out)
    assert saved["mu"].shape == (128,) and saved["num_images"][0] == 9 and saved["pipeline"].tobytes() == b"pt"
    assert person.value(a, out) == person.value(a, b)
    assert "tf" in person.refused(a, out, "--pipeline", "tf", code=2)  # the file says how it was made
    assert "there already" in person.refused("--save-stats", b, out, code=75)
    assert ".npz" in person.refused("--save-stats", b, person.folder / "b.txt", code=2)


def test_json(person, folders):
    a, b = folders
    answer = json.loads(person.fid(a, b, "--json", "--num-workers", "8").stdout)
    assert answer["fid"] == person.value(a, b)
    assert answer["generated"]["images"] == 8 and answer["reference"]["images"] == 9
    assert len(answer["reference"]["sha256"]) == 64 and answer["reference"]["kind"] == "folder" and answer["pipeline"] == "pt"
    assert any("--num-workers" in text for text in answer["warnings"])
    assert any("128 features" in text for text in answer["warnings"])  # 8 images: biased


def test_weights_in_two_parts(person, folders):
    """Weights that lie in two parts of a file: one is read, and the other is told."""
    data = (GOLDEN / "net/inception_w16.safetensors").read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    rows, size = json.loads(data[8:start]), len(data) - start
    rows.pop("__metadata__", None)
    both = {f"{part}.{name}": {**row, "data_offsets": [at + k * size for at in row["data_offsets"]]}
            for k, part in enumerate(("ema", "model")) for name, row in rows.items()}
    header, path = json.dumps(both).encode(), person.folder / "two.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + 2 * data[start:])
    done = person.fid(*folders, weights=path)
    assert "read from its part ema; as many tensors are in model (566 tensors)" in done.stderr, done.stderr
    assert float(done.stdout[6:]) == person.value(*folders)


def test_weights_by_configuration(person, folders):
    """ddq.conf may name the weights, and references that have weights of their own."""
    a, b = folders
    conf = person.folder / "own.conf"
    conf.write_text(f"[inception]\nweights = {W16}\n[reference mine]\nstatistics = {GOLDEN}/e2e/stats_b_pt.npz\n")
    assert person.value(a, b, "--conf", conf, weights=None) == person.value(a, b)
    named = person.value(a, "mine", weights=None, DDQ_CONF=str(conf))
    assert named == person.value(a, GOLDEN / "e2e/stats_b_pt.npz")


# --- what is refused -------------------------------------------------------------------------------


def test_refuses(person, folders):
    a, b = folders
    said = person.refused(a, b, weights=None, code=102)
    assert "--inception" in said and "[inception]" in said
    empty = person.folder / "empty"
    empty.mkdir()
    assert "holds no images" in person.refused(empty, b, code=102)
    one = person.folder / "one"
    one.mkdir()
    shutil.copy(a / "0.png", one)
    assert "at least 2" in person.refused(one, b)
    torn = person.folder / "torn"
    shutil.copytree(a, torn)
    (torn / "2.png").write_bytes((a / "2.png").read_bytes()[:100])
    assert "torn/2.png" in person.refused(torn, b)
    assert "64" in (said := person.refused(a, GOLDEN / "stats/stats_savez.npz")) and "128" in said, said  # another width
    assert "not symmetric" in person.refused(a, GOLDEN / "stats/statistic_fortran.pth")
    assert "README.md" in person.refused(a, GOLDEN / "README.md")
    assert "nowhere" in person.refused(a, person.folder / "nowhere", code=102)
    assert "FID Inception" in person.refused(a, b, weights=GOLDEN / "stats/statistic_tensors.pth", *["--cache", person.folder / "c"])
    assert "line?feed" in person.refused("line\nfeed", b, code=102)
    assert "sfid" in person.refused(a, GOLDEN / "e2e/stats_b_pt.npz", "--metrics", "sfid", code=2)
    assert "statistics alone" in person.refused(a, GOLDEN / "e2e/stats_b_pt.npz", "--metrics", "fid,kid", code=2)


def test_torchvision_weights(person, folders):
    """The same names, another network, and a FID that is about 1.5 lower."""
    a, b = folders
    weights = person.folder / "torchvision.safetensors"
    data = (GOLDEN / "net/inception_w16.safetensors").read_bytes()
    weights.write_bytes(data.replace(b"Mixed_6c.branch7x7_3.conv.weight", b"AuxLogits.branch7x7_3.conv.weigh"))
    assert "torchvision" in person.refused(a, b, weights=weights)


@pytest.mark.parametrize("words, said", [
    (["A"], "argument is missing"),
    (["A", "B", "C"], "too many"),
    (["A", "B", "--dims", "100"], "2048, 768, 192 or 64"),
    (["A", "B", "--pipeline", "both"], "pt or tf"),
    (["A", "B", "--metrics", "fid,what"], "wanted fid"),
    (["A", "B", "--batch-size", "many"], "0 to 4096"),
    (["A", "B", "--dims", "64", "--metrics", "sfid"], "2048"),
    (["A", "B", "--dmis", "64"], "--dims"),
])
def test_usage(person, words, said):
    assert said in person.fid(*words, weights=None, code=2).stderr


def test_interrupted(person):
    """The exit status of Ctrl-C, and nothing on stdout."""
    process = subprocess.Popen([DDQ, "fid", B, A, "--inception", W16, "--cache", person.folder / "i"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, env=person.env)
    wait_for(lambda: catches(process.pid, signal.SIGINT), "it catches Ctrl-C")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=DEADLINE)
    assert (process.returncode, out) == (130, ""), err

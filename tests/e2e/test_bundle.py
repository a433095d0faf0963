"""A bundle: unpacked anywhere, it needs nothing of the machine but glibc, and makes the same images."""
import json
import os
import re
import subprocess
import tarfile

import pytest

from harness import BIN, ROOT, clean_env

BUNDLE = os.environ.get("DDQ_BUNDLE", ROOT / "build/bundle/ddq-check.tar.gz")
GLIBC = re.compile(r"(linux-vdso|ld-linux[^ ]*|libc|libm|libdl|librt|libpthread|libresolv)\.so")
DIGITS = "share/ddq/models/digits"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    if not os.path.exists(BUNDLE):
        pytest.skip(f"{BUNDLE} is not there; make it with scripts/bundle --check")
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(BUNDLE) as tar:
        tar.extractall(folder)
    return folder / os.listdir(folder)[0]


def run(*words, **options):
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"}, **options)


def test_needs_glibc_alone(bundle):
    for file in [*(bundle / "bin").iterdir(), *(bundle / "lib").iterdir()]:
        for line in run("ldd", file).stdout.splitlines():
            name = line.split()[0].rsplit("/", 1)[-1]
            assert GLIBC.match(name) or str(bundle) in line, f"{file.name} takes {line.strip()}"


def test_self_test(bundle):
    done = run(bundle / "bin/ddq-worker", "--selftest")
    assert done.returncode == 0, done.stdout + done.stderr


def test_recipes(bundle):
    done = run(bundle / "bin/ddq", "recipes")
    assert done.returncode == 0 and "digits-demo" in done.stdout, done.stderr


def test_golden_weights(bundle, tmp_path):
    """gpu-check makes the weights of the golden samplers in the bundle: the same bytes as the build's."""
    if not (bundle / "gpu-check").exists():
        pytest.skip("made without --check")
    done = run(bundle / "bin/make_weights", bundle / "tests/golden/llamagen", tmp_path)
    assert done.returncode == 0, done.stderr
    made = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.safetensors"))
    assert len(made) == 6
    for path in made:
        assert (tmp_path / path).read_bytes() == (BIN.parent / "golden/llamagen" / path).read_bytes(), path


def test_the_same_job(bundle, tmp_path):
    """The images of the bundle's worker are those of the build tree's, byte for byte, and so is the FID."""
    job = {"kind": "sample", "t_list": [0, 20], "split_t": 20, "images": 40, "classes": "balanced", "seed": 5,
           "student": f"{bundle}/{DIGITS}/student.pt", "tokenizer": f"{bundle}/{DIGITS}/vq.pt",
           "inception": f"{bundle}/{DIGITS}/inception.pth", "reference": f"{bundle}/{DIGITS}/statistics.npz"}
    reports = []
    for name, program in ("bundle", bundle / "bin/ddq-worker"), ("tree", BIN / "ddq-worker"):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps({**job, "output": str(tmp_path / name)}))
        done = subprocess.run([program, "exec", path, "--quiet"], capture_output=True, text=True, env=clean_env())
        assert done.returncode == 0, done.stderr
        reports.append(json.loads((tmp_path / name / "report.json").read_text()))
    assert reports[0]["fid"] == reports[1]["fid"]
    for i in range(job["images"]):
        image = f"images/{i:06}.png"
        assert (tmp_path / "bundle" / image).read_bytes() == (tmp_path / "tree" / image).read_bytes(), image

"""The cache of measured images is a help: what happens to it never costs a result."""
import json
import pathlib
import resource
import subprocess

import numpy as np
import pytest

from session import DDQ
from test_fid import A, B, W16, folders, person  # noqa: F401
from wait import DEADLINE

METRICS = ["--metrics", "fid,kid,sfid", "--pipeline", "tf"]
LOST = "cannot be used"


@pytest.fixture(scope="module")
def wanted(person):
    return json.loads(person.fid(A, B, *METRICS, "--json", "--cache", person.folder / "whole").stdout)


def figures(answer):
    return {key: value for key, value in answer.items() if isinstance(value, (int, float))}


@pytest.mark.parametrize("home", ["/dev/null", "/proc/nowhere"])
def test_a_home_that_takes_no_files(person, wanted, home):
    done = person.fid(A, B, *METRICS, "--json", HOME=home)
    assert figures(json.loads(done.stdout)) == figures(wanted)
    assert done.stderr.count(LOST) == 1 and f"{home}/.cache/ddq/references" in done.stderr
    assert sum(LOST in text for text in json.loads(done.stdout)["warnings"]) == 1
    said = person.fid("--save-stats", B, person.folder / f"stats{len(home)}.npz", HOME=home).stderr
    assert said.count(LOST) == 1 and (person.folder / f"stats{len(home)}.npz").exists()


@pytest.mark.parametrize("bytes", [0, 40_000, 1 << 20])
def test_a_disk_that_is_full(person, wanted, tmp_path, bytes):
    """Nothing can be written at all, or not the rows of an unfinished measurement, or not what is last."""
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes, bytes))

    words = [DDQ, "fid", A, B, *METRICS, "--json", "--inception", W16, "--cache", tmp_path / "cache"]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=DEADLINE, env=person.env, preexec_fn=limit,
                          restore_signals=False)  # without SIGXFSZ it is an error like that of a full disk
    assert done.returncode == 0, done.stderr
    assert figures(json.loads(done.stdout)) == figures(wanted)
    assert done.stderr.count(LOST) == 1, done.stderr
    left = [path.name for path in (tmp_path / "cache").rglob("*") if path.name.endswith(".part")]
    assert not left
    again = json.loads(person.fid(A, B, *METRICS, "--json", "--cache", tmp_path / "cache").stdout)
    assert figures(again) == figures(wanted)  # nothing half was kept


def test_a_job_without_a_cache(person, folders, tmp_path):
    a, b = folders
    job = {"kind": "evaluate", "images": str(a), "reference": str(b), "inception": str(W16), "output": str(tmp_path / "out")}
    (tmp_path / "job.json").write_text(json.dumps(job))
    done = subprocess.run([pathlib.Path(DDQ).with_name("ddq-worker"), "exec", tmp_path / "job.json"], capture_output=True, text=True,
                          env={**person.env, "HOME": "/dev/null"}, timeout=DEADLINE)
    assert done.returncode == 0 and done.stderr.count(LOST) == 1, done.stderr
    assert json.loads((tmp_path / "out/report.json").read_text())["fid"] == person.value(a, b)

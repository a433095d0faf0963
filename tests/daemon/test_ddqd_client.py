"""The client, a real daemon and scripted workers: what is submitted as several jobs ends as one."""
import json
import subprocess

import pytest

from fake_farm import BIN, Farm
from wait import DEADLINE

JOB = ["--model", "m", "--t-list", "0,4", "--split-t", "4", "--images", "6"]


@pytest.fixture
def farm():
    farm = Farm(workers="cpu:2")
    farm.write_conf(["m"], more="[inception]\nweights = m.pt\n")
    with farm:
        yield farm


def ddq(farm, *words, code=0):
    done = subprocess.run([BIN / "ddq", *words, "--json"], capture_output=True, text=True, timeout=DEADLINE,
                          env={**farm.env, "DDQ_REDIS": f"unix:{farm.socket}", "DDQ_AS": "ada"})
    assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def test_then_evaluate_reads_what_the_first_job_made(farm):
    ids = ddq(farm, "submit", *JOB, "--metrics", "is", "--then", "evaluate", "--name", "two")["ids"]
    told = ddq(farm, "wait", ids[1])["jobs"][0]
    sample, evaluation = farm.show(ids[0]), farm.show(ids[1])
    assert (sample["state"], evaluation["state"], told["images"]) == ("done", "done", 6)  # the survey counted them
    assert sample["finished"] <= evaluation["started"] and evaluation["spec"]["images"] == "ada/two/images"
    assert sorted(path.name for path in (farm.root / "ada/two/images").iterdir()) == [f"{i:06d}.png" for i in range(6)]


def test_a_sweep_is_waited_for_as_one(farm):
    group = ddq(farm, "submit", *JOB, "--sweep", "seed=1,2,3", "--max-gpus", "1", "--hold")["group"]
    assert ddq(farm, "show", group)["state"] == "held" and not list(farm.root.glob("ada/*/images"))
    ddq(farm, "release", group)
    told = ddq(farm, "wait", group)["jobs"][0]
    assert told["states"] == {"done": 3} and told["done"] == told["images"] == 18
    for point in told["points"]:
        folder = farm.root / "ada" / point["name"]
        assert (folder / "images/000005.png").read_text() == f"image 5 of seed {point['point']['seed']}\n"
        pids = {line.split()[0] for line in (folder / "trace.txt").read_text().splitlines()}
        assert len(pids) == 1  # --max-gpus


def test_dry_run_knows_what_was_measured(farm):
    (job,) = ddq(farm, "submit", *JOB)["ids"]
    ddq(farm, "wait", job)
    (told,) = ddq(farm, "submit", *JOB, "--images", "100", "--dry-run")["jobs"]
    assert told["work_ms"] == pytest.approx(100 * told["ms_image"], abs=1) and told["workers_fit"] == 2 and "is free" in told["text"]

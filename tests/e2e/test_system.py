"""The whole system: submit, work, kill things, get the same bytes."""
import json
import os
import signal

import numpy
import pytest
from PIL import Image

from harness import DIGITS, DIGITS_JOB, Farm, digest
from wait import DEADLINE, wait_for

# Long enough to be interrupted in the middle: 64 teacher tokens an image.
SLOW_JOB = {**DIGITS_JOB, "t_list": [0, 64], "teacher_start_t": 0, "split_t": 64, "images": 400, "batch": 4}


@pytest.fixture(scope="module")
def undisturbed():
    """What SLOW_JOB gives without kills."""
    with Farm() as farm:
        job = farm.submit(SLOW_JOB)
        farm.wait(job)
        state = farm.show(job)
        yield digest(state["output"])


def middle_of(farm, job):
    """Waits until the job runs and some of it is done, and returns what show says."""

    def running():
        state = farm.show(job)
        assert state["state"] in ("queued", "running"), state
        return state if state["leases"] and 20 < state["done"] < 300 else None

    return wait_for(running, "the job is in its middle")


def finish(farm, job, undisturbed):
    farm.wait(job)
    state = farm.show(job)
    assert state["state"] == "done" and state["done"] == SLOW_JOB["images"]
    assert digest(state["output"]) == undisturbed
    return state


def test_job_end_to_end():
    with Farm() as farm:
        job = farm.submit(DIGITS_JOB)
        farm.wait(job)
        state = farm.show(job)
        out = state["output"]
        assert state["state"] == "done" and state["done"] == 48
        assert sorted(os.listdir(out + "/images")) == [f"{i:06d}.png" for i in range(48)]
        assert Image.open(out + "/images/000000.png").size == (32, 32)
        report = json.load(open(out + "/report.json"))
        assert report["images"] == 48 and report["images_per_second"] > 0
        assert open(out + "/fid.txt").read().startswith("FID: ")
        assert 0 < report["fid"] < 60
        assert state["metrics"]["fid"] == report["fid"] and report["reference"]["name"] == "digits"
        assert f"{report['fid']:.3f}" in farm.ddq("show", job).stdout
        assert Image.open(out + "/grid.png").size[0] > 32
        assert numpy.load(out + "/features.npy").shape == (48, 256)
        assert numpy.load(out + "/codes.npy").shape == (48, 64)


def test_two_workers_give_the_same_bytes(undisturbed):
    with Farm(workers="cpu:2") as farm:
        job = farm.submit(SLOW_JOB)
        finish(farm, job, undisturbed)


def test_worker_killed(undisturbed):
    with Farm() as farm:
        job = farm.submit(SLOW_JOB)
        state = middle_of(farm, job)
        os.kill(state["leases"][0]["pid"], signal.SIGKILL)
        killed_at = state["done"]
        finish(farm, job, undisturbed)
        assert killed_at > 0


def test_daemon_killed(undisturbed):
    with Farm() as farm:
        job = farm.submit(SLOW_JOB)
        middle_of(farm, job)
        farm.daemon.kill()
        farm.daemon.wait()
        farm.start()
        finish(farm, job, undisturbed)


def test_redis_killed(undisturbed):
    with Farm() as farm:
        job = farm.submit(SLOW_JOB)
        middle_of(farm, job)
        os.kill(farm.redis_pid(), signal.SIGKILL)
        # The client may call meanwhile: that is an error, not a lost job.
        wait_for(lambda: farm.ddq("show", job, code=None).returncode == 0, "redis is back")
        finish(farm, job, undisturbed)


def test_cancel_running_job():
    with Farm() as farm:
        job = farm.submit(SLOW_JOB)
        middle_of(farm, job)
        farm.ddq("cancel", job)
        farm.wait(job, code=103)
        other = farm.submit(DIGITS_JOB)
        farm.wait(other)  # the worker is free again


def test_drain_gives_the_range_back(undisturbed):
    with Farm("--drain-s", "3600") as farm:
        job = farm.submit(SLOW_JOB)
        middle_of(farm, job)
        farm.daemon.terminate()
        assert farm.daemon.wait(DEADLINE) == 0
        assert "killed by signal" not in (farm.folder / "ddqd.log").read_text()
        farm.start()
        finish(farm, job, undisturbed)


def test_checkpoint_vanishes_between_submit_and_start(tmp_path):
    student = tmp_path / "student.pt"
    student.write_bytes((DIGITS / "student.pt").read_bytes())
    conf = tmp_path / "ddq.conf"
    conf.write_text(f"[model digits]\nstudent = {student}\nteacher = {DIGITS}/teacher.pt\ntokenizer = {DIGITS}/vq.pt\n")
    with Farm(conf=conf) as farm:
        student.unlink()
        job = farm.submit({**{k: v for k, v in DIGITS_JOB.items() if k != "reference"}, "save": ["png"]})
        farm.wait(job, code=100)
        reason = farm.show(job)["reason"]
        assert str(student) in reason, reason


def test_t_list_out_of_range_is_refused_with_the_range():
    with Farm() as farm:
        said = farm.ddq("submit", "-", stdin=json.dumps({**DIGITS_JOB, "t_list": [0, 64, 200], "images": 4}), code=2).stderr
        assert "200" in said and "64" in said, said


@pytest.mark.parametrize("change, words", [
    ({"model": "digit"}, ["digit", "digits"]),
    ({"split": 20}, ["split", "split_t"]),
    ({"images": 0}, ["images", "0"]),
    ({"images": 10**12}, ["images"]),
    ({"classes": "evenly"}, ["classes", "balanced"]),
    ({"t_list": [20, 0]}, ["t_list"]),
    ({"output": "/etc"}, ["output"]),
    ({"name": "../../etc"}, ["name"]),
])
def test_bad_jobs_are_refused_at_submit(change, words):
    farm = test_bad_jobs_are_refused_at_submit.farm
    path = farm.folder / "bad.json"
    path.write_text(json.dumps({**DIGITS_JOB, **change}))
    done = farm.ddq("submit", path, "--quiet", code=2)
    assert not done.stdout
    for word in words:
        assert word in done.stderr, done.stderr


@pytest.fixture(scope="module", autouse=True)
def shared_farm():
    with Farm() as farm:
        test_bad_jobs_are_refused_at_submit.farm = farm
        yield

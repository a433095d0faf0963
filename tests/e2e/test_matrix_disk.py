"""Rows of the failure matrix (docs/dev/daemon.md) with real workers and real images: what is left at the end has the same bytes as
an undisturbed run."""
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time

import pytest

from harness import BIN, DIGITS_JOB, ROOT, Farm, clean_env, digest
from wait import DEADLINE, wait_for

sys.path.insert(0, str(ROOT / "tests/daemon"))
from fake_farm import start_redis  # noqa: E402
from hang_fs import LIBC, Hang  # noqa: E402

# Long enough to be interrupted in the middle.
JOB = {**DIGITS_JOB, "t_list": [0, 64], "teacher_start_t": 0, "split_t": 64, "images": 96, "batch": 4}


@pytest.fixture(scope="module")
def undisturbed():
    with Farm() as farm:
        job = farm.submit(JOB)
        farm.wait(job)
        yield digest(farm.show(job)["output"])


@pytest.fixture(scope="module")
def farm():
    with Farm("--stall-s", "1") as shared:
        yield shared


def middle_of(farm, job):
    """Well begun and far from the end: by the files themselves, which is quick."""
    images, end = None, time.monotonic() + DEADLINE
    while time.monotonic() < end:
        if not images:
            state = farm.show(job)
            assert state["state"] in ("queued", "running"), state
            images = state["leases"] and os.path.join(state["output"], "images")
        elif os.path.isdir(images) and len([name for name in os.listdir(images) if name.endswith(".png")]) >= 12:
            state = farm.show(job)
            assert state["state"] == "running", state
            return state
        time.sleep(0.002 if images else 0.01)
    raise AssertionError("the job does not get to its middle")


def held(farm, job, *words):
    """The job is held, for a reason with these words, and its worker is free for others."""
    def is_held():
        state = farm.show(job)
        assert state["state"] in ("queued", "running", "held"), state
        return state if state["state"] == "held" and not state["leases"] else None

    state = wait_for(is_held, f"held: {words}")
    for word in words:
        assert word in state["reason"], state["reason"]
    return state


def finish(farm, job, undisturbed):
    farm.wait(job)
    state = farm.show(job)
    assert (state["state"], state["done"], state["bad"]) == ("done", JOB["images"], 0)
    assert digest(state["output"]) == undisturbed
    return state


def mount(folder, size):
    if LIBC.mount(b"tmpfs", os.fspath(folder).encode(), b"tmpfs", 0, f"size={size}".encode()) != 0:
        pytest.skip("mounting a tmpfs is not permitted")


def test_a_full_disk(undisturbed):
    with Farm() as farm:
        farm.stop()
        mount(farm.jobs, "250k")
        try:
            farm.start()
            job = farm.submit(JOB)
            held(farm, job, "No space left on device")
            assert LIBC.mount(b"tmpfs", os.fspath(farm.jobs).encode(), b"tmpfs", 32, b"size=64m") == 0  # 32: remount
            farm.ddq("release", job)
            finish(farm, job, undisturbed)
            assert not [name for name in os.listdir(farm.show(job)["output"] + "/images") if "part" in name]
            farm.stop()
        finally:
            LIBC.umount2(os.fspath(farm.jobs).encode(), 2)


def test_a_limit_on_file_sizes_is_no_crash(farm, undisturbed):
    job = farm.submit(JOB)
    state = middle_of(farm, job)
    resource.prlimit(state["leases"][0]["pid"], resource.RLIMIT_FSIZE, (200, resource.RLIM_INFINITY))
    held(farm, job, "File too large")
    resource.prlimit(state["leases"][0]["pid"], resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    farm.ddq("release", job)
    finish(farm, job, undisturbed)


def test_the_output_folder_is_removed(farm, undisturbed):
    job = farm.submit(JOB)
    state = middle_of(farm, job)
    os.rename(state["output"], state["output"] + ".away")
    held(farm, job, state["output"], "No such file")
    shutil.rmtree(state["output"] + ".away")  # nothing is left of it
    farm.ddq("release", job)
    finish(farm, job, undisturbed)


def test_the_output_folder_becomes_read_only(farm, undisturbed):
    """As a file system does that met an error: a bind mount of the folder over itself, remounted read-only."""
    job = farm.submit(JOB)
    output = middle_of(farm, job)["output"]
    name, bind, read_only, remount = output.encode(), 4096, 1, 32
    if LIBC.mount(name, name, None, bind, None) != 0:
        pytest.skip("bind mounts are not permitted")
    try:
        assert LIBC.mount(None, name, None, bind | remount | read_only, None) == 0
        held(farm, job, "Read-only file system")
    finally:
        LIBC.umount2(name, 2)
    farm.ddq("release", job)
    finish(farm, job, undisturbed)


def test_the_output_folder_hangs(farm, undisturbed):
    """Its worker notices it, names the folder, and exits, though its threads cannot be stopped."""
    job = farm.submit(JOB)
    state = middle_of(farm, job)
    with Hang(state["output"] + "/images"):
        held(farm, job, state["output"], "has not answered for 1 s")
        pid = state["leases"][0]["pid"]
        wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "that worker is gone")
        other = farm.submit({**DIGITS_JOB, "images": 8})
        farm.wait(other)  # a fresh one works on something else
    farm.ddq("release", job)
    finish(farm, job, undisturbed)


def test_what_a_killed_worker_left_is_swept(farm, undisturbed):
    job = farm.submit(JOB)
    state = middle_of(farm, job)
    pid = state["leases"][0]["pid"]
    host = os.uname().nodename
    os.kill(pid, signal.SIGKILL)
    left = [f"{state['output']}/images/000090.png.{pid}.part", f"{state['output']}/blocks/.000090-000096.json.{host}-{pid}-9.part"]
    for path in left:
        open(path, "w").close()
        os.utime(path, (time.time() - 3600,) * 2)
    wait_for(lambda: not any(map(os.path.exists, left)), "the next worker sweeps it")
    finish(farm, job, undisturbed)


def test_a_frozen_daemon(undisturbed, tmp_path):
    """Two daemons share a Redis and a folder; one is suspended for longer than its leases."""
    conf = tmp_path / "ddq.conf"
    conf.write_text("[daemon]\nlease_ms = 1500\n")
    server = start_redis(tmp_path)
    daemons = {}

    def start(host):
        log = open(tmp_path / f"{host}.log", "ab")
        daemons[host] = subprocess.Popen(
            [BIN / "ddqd", "--redis", f"unix:{tmp_path}/redis.sock", "--state", tmp_path / host, "--output-root", tmp_path / "jobs",
             "--conf", conf, "--workers", "cpu:1", "--host", host], stdout=subprocess.PIPE, stderr=log,
            env=clean_env(HOME=str(tmp_path)), text=True)
        assert daemons[host].stdout.readline().startswith("ready")

    client = Farm()
    client.url = f"unix:{tmp_path}/redis.sock"
    try:
        start("h1")
        job = client.submit(JOB)
        lease = middle_of(client, job)["leases"][0]
        daemons["h1"].send_signal(signal.SIGSTOP)
        start("h2")
        wait_for(lambda: client.show(job)["state"] == "done", "the other host ends it")
        daemons["h1"].send_signal(signal.SIGCONT)
        log = tmp_path / "h1.log"
        wait_for(lambda: f"token={lease['token']} lost" in log.read_text() or
                 f"token={lease['token']} report=ddq_finish status=stale" in log.read_text(), "its late report is refused")
        finish(client, job, undisturbed)
    finally:
        for daemon in daemons.values():
            daemon.send_signal(signal.SIGCONT)
            daemon.terminate()
        for daemon in daemons.values():
            daemon.wait(DEADLINE)
            daemon.stdout.close()
        server.kill()
        server.wait()
        client.log.close()
        shutil.rmtree(client.folder)


def test_redis_is_lost_and_the_folders_bring_all_back(undisturbed):
    """One job is done, one in its middle, one was never begun. Of what is on disk two files are damaged."""
    with Farm() as farm:
        small = farm.submit({**DIGITS_JOB, "images": 8, "name": "small"})
        farm.wait(small)
        fid = farm.show(small)["fid"]
        job = farm.submit(JOB, "--priority", "7")
        waiting = farm.submit({**DIGITS_JOB, "images": 9})
        farm.ddq("hold", waiting)
        output = middle_of(farm, job)["output"]
        farm.ddq("hold", job)  # what is made so far becomes a second shard
        held(farm, job, "held by")
        redis = farm.redis_pid()
        farm.stop(signal.SIGKILL)  # and the workers and the private Redis with it
        wait_for(lambda: not os.path.exists(f"/proc/{redis}"), "Redis is gone")
        shutil.rmtree(farm.state / "appendonlydir")
        shards = sorted(name for name in os.listdir(output + "/blocks") if name.endswith(".json"))
        assert len(shards) > 1
        first = json.load(open(f"{output}/blocks/{shards[0]}"))
        damaged = [f"{output}/images/{first['lo']:06d}.png", f"{output}/blocks/{shards[0]}".replace(".json", ".features.npy")]
        for path in damaged:
            with open(path, "r+b") as file:
                file.seek(-8, os.SEEK_END)
                file.write(b"\0" * (4 if path.endswith("npy") else 8))
                if path.endswith("png"):
                    file.truncate(20)
        broken = range(first["lo"], first["hi"])
        made = [int(name[:6]) for name in os.listdir(output + "/images") if name.endswith(".png")]
        kept = {i: os.stat(f"{output}/images/{i:06d}.png").st_mtime_ns for i in made if i not in broken and any(
            int(name[:6]) <= i < int(name[7:13]) for name in shards)}

        farm.start()
        log = farm.folder / "ddqd.log"
        wait_for(lambda: f"bring them back with: ddq adopt {farm.jobs}" in log.read_text(), "the log says what to do")
        farm.ddq("wait", job, code=102)
        doctor = farm.ddq("doctor", code=None).stdout
        assert f"ddq adopt {farm.jobs}" in doctor and "1 job" in doctor, doctor
        said = farm.ddq("adopt", farm.jobs).stdout
        assert f"{small} " in said and "small is done" in said and f"{job} " in said and "images exist" in said, said
        assert (farm.show(small)["state"], farm.show(small)["fid"]) == ("done", fid)
        assert farm.show(job)["priority"] == 7
        finish(farm, job, undisturbed)
        assert kept and all(os.stat(f"{output}/images/{i:06d}.png").st_mtime_ns == stamp for i, stamp in kept.items())
        assert "already in the queue" in farm.ddq("adopt", output).stdout
        farm.ddq("show", waiting, code=102)  # nothing of it was on disk
        assert "ddq adopt" not in farm.ddq("doctor", code=None).stdout

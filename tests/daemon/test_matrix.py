"""Rows of the failure matrix (docs/dev/daemon.md) that need no real images: real daemons, real Redis, real kills, and the scripted
worker. The others are in test_ddqd_jobs.py, test_ddqd_lab.py and tests/e2e."""
import contextlib
import http.client
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

import pytest

from fake_farm import BIN, LEASE_MS, SERVER, WORKER, Farm, alive, aof_of, start_redis
from hang_fs import Hang
from lossy import Lossy
from wait import DEADLINE, wait_for


def ddq(farm, *words, code=0):
    done = subprocess.run([BIN / "ddq", *map(str, words), "--redis", f"unix:{farm.socket}"], capture_output=True, text=True,
                          env={**farm.env, "DDQ_AS": "ada", "NO_COLOR": "1"}, timeout=DEADLINE)
    assert done.returncode == code, (words, done)
    return done.stdout + done.stderr


def run(*words):
    try:
        done = subprocess.run(words, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise OSError(f"{words[0]} is not installed") from error
    if done.returncode != 0:
        raise OSError(f"{' '.join(map(str, words))}: {done.stderr.strip()}")


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def metric(port, name):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    connection.close()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"ddq_{name} "))


def taken_over(farm, job, lease):
    """Images of a lease's range that other workers made."""
    return [row for row in farm.trace(job) if row[1] != lease["token"] and lease["lo"] <= row[2] < lease["hi"]]


def waited_s(pid):
    """How long a process has been ready to run and had no core."""
    return int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


@contextlib.contextmanager
def a_lab():
    """Daemons of several hosts on one Redis and one output folder; started by the test."""
    farms = []
    first = Farm("--host", "h1", standalone=False)
    first.server = start_redis(first.folder)
    farms.append(first)

    def another(host, *flags):
        farm = Farm("--host", host, *flags, standalone=False)
        farm.socket, farm.root = first.socket, first.root
        farms.append(farm)
        return farm

    first.another = another
    yield first
    for farm in reversed(farms):
        if farm.daemon and farm.daemon.poll() is None:
            farm.daemon.send_signal(signal.SIGCONT)
        farm.stop()
    first.server.kill()
    first.server.wait()
    for farm in farms:
        farm.__exit__(None, None, None)


@pytest.fixture
def lab():
    with a_lab() as made:
        yield made


# --- the daemon: nothing is made quicker here, so it happens beside the other tests, and the last one looks ---

@pytest.fixture(scope="module", autouse=True)
def frozen():
    """A daemon that is stopped in the middle of a long range, with the usual lease; another host stands by."""
    with a_lab() as first:
        first.conf.write_text(first.conf.read_text().replace(f"lease_ms = {LEASE_MS}", "lease_ms = 15000"))
        second = first.another("h2")
        second.conf.write_text(first.conf.read_text())
        first.start()
        first.wait(first.submit(images=20, how="ms=0"))  # fast, so that the next range is a long one
        first.job = first.submit(images=100, how="ms=30")
        first.lease = first.running(first.job, done=5)
        os.kill(first.daemon.pid, signal.SIGSTOP)
        first.frozen_at = time.time()
        first.expires = float(first.redis.call("ZSCORE", "{ddq}:leases", first.lease["token"])) / 1000
        second.start()
        yield first


@pytest.fixture(scope="module", autouse=True)
def unkillable():
    """A worker in a file system that was frozen under it: not even SIGKILL ends it before the thaw."""
    farm = Farm("--work-s", "1")
    disk, folder = farm.folder / "disk.img", farm.root / "ada"
    folder.mkdir(parents=True)
    farm.frozen = False
    try:
        try:
            run("truncate", "-s", "16M", disk)
            run("mkfs.ext4", "-q", disk)
            run("mount", "-o", "loop", disk, folder)
        except OSError as error:
            farm.skip = f"a disk in a file cannot be mounted: {error}"
            yield farm
            return
        farm.skip = None
        with farm:
            farm.wait(farm.submit(images=20, how="ms=0"))
            farm.job = farm.submit(images=200, how="ms=10")
            farm.lease = farm.running(farm.job, done=5)
            run("fsfreeze", "-f", folder)
            farm.frozen = True
            farm.thaw = lambda: farm.frozen and (run("fsfreeze", "-u", folder), setattr(farm, "frozen", False))
            try:
                yield farm
            finally:
                farm.thaw()
    finally:
        subprocess.run(["umount", "-l", folder], capture_output=True)
        shutil.rmtree(farm.folder, ignore_errors=True)


def again(farm, *words):
    """The server of a lab, killed, is started again from its file."""
    farm.redis.close()
    farm.server = start_redis(farm.folder, *words)
    farm.connect()


# --- Redis ---

def test_redis_killed_five_times():
    with Farm() as farm:
        farm.wait(farm.submit(images=20, how="ms=0"))
        job = farm.submit(images=300, how="ms=10")
        pid = farm.running(job, done=10)["pid"]
        for kill in range(5):
            made = len(farm.trace(job))
            os.kill(farm.redis_pid(), signal.SIGKILL)
            wait_for(lambda: farm.log().count("redis-server was killed by signal 9") > kill, "its end is seen")
            wait_for(lambda: len(farm.trace(job)) >= min(made + 5, 300), "the worker goes on all the while")
            wait_for(lambda: farm.log().count("connected") >= kill + 2, "it is back")
        farm.connect()
        state = farm.wait(job)
        farm.check_output(job, 300)
        assert {row[0] for row in farm.trace(job)} == {pid} and all(row[3] == "made" for row in farm.trace(job))
        assert state["done"] == 300 and state["errors"] == 0 and state["bad"] == 0


def rewritten(farm):
    info = farm.redis.call("INFO", "persistence")
    return "aof_last_bgrewrite_status:ok" in info and "aof_last_rewrite_time_sec:-1" not in info


def test_half_a_transaction_does_not_come_to_life(lab):
    """Redis 7.0 ignores a transaction that is cut off at the end of its file, writes on behind it, and takes both for one at
    the next start. So a daemon that meets a server for the first time has it write its file anew."""
    lab.start()
    wait_for(lambda: rewritten(lab), "the file is written anew")
    file = aof_of(lab.folder)
    before = file.stat().st_size
    lost = lab.submit(images=3, model="none")
    after = file.stat().st_size
    lab.server.kill()
    lab.server.wait()
    os.truncate(file, (before + after) // 2)
    again(lab)
    assert lab.redis.fcall("show", id=lost)["status"] == "not_found"
    wait_for(lambda: rewritten(lab), "the file is written anew")
    kept = lab.submit(images=3)
    lab.wait(kept)
    lab.server.kill()
    lab.server.wait()
    again(lab)
    folders = lab.redis.call("HGETALL", "{ddq}:folders")
    assert f"ada/{kept}" in folders and f"ada/{lost}" not in folders, folders


def test_redis_without_its_last_second(lab):
    """The file's end is cut off, as a power cut does to a server that syncs once a second."""
    lab.start()
    lab.wait(lab.submit(images=20, how="ms=0"))
    first, second = lab.submit(images=40, how="ms=5"), lab.submit(images=60, how="ms=10")
    lab.running(first, done=10)
    wait_for(lambda: rewritten(lab), "the file that the daemon asked for")
    file = aof_of(lab.folder)
    size = file.stat().st_size
    lab.running(second, done=10)  # so the end of the first job and the claim of the second are in the last second
    assert lab.show(first)["state"] == "done"
    lab.server.kill()
    lab.server.wait()
    os.truncate(file, size)
    again(lab)
    for job, images in ((first, 40), (second, 60)):
        state = lab.wait(job)
        lab.check_output(job, images)
        assert (state["done"], state["bad"], state["leases"]) == (images, 0, [])


def test_an_answer_that_is_lost(lab):
    """The answer of Redis was lost: the journal sends the report again, and the queue answers "already"."""
    real = lab.socket
    lab.socket = lab.folder / "lossy.sock"
    proxy = Lossy(lab.socket, real)
    lab.start()
    for function in (b"ddq_claim", b"ddq_finish", b"ddq_fail", b"ddq_submit"):
        how = "once=fail:memory" if function == b"ddq_fail" else "ms=1"
        if function == b"ddq_submit":
            lab.redis.close()
            proxy.lose = function
            spec = '{"kind":"sample","model":"m","t_list":[0,4],"split_t":4,"images":3,"seed":9}'
            (lab.folder / "job.json").write_text(spec)
            job = ddq(lab, "submit", lab.folder / "job.json", "--quiet").split()[0]
            lab.connect()
            assert lab.redis.fcall("list")["jobs"][0]["id"] == job
        else:
            proxy.lose = function
            job = lab.submit(images=10, how=how)
        state = lab.wait(job)
        assert state["done"] == state["images"] and len(lab.redis.fcall("list")["jobs"]) == lab.jobs + (function == b"ddq_submit")
    assert proxy.lost == 4 and "report=ddq_finish status=already" in lab.log() and "report=ddq_fail status=already" in lab.log()
    proxy.close()


def test_an_empty_redis_calls_nothing_done(lab):
    lab.start()
    lab.wait(lab.submit(images=20, how="ms=0"))
    job = lab.submit(images=400, how="ms=10")
    token = lab.running(job, done=10)["token"]
    waiter = subprocess.Popen([BIN / "ddq", "wait", job, "--redis", f"unix:{lab.socket}"], env=lab.env, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    channel = f"{{ddq}}:job:{job}:live"
    wait_for(lambda: lab.redis.call("PUBSUB", "NUMSUB", channel)[1], "it has seen the job and listens")
    lab.server.kill()
    lab.server.wait()
    for file in lab.folder.glob("appendonlydir/*"):
        file.unlink()
    again(lab)
    out, err = waiter.communicate(timeout=DEADLINE)
    assert waiter.returncode == 102 and "ddq adopt" in err, (waiter.returncode, err)
    wait_for(lambda: f"bring them back with: ddq adopt {lab.root}" in lab.log(), "the log says what to do")
    wait_for(lambda: f"token={token} lost" in lab.log(), "the worker is stopped")
    assert "ddq adopt" in ddq(lab, "show", job, code=102)
    assert lab.redis.fcall("list")["jobs"] == []
    lab.stop()
    size = len(lab.log())
    lab.start()  # logged once, not at every start
    lab.jobs += 10
    lab.wait(lab.submit(images=3))
    assert "came back without its jobs" not in lab.log()[size:]


# --- the network ---

class Wire:
    """Two network namespaces and the cable between them."""

    def __init__(self):
        self.names = [f"ddq{os.getpid()}{end}" for end in "ab"]
        try:
            for name in self.names:
                run("ip", "netns", "add", name)
            run("ip", "link", "add", self.names[0], "netns", self.names[0], "type", "veth", "peer", self.names[1], "netns", self.names[1])
            for i, name in enumerate(self.names):
                run("ip", "-n", name, "addr", "add", f"10.77.0.{i + 1}/24", "dev", name)
                run("ip", "-n", name, "link", "set", name, "up")
        except OSError as error:
            self.close()
            pytest.skip(f"network namespaces are not permitted: {error}")

    def set(self, state):
        run("ip", "-n", self.names[0], "link", "set", self.names[0], state)

    def close(self):
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


def test_a_host_that_cannot_be_reached(lab):
    """The cable to the second host is pulled while it works, and put back when its range has gone elsewhere."""
    wire = Wire()
    server = second = None
    try:
        lab.server.terminate()
        lab.server.wait()
        server = subprocess.Popen(["ip", "netns", "exec", wire.names[0], SERVER, "--port", "6379", "--bind", "10.77.0.1",
                                   "--protected-mode", "no", "--unixsocket", lab.socket, "--dir", lab.folder, "--save", "",
                                   "--appendonly", "yes"], stdout=subprocess.DEVNULL)
        wait_for(lab.socket.exists, "redis-server")
        second = lab.another("h2", "--redis", "redis://10.77.0.1:6379")
        plain = second.command
        second.command = lambda *more: ["ip", "netns", "exec", wire.names[1], *plain(*more)]
        second.daemon = second.spawn()
        assert second.daemon.stdout.readline() == "ready redis://10.77.0.1:6379\n"
        lab.connect()
        lab.wait(lab.submit(images=20, how="ms=0"))
        job = lab.submit(images=60, how="ms=60")
        lease = lab.running(job, done=5)
        assert lease["host"] == "h2"
        wire.set("down")
        lab.start()
        wait_for(lambda: taken_over(lab, job, lease), "the other host takes it over")
        wire.set("up")
        state = lab.wait(job)
        lab.check_output(job, 60, again=1)  # both may make one image at the same moment: the same bytes, one file
        assert (state["done"], state["bad"], state["leases"]) == (60, 0, [])
        wait_for(lambda: f"token={lease['token']} lost" in second.log() or
                 f"token={lease['token']} report=ddq_finish status=stale" in second.log(), "its late report is refused")
        assert lab.show(job)["done"] == 60
        other = lab.submit(images=200, how="ms=10")  # and it works again
        wait_for(lambda: {row["host"] for row in lab.show(other)["leases"]} == {"h1", "h2"}, "both work")
        lab.wait(other)
    finally:
        if second:
            second.stop()
        lab.stop()
        if server:
            server.kill()
            server.wait()
        wire.close()


# --- files ---

def test_a_file_system_that_never_answers():
    """One user's folder hangs: that job is held, the loop is not blocked, the other users' jobs go on."""
    port = free_port()
    farm = Farm("--stall-s", "1", workers="cpu:2")
    farm.state = pathlib.Path("/dev/shm") / farm.folder.name  # a disk that is slow today is not what is measured
    farm.socket = farm.state / "redis.sock"
    farm.write_conf(["m"], f"http = 127.0.0.1:{port}\n")
    (farm.root / "bob").mkdir(parents=True)
    with farm, Hang(farm.root / "bob") as hang:
        farm.wait(farm.submit(images=20, how="ms=0"))
        long = farm.submit(images=1200, how="ms=10")  # longer than it takes to notice the folder
        farm.running(long, done=3)
        metric(port, "loop_lag_seconds")
        waited = waited_s(farm.daemon.pid)
        stuck = farm.next_id()
        farm.jobs += 1
        spec = {"kind": "sample", "model": "m", "t_list": [0, 4], "split_t": 4, "images": 5, "seed": farm.jobs}
        assert farm.redis.fcall("submit", id=stuck, user="bob", kind="sample", model="m", images=5, needs=["model:m"],
                                spec=spec)["status"] == "ok"
        found = farm.wait(stuck, state="held")
        assert "has not answered for 1 s" in found["reason"] and f"bob/{stuck}" in found["reason"], found
        made = len(farm.trace(long))
        wait_for(lambda: len(farm.trace(long)) > made + 5, "the other job goes on")
        lag = metric(port, "loop_lag_seconds") - (waited_s(farm.daemon.pid) - waited)
        assert lag < 0.05, lag
        hang.heal()
        farm.redis.fcall("release", id=stuck, user="bob")
        farm.wait(stuck)
        farm.wait(long)
        farm.check_output(long, 1200)
        assert farm.stop() == 0


def test_a_daemon_ends_though_a_file_system_hangs():
    farm = Farm("--stall-s", "1")
    (farm.root / "ada").mkdir(parents=True)
    with farm, Hang(farm.root / "ada"):
        jobs = [farm.submit(images=2) for _ in range(4)]
        for job in jobs[:2]:  # two folders of two: it is the root, and no more jobs are held for it
            farm.wait(job, state="held")
        time.sleep(1.5)
        assert [farm.show(job)["state"] for job in jobs] == ["held", "held", "queued", "queued"]
        assert farm.stop() == 0
    assert "exiting anyway" in farm.log_text


# --- time ---

FAKETIME = pathlib.Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")


@pytest.mark.skipif(not FAKETIME.exists(), reason="libfaketime is not installed")
def test_a_clock_that_is_moved_changes_nothing(lab):
    clock = lab.folder / "clock"
    clock.write_text("+0\n")
    worker = lab.folder / "worker"  # Python's sleep does not bear libfaketime; the daemon and the client do
    worker.write_text(f"#!/bin/sh\nunset LD_PRELOAD\nexec {WORKER} \"$@\"\n")
    worker.chmod(0o755)
    lab.flags += ["--worker-program", worker]
    lab.env.update(LD_PRELOAD=str(FAKETIME), FAKETIME_TIMESTAMP_FILE=str(clock), FAKETIME_NO_CACHE="1",
                   FAKETIME_DONT_FAKE_MONOTONIC="1")
    lab.start()
    lab.wait(lab.submit(images=20, how="ms=0"))
    job = lab.submit(images=300, how="ms=10")
    lab.running(job, done=5)
    for move in ("+3600", "-3600", "+0"):
        (lab.folder / "next").write_text(move + "\n")
        (lab.folder / "next").rename(clock)  # libfaketime ends the process when it reads half a line
        time.sleep(0.8)
        assert lab.show(job)["state"] in ("running", "queued", "done")
    assert abs(int(lab.redis.call("TIME")[0]) - time.time()) < 60  # the daemon's clock moved, Redis's did not
    assert job in ddq(lab, "show", job)
    state = lab.wait(job)
    lab.check_output(job, 300)
    assert all(row[3] == "made" for row in lab.trace(job)) and state["errors"] == 0
    for word in ("lost", "reaped=", "no message for", "did not answer"):
        assert word not in lab.log(), word


# --- workers ---

def test_a_worker_that_lives_but_does_not_work():
    with Farm("--work-s", "1") as farm:
        job = farm.submit(images=20, how="once=deaf")
        state = farm.wait(job)
        farm.check_output(job, 20)
        assert "showed no progress for 1 s" in state["error"] and state["errors"] == 1
        assert len({row[0] for row in farm.trace(job)}) == 2


def test_a_worker_that_cannot_be_killed(unkillable):
    """Its job is held with the reason, and goes on when the file system does."""
    farm = unkillable
    if farm.skip:
        pytest.skip(farm.skip)
    state = farm.wait(farm.job, state="held")
    assert "it was killed and does not exit" in state["reason"] and state["leases"] == [], state
    assert alive(farm.lease["pid"])
    farm.thaw()
    wait_for(lambda: not alive(farm.lease["pid"]), "it dies")
    farm.redis.fcall("release", id=farm.job, user="ada")
    farm.wait(farm.job)
    farm.check_output(farm.job, 200, again=1)


def test_a_frozen_daemon_with_the_usual_lease(frozen):
    """Its ranges are reassigned after 15 s, and its late reports are refused."""
    assert frozen.expires - frozen.frozen_at < 15.5
    job, token = frozen.job, frozen.lease["token"]
    wait_for(lambda: taken_over(frozen, job, frozen.lease), "another worker has it")
    frozen.wait(job)
    os.kill(frozen.daemon.pid, signal.SIGCONT)
    wait_for(lambda: f"token={token} report=ddq_finish status=stale" in frozen.log() or f"token={token} lost" in frozen.log(),
             "its late finish is refused")
    assert alive(frozen.lease["pid"])  # what it sent meanwhile counts as a message too
    frozen.check_output(job, 100)  # its worker had made all of the range meanwhile: nothing is made twice
    assert frozen.show(job)["done"] == 100

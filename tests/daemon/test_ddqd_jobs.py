"""Jobs through a real ddqd: how they run, and what happens when things die in the middle."""
import json
import os
import signal
import socket
import threading
import time

import pytest

from fake_farm import LEASE_MS, Farm, alive, start_redis, state_of
from resp import Redis
from wait import DEADLINE, wait_for


@pytest.fixture(scope="module")
def farm():
    """One daemon for all tests that leave it as they found it; an idle worker is replaced after a second of silence."""
    with Farm("--silence-s", "1") as shared:
        yield shared


def test_a_job_runs(farm):
    job = farm.submit(images=30)
    state = farm.wait(job)
    farm.check_output(job, 30)
    assert state["done"] == 30 and state["errors"] in (0, None)
    lines = json.dumps(farm.redis.fcall("logs", id=job)["lines"])
    assert "works on 0-" in lines


def test_progress_is_told_while_it_runs(farm):
    listener = Redis(str(farm.socket))
    job = farm.next_id()
    listener.call("SUBSCRIBE", "{ddq}:job:%s:live" % job)
    begun = time.monotonic()
    assert farm.submit(images=60, how="ms=40") == job
    ticks, message = [], {}
    while message.get("state") != "done":
        message = json.loads(listener.read()[2])
        if message.get("type") == "progress" and message["phase"] == "images":
            ticks.append(message)
    listener.close()
    ranges = len({tick["token"] for tick in ticks})  # the first message of each is sent at once
    assert 2 <= len(ticks) <= ranges + 2 * (time.monotonic() - begun), ticks  # at most two a second
    first, last = ticks[0], ticks[-1]
    assert first["job"] == job and first["worker"] == "cpu:0" and first["stage"] == "sample"
    assert first["upto"] < last["upto"] <= last["hi"] <= 60


def test_a_hint_starts_an_idle_worker_at_once(farm):
    """Polling alone would give half a second. A slow machine is as slow between two jobs that wait behind each other."""
    farm.wait(farm.submit(images=1))
    waits, turns = [], []
    for _ in range(9):
        time.sleep(0.03)
        start = time.time()
        first, second = farm.submit(images=1), farm.submit(images=1)
        farm.wait(first), farm.wait(second)
        waits.append(farm.trace(first)[0][4] - start)
        turns.append(abs(farm.trace(second)[0][4] - farm.trace(first)[0][4]))
    assert sorted(waits)[4] < max(0.1, 5 * sorted(turns)[4]), (waits, turns)


def test_a_killed_worker_costs_its_batch_alone(farm):
    job = farm.submit(images=60, how="ms=10")
    lease = farm.running(job, done=20)
    size = len(farm.log())
    os.kill(lease["pid"], signal.SIGKILL)
    farm.wait(job)
    farm.check_output(job, 60)
    trace = farm.trace(job)
    assert len({row[0] for row in trace}) == 2
    assert "killed by signal 9" in farm.log()[size:] and "reaped" not in farm.log()[size:]  # seen by its exit
    assert sum(row[3] == "skipped" for row in trace) <= 1


@pytest.mark.parametrize("fault, words", [
    ("crash", ["killed by signal 9", "about to crash"]),
    ("exit", ["ended with status 3"]),
    ("silent", ["no message for 1 s"]),
    ("malformed", ["sent a malformed message", "what a nice day"]),
    ("inconsistent", ["progress outside its range"]),
    ("early", ["the end of its range before all of it was done"]),
    ("stranger", ["a token that it does not hold"]),
])
def test_a_bad_worker_is_replaced_and_the_job_ends_well(farm, fault, words):
    size = len(farm.log())
    job = farm.submit(images=20, how=f"once={fault}")
    farm.wait(job)
    farm.check_output(job, 20)
    said = farm.log()[size:]
    for word in words:
        assert word in said, said
    wait_for(lambda: not farm.worker_pids()[1:], "one worker is left")


def test_a_survey_comes_before_the_images_of_a_folder():
    with Farm(workers="cpu:2") as farm:
        farm.write_conf(["m"], more=f"input_roots = {farm.folder}\n[inception]\nweights = m.pt\n")
        farm.daemon.send_signal(signal.SIGHUP)
        pictures = farm.folder / "pictures"
        pictures.mkdir()
        for i in range(30):
            (pictures / f"{i}.png").touch()
        job, size = farm.next_id(), len(farm.log())
        farm.jobs += 1
        reply = farm.redis.fcall("submit", id=job, user="ada", kind="statistics", images=0,
                                 spec={"kind": "statistics", "images": str(pictures), "recipe": "uncounted=1 ms=10"})
        assert reply["status"] == "ok", reply
        found = farm.wait(job)
        assert found["images"] == 30 and found["done"] == 30 and farm.made(job) == list(range(30))
        assert len({row[0] for row in farm.trace(job)}) == 2  # both workers measured
        assert "finished a survey without an image count" in farm.log()[size:]


@pytest.mark.parametrize("kind, state", [("format", "failed"), ("numeric", "failed"), ("disk_full", "held"), ("io", "held")])
def test_a_failure_has_the_consequence_of_its_kind(farm, kind, state):
    job = farm.submit(images=6, how=f"always=fail:{kind}")
    found = farm.wait(job, state=state)
    assert f"made to fail with {kind}" in found["reason"]
    other = farm.submit(images=3)
    farm.wait(other)


def test_a_retried_failure_ends_well(farm):
    job = farm.submit(images=6, how="once=fail:memory")
    farm.wait(job)
    farm.check_output(job, 6)


def test_after_a_device_error_the_worker_is_fresh(farm):
    before = farm.submit(images=2)
    farm.wait(before)
    job = farm.submit(images=6, how="once=fail:device")
    farm.wait(job)
    farm.check_output(job, 6)
    assert len({row[0] for row in farm.trace(job)}) == 2


def test_an_image_that_kills_every_worker_does_not_run_for_ever(farm):
    job = farm.submit(images=2, how="always=crash")
    found = farm.wait(job)
    assert "image 1" in found["reason"] and "signal 9" in found["reason"] and found["missing"] == [1], found
    assert farm.made(job) == [0]
    farm.wait(farm.submit(images=3))


def test_cancel_frees_the_worker(farm):
    job = farm.submit(images=2000, how="ms=5")
    lease = farm.running(job, done=5)
    farm.redis.fcall("cancel", id=job, user="ada")
    other = farm.submit(images=3)
    farm.wait(other)
    assert farm.show(job)["state"] == "cancelled"
    assert farm.trace(other)[0][0] == lease["pid"]  # the same process goes on
    count = len(farm.trace(job))
    time.sleep(0.1)
    assert len(farm.trace(job)) == count < 2000


def test_paths_outside_are_refused(farm):
    job = farm.submit(images=2, noise="/etc/passwd")
    found = farm.wait(job, state="held")
    assert "outside" in found["reason"] and "input_roots" in found["reason"], found


def test_redis_killed(farm):
    job = farm.submit(images=100, how="ms=10")
    farm.running(job, done=20)
    os.kill(farm.redis_pid(), signal.SIGKILL)
    wait_for(lambda: "redis-server was killed by signal 9" in farm.log(), "its end is seen")
    wait_for(lambda: farm.socket.exists() and try_connect(farm), "it is back")
    farm.wait(job)
    farm.check_output(job, 100)
    assert len({row[0] for row in farm.trace(job)}) == 1


def try_connect(farm):
    try:
        farm.connect()
        return farm.redis.call("PING") == "PONG"
    except (OSError, RuntimeError, ConnectionError):
        return False


def test_two_workers_share_a_job():
    with Farm(workers="cpu:2") as farm:
        wait_for(lambda: farm.log().count("ready about=") == 2, "both are there")
        job = farm.submit(images=300, how="ms=10")
        farm.wait(job)
        farm.check_output(job, 300)
        counts = [sum(row[0] == pid for row in farm.trace(job)) for pid in {row[0] for row in farm.trace(job)}]
        assert len(counts) == 2 and min(counts) > 60, counts


def test_daemon_killed_and_started_again():
    with Farm() as farm:
        job = farm.submit(images=80, how="ms=10")
        pid = farm.running(job, done=20)["pid"]
        redis = farm.redis_pid()
        farm.stop(signal.SIGKILL)
        wait_for(lambda: not alive(pid), "the worker notices that the daemon is gone")
        farm.start()
        assert farm.redis_pid() == redis  # taken over
        farm.wait(job)
        farm.check_output(job, 80)
        assert {row[0] for row in farm.trace(job)} > {pid}
        assert farm.stop() == 0
        assert not alive(redis)


def test_redis_away_longer_than_a_lease():
    farm = Farm(standalone=False)
    redis = start_redis(farm.folder)
    try:
        farm.start()
        farm.wait(farm.submit(images=20, how="ms=0"))  # fast, so that the next range is a long one
        job = farm.submit(images=250, how="ms=20")
        lease = farm.running(job, done=10)  # past the first range, which is short until the speed is known
        farm.redis.close()
        redis.terminate()
        redis.wait()
        made = len(farm.trace(job))
        time.sleep(2.5 * LEASE_MS / 1000)
        assert len(farm.trace(job)) > made  # work goes on
        redis = start_redis(farm.folder)
        farm.connect()
        state = farm.wait(job)
        farm.check_output(job, 250)
        trace = farm.trace(job)
        assert {row[0] for row in trace} == {lease["pid"]}
        assert all(row[3] == "made" for row in trace)
        assert "reaped" not in farm.log() and "lost:" not in farm.log()
        assert state["errors"] in (0, None)
        assert farm.stop() == 0
    finally:
        redis.kill()
        redis.wait()
        farm.__exit__(None, None, None)


def test_frozen_redis_is_noticed():
    """No event comes from a server that stops without closing; the deadlines see it."""
    with Farm() as farm:
        job = farm.submit(images=30, how="ms=10")
        farm.running(job, done=5)
        pid = farm.redis_pid()
        os.kill(pid, signal.SIGSTOP)
        try:
            wait_for(lambda: "did not answer in time" in farm.log(), "the connection is given up")
        finally:
            os.kill(pid, signal.SIGCONT)
        farm.wait(job)
        farm.check_output(job, 30)


def test_a_flushed_redis_gets_its_library_back():
    with Farm() as farm:
        farm.wait(farm.submit(images=2))
        farm.redis.call("FUNCTION", "FLUSH")
        wait_for(lambda: "ddq" in str(farm.redis.call("FUNCTION", "LIST")), "the library is loaded again")
        wait_for(lambda: farm.log().count("connected") >= 2, "greeted again")
        farm.wait(farm.submit(images=2))


def test_systemd_is_told():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        farm = Farm(WATCHDOG_USEC="400000")
        heard.bind(str(farm.folder / "notify"))
        heard.settimeout(DEADLINE)
        farm.env["NOTIFY_SOCKET"] = str(farm.folder / "notify")
        words = []

        def listen():
            try:
                while True:
                    words.append(heard.recv(4096).decode())
            except OSError:
                pass

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        with farm:
            wait_for(lambda: any("READY=1" in w for w in words), "READY=1")
            count = words.count("WATCHDOG=1")
            wait_for(lambda: words.count("WATCHDOG=1") >= count + 3, "the watchdog is fed")
            os.kill(farm.daemon.pid, signal.SIGSTOP)
            wait_for(lambda: state_of(farm.daemon.pid) == "T", "it stands still")
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as marker:
                marker.sendto(b"stopped", str(farm.folder / "notify"))
            time.sleep(0.5)
            wait_for(lambda: "stopped" in words, "all earlier messages were received")
            assert words[-1] == "stopped"  # a stalled loop sends no watchdog message
            os.kill(farm.daemon.pid, signal.SIGCONT)
            farm.daemon.terminate()
            wait_for(lambda: any("STOPPING=1" in w for w in words), "STOPPING=1")

"""A Redis that is not the daemon's own, shared by several hosts, upgraded, flushed, and away at the wrong moment."""
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess

import pytest

from fake_farm import ROOT, SERVER, Farm, start_redis
from resp import Redis
from wait import wait_for


@pytest.fixture
def redis():
    """A farm that is not started yet, and the Redis it will use."""
    farm = Farm("--host", "h1", standalone=False)
    server = start_redis(farm.folder)
    farm.server = server
    yield farm
    farm.stop()
    if farm.server:
        farm.server.kill()
        farm.server.wait()
    shutil.rmtree(farm.folder, ignore_errors=True)


@pytest.fixture
def second(redis):
    """Another host on the same Redis and the same output folder."""
    farm = Farm("--host", "h2", standalone=False)
    farm.socket, farm.root = redis.socket, redis.root
    yield farm
    farm.stop()
    shutil.rmtree(farm.folder, ignore_errors=True)


def kill_host(farm):
    """One host loses its power."""
    pids = farm.leftovers()
    farm.daemon.kill()
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # the one that looks at files goes with its daemon
            os.kill(pid, signal.SIGKILL)
    farm.daemon.wait()
    farm.daemon.stdout.close()
    farm.daemon = None


def test_two_hosts_share_a_job(redis, second):
    redis.start()
    second.start()
    job = redis.submit(images=300, how="ms=8")
    redis.wait(job)
    redis.check_output(job, 300)
    counts = sorted(sum(row[0] == pid for row in redis.trace(job)) for pid in {row[0] for row in redis.trace(job)})
    assert len(counts) == 2 and counts[0] > 60, counts


def test_a_host_dies(redis, second):
    redis.start()
    second.start()
    job = redis.submit(images=200, how="ms=10")
    wait_for(lambda: len({row[0] for row in redis.trace(job)}) == 2 and len(redis.trace(job)) > 40, "both work")
    kill_host(redis)
    redis.connect()
    redis.wait(job)
    redis.check_output(job, 200)
    wait_for(lambda: "reaped=" in second.log(), "the other host finds its leases")


def test_a_frozen_daemon_does_no_harm(redis, second):
    """Its leases are reassigned; when it resumes, its late reports are stale and its worker is stopped."""
    redis.start()
    redis.wait(redis.submit(images=20, how="ms=0"))  # fast, so that the next range is a long one
    job = redis.submit(images=60, how="ms=40")
    lease = redis.running(job, done=10)
    os.kill(redis.daemon.pid, signal.SIGSTOP)
    os.kill(lease["pid"], signal.SIGSTOP)
    second.start()
    wait_for(lambda: {row[0] for row in redis.trace(job)} != {lease["pid"]}, "the other host works on it")
    os.kill(lease["pid"], signal.SIGCONT)
    os.kill(redis.daemon.pid, signal.SIGCONT)
    redis.wait(job)
    redis.check_output(job, 60, again=1)  # the one it was making when it froze
    wait_for(lambda: " lost: the lease expired" in redis.log(), "it is told that the range is lost")
    other = redis.submit(images=3)
    redis.wait(other)
    assert redis.stop() == 0


def test_a_finish_that_redis_never_heard_is_told_by_the_next_daemon(redis):
    redis.start()
    redis.wait(redis.submit(images=8))  # so that the speed is known and the next job is one range
    job = redis.submit(images=20, how="ms=20")
    lease = redis.running(job, done=2)
    redis.redis.close()
    redis.server.terminate()
    redis.server.wait()
    wait_for(lambda: len(redis.trace(job)) >= lease["hi"], "the range is made")
    journal = redis.state / "journal"
    wait_for(lambda: f'"{lease["token"]}"' in "".join(line for line in journal.read_text().splitlines() if "finish" in line),
             "how it ended is on disk")
    redis.stop(signal.SIGKILL)
    redis.server = start_redis(redis.folder)
    redis.start()
    redis.wait(job)
    redis.check_output(job, 20)
    assert all(row[3] == "made" for row in redis.trace(job)), "nothing was even looked at twice"
    assert f"token={lease['token']} report=ddq_finish status=ok" in redis.log()


def test_a_held_job_gives_its_worker_free_and_goes_on_later(redis):
    redis.start()
    job = redis.submit(images=400, how="ms=10")
    redis.running(job, done=5)
    redis.redis.fcall("hold", id=job, user="ada", reason="wait for me")
    redis.wait(redis.submit(images=3))
    found = redis.show(job)
    assert found["state"] == "held" and found["reason"] == "wait for me" and not found["leases"]
    redis.redis.fcall("release", id=job, user="ada")
    count = len(redis.trace(job))
    wait_for(lambda: len(redis.trace(job)) > count + 5, "it goes on")
    redis.redis.fcall("cancel", id=job, user="ada")
    assert all(row[3] == "made" for row in redis.trace(job))


def test_an_emptied_redis_leaves_no_worker_stuck(redis):
    redis.start()
    redis.wait(redis.submit(images=20, how="ms=0"))  # fast, so that the next range is a long one
    job = redis.submit(images=400, how="ms=50")
    lease = redis.running(job, done=5)
    redis.redis.call("FLUSHALL")
    wait_for(lambda: f"token={lease['token']} lost" in redis.log(), "the lease is known to be gone")
    redis.jobs += 10
    redis.wait(redis.submit(images=3))


# --- the library ---

def library(text_of_check):
    return ("#!lua name=ddq\nredis.register_function('ddq_check', function() return '" + text_of_check + "' end)\n"
            "redis.register_function('ddq_claim', function() return '{\"status\":\"empty\"}' end)\n")


def test_an_older_library_is_replaced(redis):
    connection = Redis(str(redis.socket))
    connection.call("FUNCTION", "LOAD", library('{"status":"ok","version":0}'))
    redis.start()
    redis.wait(redis.submit(images=2))
    loaded = connection.call("FUNCTION", "LIST", "WITHCODE")[0]
    code = loaded[loaded.index("library_code") + 1]
    texts = list((ROOT / "queue").glob("*.lua"))
    assert len(texts) > 10
    for text in texts:
        assert text.read_text() in code, text
    connection.close()


def test_a_fixed_library_of_the_same_version_is_replaced_at_the_start(redis):
    connection = Redis(str(redis.socket))
    connection.call("FUNCTION", "LOAD", library('{"status":"ok","version":1}'))
    redis.start()
    redis.wait(redis.submit(images=2))
    connection.close()


def test_a_newer_library_is_left_alone(redis):
    connection = Redis(str(redis.socket))
    connection.call("FUNCTION", "LOAD", library('{"status":"ok","version":7}'))
    redis.refused(code=69, words=["version 7", "install the newer ddqd"])
    assert "version\":7" in str(connection.call("FUNCTION", "LIST", "WITHCODE"))
    connection.close()


# --- what cannot be read ---

@pytest.mark.parametrize("spec", ['{"seed":NaN}', "nothing", '{"a":' + "[" * 1500 + "]" * 1500 + "}"])
def test_a_spec_that_is_no_json_fails_its_own_job(redis, spec):
    """As an older library may have taken it: the worker is free for the next job."""
    redis.start()
    job = redis.submit(images=8, asks={"hold": True})
    redis.redis.call("HSET", f"{{ddq}}:job:{job}", "spec", spec)
    redis.redis.fcall("release", id=job, user="ada")
    assert "wanted a JSON object" in redis.wait(job, state="failed")["reason"]
    redis.wait(redis.submit(images=3))


UNREADABLE = r"""#!lua name=ddq
redis.register_function('ddq_claim', function()
    if redis.call('INCR', '{ddq}:claims') > 1 then return '{"status":"empty"}' end
    return '{"status":"ok","spec":NaN,"folder":"\\"token\\":\\"7\\"","token":"1795942486880000","lo":0x1}'
end)
redis.register_function('ddq_fail', function(keys, args)
    redis.call('SET', '{ddq}:failed', args[1])
    return '{"status":"ok"}'
end)
local names = {'renew', 'reap', 'beat', 'check', 'giveback', 'finish'}
for i = 1, #names do
    redis.register_function('ddq_' .. names[i], function() return '{"status":"ok","leases":["x",1],"drains":[1]}' end)
end
"""


def test_an_answer_that_cannot_be_read_ends_its_lease(redis):
    redis.start()
    redis.redis.call("FUNCTION", "LOAD", "REPLACE", UNREADABLE)
    failed = json.loads(wait_for(lambda: redis.redis.call("GET", "{ddq}:failed"), "the lease is ended by its token"))
    assert (failed["token"], failed["policy"]) == ("1795942486880000", "retry") and "the queue answered" in failed["text"]
    assert redis.daemon.poll() is None


# --- addresses ---

def test_over_tcp_with_a_password_and_a_database():
    farm = Farm(standalone=False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([SERVER, "--port", str(port), "--bind", "127.0.0.1", "--unixsocket", farm.socket,
                               "--requirepass", "s3cret", "--appendonly", "yes", "--dir", farm.folder, "--save", ""],
                              stdout=subprocess.DEVNULL)
    try:
        wait_for(farm.socket.exists, "redis-server")
        url = f"redis://:s3cret@127.0.0.1:{port}/3"
        farm.flags += ["--redis", url]
        farm.daemon = farm.spawn()
        assert farm.daemon.stdout.readline() == f"ready redis://127.0.0.1:{port}/3\n"
        farm.redis = Redis(str(farm.socket))
        farm.redis.call("AUTH", "s3cret")
        assert farm.redis.call("DBSIZE") == 0
        farm.redis.call("SELECT", 3)
        farm.wait(farm.submit(images=3))
        assert "s3cret" not in farm.log()
        assert farm.stop() == 0
    finally:
        farm.stop()
        server.kill()
        server.wait()
        shutil.rmtree(farm.folder)

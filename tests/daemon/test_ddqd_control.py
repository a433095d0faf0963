"""Start, stop, reload, and everything that ddqd refuses."""
import http.client
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from fake_farm import BIN, SERVER, WORKER, Farm, alive, start_redis
from resp import FakeServer, Redis
from wait import DEADLINE, wait_for

GOOD_INFO = "loading:0\nmaxmemory_policy:noeviction\naof_enabled:1\nrole:master\n"


# --- stop ---

def test_sigterm_gives_the_range_back_and_loses_nothing():
    with Farm("--drain-s", "3600") as farm:
        job = farm.submit(images=500, how="ms=10")
        pid = farm.running(job, done=20)["pid"]
        redis = farm.redis_pid()
        assert farm.stop() == 0
        assert not alive(pid) and not alive(redis) and not farm.leftovers() and "killed by signal" not in farm.log()
        made = len(farm.trace(job))
        farm.start()
        state = farm.show(job)
        assert state["errors"] in (0, None)
        wait_for(lambda: len(farm.trace(job)) > made + 10, "it goes on")
        farm.redis.fcall("cancel", id=job, user="ada")
        assert all(row[3] == "made" for row in farm.trace(job))


def test_an_idle_daemon_stops_at_once():
    with Farm("--drain-s", "3600", workers="cpu:3") as farm:
        farm.daemon.send_signal(signal.SIGINT)
        assert farm.daemon.wait(DEADLINE) == 0
        assert not farm.leftovers() and "killed by signal" not in farm.log()


def test_a_second_sigterm_does_not_wait():
    with Farm("--drain-s", "3600") as farm:
        job = farm.submit(images=20, how="always=deaf ms=1")
        pid = farm.running(job, done=4)["pid"]
        wait_for(lambda: "misbehaves: deaf" in farm.log(), "it looks at no message")
        farm.daemon.terminate()
        wait_for(lambda: "stage=serving->draining" in farm.log(), "the first one was seen")
        assert farm.daemon.poll() is None and alive(pid)
        assert farm.stop() == 0
        assert not alive(pid) and "killed by signal 9" in farm.log()


def test_a_drain_has_a_deadline():
    with Farm("--drain-s", "1") as farm:
        job = farm.submit(images=20, how="always=deaf ms=1")
        pid = farm.running(job, done=4)["pid"]
        wait_for(lambda: "misbehaves: deaf" in farm.log(), "it looks at no message")
        start = time.monotonic()
        assert farm.stop() == 0
        assert 0.9 < time.monotonic() - start and not alive(pid) and "killed by signal 15" in farm.log()


# --- reload ---

def test_sighup_reads_models_and_workers_again():
    with Farm(workers="cpu:1") as farm:
        farm.flags += []
        pid = farm.worker_pids()
        waiting = farm.submit(images=4, model="other")
        time.sleep(0.3)
        assert farm.show(waiting)["state"] in ("queued", "waiting")
        farm.write_conf(["m", "other"])
        farm.daemon.send_signal(signal.SIGHUP)
        farm.wait(waiting)
        assert set(pid) <= set(farm.leftovers()) and " gone: " not in farm.log()  # no worker was restarted for it

        assert "takes a restart" not in farm.log()
        farm.write_conf(["m", "other"], "http = 9102\n")
        farm.daemon.send_signal(signal.SIGHUP)
        wait_for(lambda: "http = 9102 needs a restart" in farm.log(), "a setting that cannot change is reported")

        farm.conf.write_text("[daemon]\nworker = 3\n")
        farm.daemon.send_signal(signal.SIGHUP)
        wait_for(lambda: "reload refused" in farm.log() and "'workers'" in farm.log(), "the error is logged")
        farm.wait(farm.submit(images=4, model="other"))


def test_sighup_changes_the_number_of_workers():
    with Farm() as farm:
        farm.stop()
        farm.workers = None
        farm.write_conf(["m"], "workers = cpu:1\n")
        place = farm.command().index("--workers")
        farm.command = lambda *more, full=farm.command: drop(full(*more), place)
        farm.start()

        def count():
            return len(farm.worker_pids())

        wait_for(lambda: count() == 1, "one worker")
        job = farm.submit(images=100, how="ms=10")
        farm.running(job, done=5)
        farm.write_conf(["m"], "workers = cpu:3\n")
        farm.daemon.send_signal(signal.SIGHUP)
        wait_for(lambda: count() == 3, "three workers")
        farm.write_conf(["m"], "workers = cpu:2\n")
        farm.daemon.send_signal(signal.SIGHUP)
        wait_for(lambda: count() == 2, "two workers")
        farm.wait(job)
        farm.check_output(job, 100)
        assert farm.show(job)["errors"] in (0, None)


def drop(words, place):
    return words[:place] + words[place + 2:]


def test_sigusr1_dumps_the_tables():
    with Farm() as farm:
        job = farm.submit(images=50, how="ms=20")
        farm.running(job)
        farm.daemon.send_signal(signal.SIGUSR1)
        wait_for(lambda: "dump worker=cpu:0" in farm.log() and f"dump lease worker=cpu:0 job={job}" in farm.log(), "dump")


# --- descriptors ---

@pytest.mark.parametrize("closed", ["<&- >&- 2>&-", ">&- 2>&-", "<&-", "2>&-"])
def test_a_daemon_without_standard_descriptors(closed):
    """Nothing that the daemon prints goes into a file that took the number of a closed descriptor."""
    farm = Farm()
    words = [str(word) for word in farm.command()]
    farm.daemon = subprocess.Popen(["sh", "-c", f'exec "$@" {closed}', "sh", *words], env=farm.env, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        wait_for(farm.socket.exists, "the daemon's redis-server")
        wait_for(lambda: connected(farm), "the daemon serves")
        farm.wait(farm.submit(images=5))
        farm.running(farm.submit(images=1000, how="ms=20"))
        journal = (farm.state / "journal").read_text()
        assert all(line.startswith('{"') for line in journal.splitlines()), journal
        for name in ("lock", "boot"):
            assert len((farm.state / name).read_text()) <= 33
        farm.daemon.kill()
        farm.daemon.wait()
        farm.daemon.stdout.close()
        farm.start()
        assert "is no record" not in farm.log() and "is given back" in farm.log()
    finally:
        farm.stop()
        shutil.rmtree(farm.folder)


def connected(farm):
    try:
        farm.connect()
        return farm.redis.fcall("hosts")["hosts"]
    except (OSError, RuntimeError):
        return None


def test_a_journal_with_foreign_lines_is_used_and_kept():
    with Farm() as farm:
        farm.running(farm.submit(images=1000, how="ms=20"))
        farm.daemon.kill()
        farm.daemon.wait()
        farm.daemon.stdout.close()
        journal = farm.state / "journal"
        text = "12:00:00.000 info host=a ready\n" + journal.read_text() + "and this\x1b[31m\n"
        journal.write_text(text)
        farm.start()
        line = next(line for line in farm.log().splitlines() if "is no record" in line)
        assert "warning" in line and "line 1" in line and "2 such lines" in line and "journal.foreign-1" in line, line
        assert (farm.state / "journal.foreign-1").read_text() == text
        assert "is given back" in farm.log()


def test_check_beside_a_daemon_and_on_folders_of_others():
    def look(farm):
        check = subprocess.run(farm.command("--check"), capture_output=True, text=True, env=farm.env, timeout=DEADLINE)
        assert check.returncode == 0 and "FAILED" not in check.stdout, check
        return check.stdout

    def files(folder):
        return {path: (path.lstat().st_mtime_ns, path.lstat().st_uid, path.lstat().st_size) for path in folder.rglob("*")
                if "redis" not in path.name and "append" not in str(path) and path.suffix != ".aof"}

    with Farm() as farm:
        farm.wait(farm.submit(images=3))
        before = files(farm.state)
        for _ in range(3):
            told = look(farm)
            assert f"used by the ddqd that runs (pid {farm.daemon.pid})" in told, told
            assert "schema 2, takes changes" in told and "redis version   ok" in told, told
        assert files(farm.state) == before and farm.daemon.poll() is None
        farm.wait(farm.submit(images=3))
        farm.stop()
        for name in ("lock", "boot", "journal"):
            (farm.state / name).unlink()
        before = files(farm.folder)
        assert "state folder    ok" in look(farm)
        assert files(farm.folder) == before  # nothing of root's stands in the way of the daemon's user
        check = subprocess.run(farm.command("--output-root", farm.conf, "--check"), capture_output=True, text=True, env=farm.env, timeout=DEADLINE)
        assert check.returncode != 0 and "output root     FAILED" in check.stdout and "Not a directory" in check.stdout, check


def test_output_that_is_not_written_is_an_error():
    farm = Farm()
    for words in (["ddqd", "--print-config", "--conf", farm.conf], ["ddqd", "--print-lifecycle"], ["ddq", "help"],
                  ["ddq-worker", "describe", "--markdown"]):
        words = [str(BIN / words[0]), *map(str, words[1:])]
        for where, said in ((">/dev/full", "No space left"), (">&-", "Bad file descriptor")):
            done = subprocess.run(["sh", "-c", f'exec "$@" {where}', "sh", *words], capture_output=True, text=True, env=farm.env)
            assert done.returncode == 1 and f"cannot write the output: {said}" in done.stderr, (words, where, done)
    shutil.rmtree(farm.folder)


# --- refusals ---

def test_two_daemons_on_one_state():
    with Farm() as farm:
        farm.refused(code=75, words=[f"pid {farm.daemon.pid}", "--state"])
        farm.wait(farm.submit(images=2))


def test_two_daemons_of_one_host_name():
    with Farm("--host", "h1") as farm:
        other = Farm("--host", "h1", standalone=False)
        other.socket = farm.socket
        other.refused(code=75, words=["h1", "--host"])
        shutil.rmtree(other.folder)
        farm.wait(farm.submit(images=2))


def test_two_daemons_on_one_gpu():
    with Farm(workers="cuda:GPU-00-11") as farm:
        other = Farm(workers="cuda:GPU-00-11")
        other.env["DDQ_LOCK_DIR"] = str(farm.folder)
        other.refused(code=75, words=["GPU-00-11", f"pid {farm.daemon.pid}", "workers"])
        shutil.rmtree(other.folder)
        farm.wait(farm.submit(images=2))


def test_a_lock_that_cannot_be_had_costs_its_worker_alone():
    """A FIFO at the lock's path once stopped the whole daemon, without a word."""
    farm = Farm(workers="cpu:1,cuda:GPU-00-11")
    os.mkfifo(farm.folder / "ddq-GPU-00-11.lock", 0o444)
    with farm:
        farm.wait(farm.submit(images=2))
        assert "no file stands there" in farm.log() or "that is no file" in farm.log(), farm.log()


def unfit_farm():
    return Farm(standalone=False)


@pytest.mark.parametrize("info, words", [
    ("redis_version:6.0.16\n" + GOOD_INFO, ["6.0.16", "7.0 or newer"]),
    ("redis_version:7.0.15\nmaxmemory_policy:allkeys-lru\naof_enabled:1\nrole:master\n", ["allkeys-lru", "noeviction"]),
    ("redis_version:7.0.15\nmaxmemory_policy:noeviction\naof_enabled:1\nrole:slave\n", ["slave", "master"]),
])
def test_an_unfit_redis_is_refused(info, words):
    farm = unfit_farm()
    server = FakeServer(str(farm.socket), info)
    farm.refused(code=69, words=words)
    check = subprocess.run(farm.command("--check"), capture_output=True, text=True, env=farm.env)
    assert check.returncode == 69 and all(w in check.stdout for w in words), check.stdout
    server.close()
    shutil.rmtree(farm.folder)


def test_a_redis_without_a_file_is_refused():
    farm = unfit_farm()
    server = start_redis(farm.folder, "--appendonly", "no")
    try:
        farm.refused(code=69, words=["append-only", "appendonly yes"])
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(farm.folder)


def test_a_wrong_password_is_refused():
    farm = unfit_farm()
    server = start_redis(farm.folder, socket="other.sock")
    server.kill(), server.wait()
    server = subprocess.Popen([SERVER, "--port", "0", "--unixsocket", farm.socket, "--requirepass", "secret",
                               "--appendonly", "yes", "--dir", farm.folder], stdout=subprocess.DEVNULL)
    wait_for(farm.socket.exists, "redis-server")
    try:
        farm.refused(code=77, words=["NOAUTH", "password"])
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(farm.folder)


def test_nobody_there():
    farm = unfit_farm()
    farm.refused(code=69, words=["redis unix:", "No such file"])
    check = subprocess.run(farm.command("--check"), capture_output=True, text=True, env=farm.env)
    assert check.returncode == 69 and "No such file" in check.stdout, check.stdout
    shutil.rmtree(farm.folder)


@pytest.mark.parametrize("how, code, words", [
    ("version", 1, ["version 99", "install both from one build"]),
    ("exit", 1, ["ended with status 4", "no device found"]),
])
def test_an_unfit_worker_is_refused(how, code, words):
    farm = Farm(FAKE_WORKER=how)
    farm.refused(code=code, words=words)
    assert not farm.leftovers()
    shutil.rmtree(farm.folder)


def test_mistakes_in_the_call():
    farm = Farm()
    for words, code, said in [
        (["--worker-program", "/nonexistent/worker"], 1, ["/nonexistent/worker", "--worker-program"]),
        (["--workers", "tpu"], 2, ["'tpu'", "cuda"]),
        (["--output-root", "/proc/nothing"], None, ["output root", "/proc/nothing"]),
        (["--conf", "/nonexistent.conf"], None, ["/nonexistent.conf"]),
        (["--log-level", "loud"], 2, ["loud", "trace"]),
        (["--drain-s", "soon"], 2, ["--drain-s is 'soon'"]),
        (["surplus"], 2, ["'surplus'"]),
        (["--no-such-flag"], 2, ["--no-such-flag"]),
    ]:
        done = subprocess.run(farm.command(*words), capture_output=True, text=True, env=farm.env, timeout=DEADLINE)
        assert done.returncode == code if code is not None else done.returncode not in (0, None), (words, done)
        for word in said:
            assert word in done.stderr, done.stderr
    assert not farm.leftovers()
    shutil.rmtree(farm.folder)


# --- status ---

def get(port, path, method="GET"):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_health_and_metrics_over_http():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    farm = Farm()
    farm.write_conf(["m"], f"http = 127.0.0.1:{port}\n")
    with farm:
        farm.wait(farm.submit(images=7))
        assert get(port, "/healthz") == (200, "ok\n")
        code, text = get(port, "/metrics")
        values = dict(line.split() for line in text.splitlines() if not line.startswith("#"))
        assert code == 200 and values["ddq_images_total"] == "7" and values["ddq_redis_ready"] == "1"
        assert values['ddq_workers{state="idle"}'] == "1" and int(values["ddq_ranges_finished_total"]) >= 2
        assert get(port, "/")[0] == 404 and get(port, "/metrics", "POST")[0] == 405
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]  # no client is locked out for long
        idle[0].sendall(b"GET /" + b"x" * 10000)
        wait_for(lambda: get_or_none(port) == (200, "ok\n"), "patience has an end")
        for one in idle:
            one.close()
        farm.stop()
        farm.write_conf(["m"], "http = here\n")
        farm.refused(code=2, words=["http = here", "127.0.0.1:9102"])
        farm.write_conf(["m"], f"http = {port}\n")
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("127.0.0.1", port))
            other.listen()
            farm.refused(code=75, words=[f"http = {port}", "in use"])


def get_or_none(port):
    try:
        return get(port, "/healthz")
    except (OSError, http.client.HTTPException):
        return None


def test_it_explains_itself():
    farm = Farm()
    run = lambda *words: subprocess.run([BIN / "ddqd", *words], capture_output=True, text=True, env=farm.env, timeout=DEADLINE)
    assert run("--version").stdout.startswith("ddqd ")
    assert "--standalone" in run("--help").stdout
    assert "| queued" in run("--print-lifecycle").stdout or "queued" in run("--print-lifecycle").stdout
    printed = run("--conf", farm.conf, "--state", "/s/t", "--workers", "cpu:7", "--print-config").stdout
    assert "state = /s/t" in printed and "workers = cpu:7" in printed and "lease_ms = 1500" in printed
    (farm.folder / "m.pt").unlink()
    check = run("--conf", farm.conf, "--state", farm.state, "--output-root", farm.root, "--workers", "cpu:1",
                "--worker-program", WORKER, "--standalone", "--check")
    assert check.returncode == 102 and "[model m] " in check.stdout and "m.pt" in check.stdout, check.stdout
    (farm.folder / "m.pt").touch()
    check = run("--conf", farm.conf, "--state", farm.state, "--output-root", farm.root, "--workers", "cpu:1",
                "--worker-program", WORKER, "--standalone", "--check")
    assert check.returncode == 0 and "FAILED" not in check.stdout, check.stdout
    assert not farm.state.exists() and not farm.root.exists()  # a check changes nothing
    shutil.rmtree(farm.folder)

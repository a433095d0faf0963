"""ddq run: the daemon it starts here is a script that does what ddqd does."""
import json
import os
import shutil
import signal
import subprocess

import pytest

from session import DDQ, ROOT, Session
from wait import DEADLINE


FAKE_DAEMON = """#!/usr/bin/python3
import json, os, subprocess, sys, time
state = sys.argv[sys.argv.index("--state") + 1]
assert "--standalone" in sys.argv
print("a line for the log", flush=True)
if os.path.exists(state + "/refuse"):
    sys.exit("ddqd: this machine is not to be used")
socket = state + "/redis.sock"
server = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--dir", state], stdout=subprocess.DEVNULL)
open(state + "/pids", "w").write(f"{os.getpid()} {server.pid} {os.getsid(0)}")
def call(name, **args):
    text = subprocess.run(["redis-cli", "-s", socket, "FCALL", "ddq_" + name, "1", "{ddq}", json.dumps(args)], capture_output=True, text=True).stdout
    return json.loads(text) if text.startswith("{") else {}
while True:
    call("beat", host="here", boot="b", pid=os.getpid(), version="0.1.0", workers=[], models={"digits": {}}, references=[], root="/", drain=False)
    if not os.path.exists(state + "/lazy"):
        lease = call("claim", host="here", worker="cpu:0", pid=1, device="cpu", root=state, lease_ms=60000, chunk_ms=1000,
                     offers=["model:digits"], warm=[])
        if lease.get("token"):
            call("finish", token=lease["token"], upto=lease["hi"], ms=10)
    time.sleep(0.02)
"""


@pytest.fixture
def bench():
    """A folder with the client and a ddqd beside it that is a script; nothing runs yet."""
    session = Session()
    session.stop()
    for name in ("bin", ".local", ".local/state", ".local/state/ddq"):
        (session.folder / name).mkdir()
    shutil.copy(DDQ, session.folder / "bin/ddq")
    (session.folder / "bin/ddqd").write_text(FAKE_DAEMON)
    (session.folder / "bin/ddqd").chmod(0o755)
    session.state = session.folder / ".local/state/ddq"
    session.env.pop("DDQ_REDIS")
    session.job = json.dumps({"model": "digits", "t_list": [0], "split_t": 2, "images": 3})
    yield session
    if (session.state / "pids").exists():
        for pid in map(int, (session.state / "pids").read_text().split()[:2]):
            os.kill(pid, signal.SIGKILL)
    session.close()


def run(session, *words):
    return subprocess.Popen([session.folder / "bin/ddq", "run", "-", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, env=session.env, cwd=session.folder)


def test_run_starts_a_daemon_once(bench):
    out, err = run(bench).communicate(bench.job, timeout=DEADLINE)
    assert "starting" in err and "ddqd.log" in err and "done 100%" in err, err
    pid, _, session = map(int, (bench.state / "pids").read_text().split())
    os.kill(pid, 0)  # it outlives the client, in its own session
    assert session == pid and "a line for the log" in (bench.state / "ddqd.log").read_text()
    second = run(bench, "--json")
    out, err = second.communicate(bench.job, timeout=DEADLINE)
    assert second.returncode == 0 and "starting" not in err, err
    assert json.loads(out.splitlines()[-1])["state"] == "done"


def test_run_of_a_daemon_that_ends_says_why(bench):
    (bench.state / "refuse").write_text("")
    first = run(bench)
    _, err = first.communicate(bench.job, timeout=DEADLINE)
    assert first.returncode == 69 and "not to be used" in err, err


def test_ctrl_c_in_run_leaves_daemon_and_job(bench):
    (bench.state / "lazy").write_text("")
    first = run(bench)
    first.stdin.write(bench.job)
    first.stdin.close()
    first.stdin = None
    job = None
    while not job:
        line = first.stderr.readline()
        assert line, "it ended"
        job = line.split()[2] if line.startswith("ddq: job ") else line.split()[1] if line.startswith("job ") else None
    first.send_signal(signal.SIGINT)
    _, err = first.communicate(timeout=DEADLINE)
    assert first.returncode == 130 and f"ddq watch {job}" in err, err
    os.kill(int((bench.state / "pids").read_text().split()[0]), 0)
    bench.env["DDQ_REDIS"] = f"unix:{bench.state}/redis.sock"
    assert bench.json("show", job)["state"] == "queued"


def test_run_starts_nothing_for_a_redis_that_is_named(session):
    done = session.ddq("run", "digits-demo", code=69)
    assert "no ddqd serves" in done.stderr and session.json("ls")["jobs"] == []


def test_an_installed_program_has_its_recipes_beside_it(bench):
    (bench.folder / "share/ddq").mkdir(parents=True)
    shutil.copytree(ROOT / "recipes", bench.folder / "share/ddq/recipes")
    done = subprocess.run([bench.folder / "bin/ddq", "recipes", "-q"], env=bench.env, capture_output=True, text=True)
    assert "l-teacher-81" in done.stdout.split(), done

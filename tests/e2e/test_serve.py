"""ddq-worker serve: the worker's end of the line protocol, driven by hand."""
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time

import numpy
import pytest
from PIL import Image

from harness import BIN, DIGITS, clean_env, digest
from test_exec import MEASURE, ONE_STEP, TEACHER_ALONE, execute
from wait import DEADLINE, wait_for

JOB = {**TEACHER_ALONE, **MEASURE, "images": 60, "batch": 4, "save": ["png", "codes", "features"]}


class Worker:
    def __init__(self, **env):
        self.line, theirs = socket.socketpair()
        self.process = subprocess.Popen([BIN / "ddq-worker", "serve", "--device", "cpu"], stderr=subprocess.PIPE, text=True,
                                        close_fds=False, env=clean_env(**env), preexec_fn=lambda: os.dup2(theirs.fileno(), 3))
        theirs.close()
        self.rest = b""
        self.seen = []
        self.hello = self.read("hello")

    def send(self, kind, **fields):
        self.line.sendall(json.dumps({"type": kind, **fields}).encode() + b"\n")

    def work(self, spec, lo, hi, phase="images", token="t", job="j", n=60):
        self.send("work", token=token, job=job, phase=phase, lo=lo, hi=hi, n=n, spec=spec)

    def read(self, *kinds):
        """The next message of one of these kinds; others are kept in `seen`."""
        end = time.monotonic() + DEADLINE
        while True:
            while b"\n" in self.rest:
                text, self.rest = self.rest.split(b"\n", 1)
                message = json.loads(text)
                if message["type"] in kinds:
                    return message
                self.seen.append(message)
            ready, _, _ = select.select([self.line], [], [], max(0, end - time.monotonic()))
            assert ready, f"no {kinds} after {DEADLINE} s; seen {self.seen[-5:]}"
            data = self.line.recv(65536)
            assert data, f"the worker closed the channel: {self.process.communicate()}"
            self.rest += data

    def answer(self):
        return self.read("finished", "yielded", "failed")

    def end(self):
        self.line.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@pytest.fixture
def worker():
    one = Worker()
    yield one
    one.end()


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exec")
    execute({**JOB, "output": f"{folder}/out"}, folder)
    return digest(folder / "out")


def test_hello(worker):
    assert worker.hello["version"] == 4 and worker.hello["pid"] == worker.process.pid
    assert worker.hello["device"] == "cpu" and worker.hello["memory_mib"] > 100


def test_ranges_in_any_order_and_a_report(worker, tmp_path, expected):
    spec = {**JOB, "output": f"{tmp_path}/out"}
    worker.work(spec, 37, 60, token="b")
    worker.work(spec, 0, 37, token="a")  # waits its turn
    for token, lo, hi in (("b", 37, 60), ("a", 0, 37)):
        done = worker.answer()
        assert done == {"type": "finished", "token": token, "upto": hi, "ms": done["ms"], "peak_mib": done["peak_mib"],
                        "files": done["files"]} and done["peak_mib"] > 0
        assert {"teacher", "tokenizer", "settings"} <= set(done["files"]) and all(done["files"].values())
    progress = [m for m in worker.seen if m["type"] == "progress" and m["token"] == "b"]
    assert all(37 <= m["upto"] <= 60 for m in progress) and progress[-1]["upto"] == 60
    assert any(m["rate"] > 0 for m in progress) and {"teacher"} <= {m["stage"] for m in progress}
    loaded = [m for m in worker.seen if m["type"] == "loaded"]
    assert len(loaded) == 1 and loaded[0]["warm"] == [JOB["teacher"]]  # the second range found them warm
    worker.work(spec, 0, 60, phase="report", token="r")
    report = worker.answer()
    assert report["type"] == "finished" and report["upto"] == 60
    assert f"FID: {report['fid']!r}\n" == (tmp_path / "out/fid.txt").read_text()
    assert digest(tmp_path / "out") == expected
    # Asked once more, everything is there.
    worker.work(spec, 0, 60, token="again")
    assert worker.answer()["upto"] == 60
    worker.work(spec, 0, 60, phase="report", token="again")
    answer = worker.answer()
    assert answer["fid"] == answer["metrics"]["fid"] == report["fid"]


@pytest.fixture
def remembering(tmp_path):
    """A worker with a cache of its own."""
    one = Worker(XDG_CACHE_HOME=f"{tmp_path}/cache")
    yield one
    one.end()


def test_an_evaluation_against_a_folder(remembering, tmp_path):
    """The reference's images are measured in the report, which counts none of them as the job's; figures come with the end."""
    rng = numpy.random.default_rng(3)
    numpy.save(tmp_path / "seen.npy", rng.integers(0, 256, (30, 16, 16, 3), dtype=numpy.uint8))
    (tmp_path / "real").mkdir()
    for i in range(240):  # a second or more: progress is sent twice a second
        Image.fromarray(rng.integers(0, 200, (16, 16, 3), dtype=numpy.uint8)).save(tmp_path / f"real/{i}.png")
    spec = {"kind": "evaluate", "images": f"{tmp_path}/seen.npy", "inception": JOB["inception"], "reference": f"{tmp_path}/real",
            "metrics": ["fid", "kid", "prdc", "is"], "output": f"{tmp_path}/out"}
    remembering.work(spec, 0, 1, phase="survey", token="s", n=0)
    assert remembering.answer()["images"] == 30
    remembering.work(spec, 0, 30, token="i", n=30)
    assert remembering.answer()["upto"] == 30
    remembering.work(spec, 30, 31, phase="report", token="r", n=30)
    done = remembering.answer()
    assert done["type"] == "finished" and done["upto"] == 31
    told = json.loads((tmp_path / "out/report.json").read_text())
    figures = {k: told[k] for k in ("fid", "is_mean", "is_std", "kid", "precision", "recall", "density", "coverage")}
    assert done["metrics"] == pytest.approx(figures, rel=1e-14)  # a message has fifteen digits
    progress = [m for m in remembering.seen if m["type"] == "progress" and m["token"] == "r"]
    assert {m["upto"] for m in progress} == {30} and any(m["stage"].startswith("reference ") for m in progress)
    assert told["reference"]["kind"] == "folder" and told["reference"]["images"] == 240


def test_yield_and_go_on_elsewhere(tmp_path, expected):
    worker = Worker(OMP_NUM_THREADS="1")  # slow, so that it is caught in the middle
    for attempt in range(20):  # on a loaded machine it may be done before the yield is sent
        spec = {**JOB, "batch": 2, "output": f"{tmp_path}/{attempt}/out"}
        worker.work(spec, 0, 60, token="first")
        while worker.read("progress")["stage"] != "features":
            pass  # the first batch is nearly done
        worker.send("yield", token="first")
        gave = worker.answer()
        if gave["type"] != "finished":
            break
    folder = tmp_path / str(attempt) / "out"
    assert gave["type"] == "yielded" and gave["token"] == "first" and 2 <= gave["upto"] < 60
    stamps = [os.stat(f"{folder}/images/{i:06d}.png").st_mtime_ns for i in range(gave["upto"])]
    other = Worker()
    other.work(spec, 0, 60)
    assert other.answer()["type"] == "finished"
    assert stamps == [os.stat(f"{folder}/images/{i:06d}.png").st_mtime_ns for i in range(gave["upto"])]
    other.work(spec, 0, 60, phase="report")
    assert other.answer()["type"] == "finished"
    assert digest(folder) == expected
    other.end()
    worker.end()


def test_work_that_waits_is_given_back(tmp_path):
    worker = Worker(OMP_NUM_THREADS="1")
    spec = {**JOB, "images": 5000, "batch": 2, "output": f"{tmp_path}/out"}  # minutes, unless it is given back
    worker.work(spec, 0, 5000, token="first")
    worker.work(spec, 0, 5000, token="second")
    while worker.read("progress")["stage"] != "features":
        pass
    worker.send("cancel", token="second")
    worker.send("yield", token="unknown")
    worker.send("yield", token="first")
    gave = worker.answer()
    assert gave["type"] == "yielded" and gave["token"] == "first" and 2 <= gave["upto"] < 5000
    assert worker.answer() == {"type": "yielded", "token": "second", "upto": 0}
    worker.end()


def test_failures_leave_the_worker_alive(worker, tmp_path):
    good = {**ONE_STEP, "output": f"{tmp_path}/out"}
    bad = [({**good, "student": "/nowhere.pt"}, "not_found", "fail", "/nowhere.pt"),
           ({**good, "t_list": [0, 99]}, "usage", "fail", "99"),
           ({**good, "sed": 1}, "usage", "fail", "did you mean seed?"),
           ({**good, "device": "cuda"}, "usage", "fail", "cuda"),
           ({**good, "output": "/dev/null/x"}, "usage", "fail", "/dev/null")]
    for spec, kind, policy, word in bad:
        worker.work(spec, 0, 12)
        failed = worker.answer()
        assert failed["type"] == "failed" and failed["upto"] == 0, failed
        assert (failed["kind"], failed["policy"]) == (kind, policy) and word in failed["text"], failed
    worker.work(good, 4, 900)
    assert "range 4 to 900" in worker.answer()["text"]
    worker.work(good, 0, 12)
    assert worker.answer()["type"] == "finished"


def test_alive_while_busy(worker, tmp_path):
    worker.work({**JOB, "images": 2000, "output": f"{tmp_path}/out"}, 0, 2000)
    assert worker.read("alive")
    worker.send("cancel", token="t")
    assert worker.answer()["type"] == "yielded"


def test_stop_finishes_the_batch(worker, tmp_path):
    worker.work({**JOB, "images": 2000, "output": f"{tmp_path}/out"}, 0, 2000)
    worker.read("progress")
    worker.send("stop")
    assert worker.answer()["type"] == "yielded"
    assert worker.process.wait(DEADLINE) == 0


def test_term_is_a_stop(worker, tmp_path):
    worker.work({**JOB, "images": 2000, "output": f"{tmp_path}/out"}, 0, 2000)
    worker.read("progress")
    worker.process.send_signal(signal.SIGTERM)
    assert worker.answer()["type"] == "yielded"
    assert worker.process.wait(DEADLINE) == 0


@pytest.mark.parametrize("busy", [False, True])
def test_the_daemon_is_gone(worker, tmp_path, busy):
    if busy:
        worker.work({**JOB, "images": 2000, "output": f"{tmp_path}/out"}, 0, 2000)
        worker.read("progress")
    worker.line.close()
    assert worker.process.wait(DEADLINE) == 0


def test_the_parent_dies(tmp_path):
    """The channel is held open by another process, and still the worker does not outlive its parent."""
    ours, theirs = socket.socketpair()
    script = ("import os, subprocess, sys, time\n"
              "p = subprocess.Popen([sys.argv[1], 'serve'], close_fds=False, preexec_fn=lambda: os.dup2(int(sys.argv[2]), 3))\n"
              "time.sleep(3600)")
    parent = subprocess.Popen([sys.executable, "-c", script, BIN / "ddq-worker", str(theirs.fileno())],
                              pass_fds=[theirs.fileno()], env=clean_env())
    hello = json.loads(ours.makefile().readline())
    parent.kill()
    parent.wait()

    def gone():
        try:
            with open(f"/proc/{hello['pid']}/stat") as stat:
                return stat.read().rsplit(")", 1)[1].split()[0] in "ZX"
        except (FileNotFoundError, ProcessLookupError):
            return True

    try:
        wait_for(gone, "the worker ends with its parent")
    except AssertionError:
        os.kill(hello["pid"], signal.SIGKILL)
        raise
    ours.close()
    theirs.close()


@pytest.mark.parametrize("line, word", [
    (b"hello\n", "not a JSON object"),
    (b'{"type":"work","token":"t"}\n', "lacks"),
    (b'{"type":"alive"}\n', "not for a worker"),
    (b"x" * ((1 << 20) + 5), "more than"),
], ids=["text", "lacks a field", "not for us", "too long"])
def test_nonsense_ends_it(worker, line, word):
    try:
        worker.line.sendall(line)
    except (BrokenPipeError, ConnectionResetError):
        pass
    assert worker.process.wait(DEADLINE) == 1
    assert word in worker.process.stderr.read()


def test_without_a_line():
    done = subprocess.run([BIN / "ddq-worker", "serve"], capture_output=True, text=True, env=clean_env())
    assert done.returncode == 2 and "descriptor 3" in done.stderr


def test_verbs():
    def run(*words):
        return subprocess.run([BIN / "ddq-worker", *words], capture_output=True, text=True, env=clean_env())

    assert run("--version").stdout.startswith("ddq-worker ")
    assert "cpu" in run("--list-devices").stdout
    assert "split_t" in run("describe", "sample").stdout
    test = run("--selftest")
    assert test.returncode == 0 and test.stdout.count("ok") >= 4, test.stdout
    assert run("--selftest", "--device", "GPU-none").returncode != 0
    for words, hint in ((["exce"], "Did you mean 'exec'?"), (["exec"], "an argument is missing"), (["describe", "x"], "sample"),
                        (["exec", "a", "b"], "'b'"), (["serve", "--threads", "x"], "number"), ([], "a verb is missing")):
        bad = run(*words)
        assert bad.returncode == 2 and hint in bad.stderr, bad.stderr
    assert run("exec", "/nowhere.json").returncode == 102

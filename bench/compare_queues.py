#!/usr/bin/python3
"""The queue compared with others on this machine, alternating within one run: Redis's SET, ddq, beanstalkd, RQ.

    bench/compare_queues.py [JOBS [ROUNDS]]     jobs a round (100), rounds (5); once without a log and once with an fsync a write

One client over a unix socket, one call after the other, timed in Python with the building and reading of the message,
so the cost of the client is the same for all; redis-benchmark measures SET without Python. "server" is the server's
processor time a call: on a busy machine it is what to compare. What is not installed is skipped by name: beanstalkd
(the Debian package), RQ (`pip install rq` into a virtual environment; RQ_PYTHON names its python).
"""
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/daemon"))
from resp import Redis  # noqa: E402

BIN = pathlib.Path(os.environ.get("DDQ_BIN", ROOT / "build/dev/bin"))
SPEC = {"kind": "sample", "model": "digits", "t_list": [0, 20], "split_t": 20, "images": 1, "seed": 0}
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def processor(pid):
    """Seconds of processor time of a process, to the nanosecond: the clock that clock_getcpuclockid(3) names."""
    return time.clock_gettime((~pid << 3) | 2)


class Times:
    """What the calls of one kind took, and the server for them."""

    def __init__(self, pid):
        self.pid, self.seconds, self.server = pid, [], 0.0

    def call(self, function, *words, **fields):
        before, start = processor(self.pid), time.perf_counter()
        answer = function(*words, **fields)
        self.seconds.append(time.perf_counter() - start)
        self.server += processor(self.pid) - before
        return answer

    def many(self, function, *words):
        """Calls that are timed elsewhere: function returns their seconds."""
        before = processor(self.pid)
        self.seconds += function(*words)
        self.server += processor(self.pid) - before

    def line(self, name):
        times = sorted(self.seconds)
        middle, late = statistics.median(times) * 1e6, times[int(len(times) * 0.99)] * 1e6
        return f"  {name:34} {middle:8.0f} {late:8.0f} {self.server / len(times) * 1e6:8.0f} {len(times) / sum(times):9.0f}   ({len(times)})"


class Server:
    def __init__(self, folder, name, command):
        self.socket = folder / f"{name}.sock"
        (folder / name).mkdir()
        self.process = subprocess.Popen([str(w) for w in command(self.socket, folder / name)], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        for _ in range(500):
            try:
                self.connect().close()
                return
            except OSError:
                time.sleep(0.01)
        raise SystemExit(f"{name} did not start")

    def connect(self):
        link = socket.socket(socket.AF_UNIX)
        link.connect(str(self.socket))
        return link

    def stop(self):
        self.process.kill()
        self.process.wait()


def redis_command(fsync):
    log = ["--appendonly", "yes", "--appendfsync", "always"] if fsync else ["--appendonly", "no"]
    return lambda path, folder: ["redis-server", "--port", 0, "--unixsocket", path, "--dir", folder, "--save", "", *log]


def beanstalk_command(fsync):
    log = (lambda folder: ["-b", folder, "-f", 0]) if fsync else (lambda folder: [])
    return lambda path, folder: ["beanstalkd", "-l", f"unix:{path}", *log(folder)]


# --- the systems: each makes the calls of one round --------------------------------------------------------------


class Set:
    name, kinds = "SET", ["SET"]

    def __init__(self, folder, fsync):
        self.server = Server(folder, "set", redis_command(fsync))
        self.redis, self.made = Redis(str(self.server.socket)), 0

    def round(self, jobs, times):
        for _ in range(jobs):
            self.made += 1
            times["SET"].call(self.redis.call, "SET", f"key:{self.made}", json.dumps(SPEC))


class Ddq:
    """A job of one image: submit; claim and finish of the image; claim and finish of the report."""
    name, kinds = "ddq", ["submit", "claim", "finish"]

    def __init__(self, folder, fsync):
        if not (BIN / "ddq").exists():
            raise FileNotFoundError(f"{BIN}/ddq, a build")
        self.server = Server(folder, "ddq", redis_command(fsync))
        self.redis, self.made = Redis(str(self.server.socket)), 0
        subprocess.run([BIN / "ddq", "ls"], env={**os.environ, "DDQ_REDIS": f"unix:{self.server.socket}"}, check=True,
                       capture_output=True)  # brings the library

    def claim(self):
        return self.redis.fcall("claim", host="bench", worker="cpu:0", pid=1, device="cpu", root="/nowhere", lease_ms=60000,
                                chunk_ms=30000, offers=["model:digits"], warm=["digits"])

    def round(self, jobs, times):
        for _ in range(jobs):
            self.made += 1
            job = "aaaaaa" + "".join(ALPHABET[self.made // 32**k % 32] for k in range(4))
            done = times["submit"].call(self.redis.fcall, "submit", id=job, user=f"user{self.made % 20}", kind="sample",
                                        model="digits", images=1, spec={**SPEC, "seed": self.made}, needs=["model:digits"])
            assert done["status"] == "ok", done
        for _ in range(2 * jobs):
            lease = times["claim"].call(self.claim)
            assert lease["status"] == "ok", lease
            done = times["finish"].call(self.redis.fcall, "finish", token=lease["token"], upto=lease["hi"], ms=1000)
            assert done["status"] == "ok", done
        assert self.claim()["status"] == "empty"


class Beanstalkd:
    name, kinds = "beanstalkd", ["put", "reserve", "delete"]

    def __init__(self, folder, fsync):
        if not shutil.which("beanstalkd"):
            raise FileNotFoundError("beanstalkd")
        self.server = Server(folder, "beanstalkd", beanstalk_command(fsync))
        self.link = self.server.connect()
        self.file = self.link.makefile("rb")

    def ask(self, text):
        self.link.sendall(text)
        return self.file.readline().split()

    def reserve(self):
        words = self.ask(b"reserve\r\n")
        json.loads(self.file.read(int(words[2]) + 2))
        return words[1]

    def put(self):
        body = json.dumps(SPEC).encode()
        return self.ask(b"put 0 0 60 %d\r\n%s\r\n" % (len(body), body))

    def round(self, jobs, times):
        for _ in range(jobs):
            assert times["put"].call(self.put)[0] == b"INSERTED"
        for _ in range(jobs):
            job = times["reserve"].call(self.reserve)
            assert times["delete"].call(self.ask, b"delete %s\r\n" % job) == [b"DELETED"]
    

RQ_PART = """
import json, sys, time
from redis import Redis
from rq import Queue, SimpleWorker
link = Redis(unix_socket_path=sys.argv[1])
queue, stamps, enqueued = Queue(connection=link), [], []
class Worker(SimpleWorker):
    def execute_job(self, job, queue):
        super().execute_job(job, queue)
        stamps.append(time.perf_counter())
worker = Worker([queue], connection=link)
print("ready", flush=True)
for line in sys.stdin:
    jobs = int(line)
    del stamps[:], enqueued[:]
    for _ in range(jobs):
        start = time.perf_counter()
        queue.enqueue("time.time", result_ttl=0)
        enqueued.append(time.perf_counter() - start)
    print(json.dumps(enqueued), flush=True)
    sys.stdin.readline()
    worker.work(burst=True, logging_level="ERROR")
    print(json.dumps([b - a for a, b in zip(stamps, stamps[1:])]), flush=True)
"""


class Rq:
    """enqueue, and one job to the next of a worker that forks none (SimpleWorker, burst)."""
    name, kinds = "RQ", ["enqueue", "work"]

    def __init__(self, folder, fsync):
        python = os.environ.get("RQ_PYTHON", sys.executable)
        if subprocess.run([python, "-c", "import rq"], capture_output=True).returncode:
            raise FileNotFoundError(f"rq for {python} (RQ_PYTHON names another)")
        self.server = Server(folder, "rq", redis_command(fsync))
        self.part = subprocess.Popen([python, "-c", RQ_PART, str(self.server.socket)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=subprocess.DEVNULL, text=True)
        assert self.part.stdout.readline() == "ready\n"

    def say(self, text):
        self.part.stdin.write(f"{text}\n")
        self.part.stdin.flush()
        return json.loads(self.part.stdout.readline())

    def round(self, jobs, times):
        times["enqueue"].many(self.say, jobs)
        times["work"].many(self.say, "")

    def close(self):
        self.part.kill()
        self.part.wait()


def redis_benchmark(server):
    words = ["redis-benchmark", "-s", str(server.socket), "-t", "set", "-n", "5000", "-c", "1", "--csv"]
    row = subprocess.run(words, capture_output=True, text=True).stdout.splitlines()[-1].replace('"', "").split(",")
    print(f"  {'redis-benchmark SET':34} {float(row[4]) * 1000:8.0f} {float(row[6]) * 1000:8.0f} {'':8} {float(row[1]):9.0f}   (5000)")


def compare(jobs, rounds, fsync):
    with tempfile.TemporaryDirectory(prefix="compare-") as name:
        systems, skipped = [], []
        for make in (Set, Ddq, Beanstalkd, Rq):
            try:
                systems.append(make(pathlib.Path(name), fsync))
            except FileNotFoundError as missing:
                skipped.append(f"{make.name} is skipped: {missing} is not there")
        all_times = {system.name: {kind: Times(system.server.process.pid) for kind in system.kinds} for system in systems}
        for _ in range(rounds):
            for system in systems:
                system.round(jobs, all_times[system.name])
        print(f"\n{'an fsync for every write' if fsync else 'nothing on disk'}, load {os.getloadavg()[0]:.1f}\n"
              f"  {'microseconds':34} {'median':>8} {'p99':>8} {'server':>8} {'a second':>9}   (calls)")
        redis_benchmark(systems[0].server)
        for system in systems:
            for kind, times in all_times[system.name].items():
                print(times.line(kind if kind == system.name else f"{system.name} {kind}"))
            getattr(system, "close", lambda: None)()
            system.server.stop()
        print("\n".join(skipped), end="\n" if skipped else "")


if __name__ == "__main__":
    for fsync in (False, True):
        compare(int(sys.argv[1]) if len(sys.argv) > 1 else 100, int(sys.argv[2]) if len(sys.argv) > 2 else 5, fsync)

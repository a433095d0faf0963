"""A real ddqd, a real redis-server and scripted workers (fake_worker.py), in a temporary folder."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import weakref

from resp import Redis
from wait import DEADLINE, wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("DDQ_BIN", ROOT / "build/dev/bin"))
WORKER = pathlib.Path(__file__).with_name("fake_worker.py")
LEASE_MS = 1500
SERVER = os.environ.get("DDQ_REDIS_SERVER", "redis-server")


def state_of(pid):
    """The letter of /proc/PID/stat; X when it is gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def alive(pid):
    return state_of(pid) not in "ZX"


def start_redis(folder, *words, socket="redis.sock"):
    """A server of the test's own; words are more of its configuration."""
    path = pathlib.Path(folder) / socket
    process = subprocess.Popen(
        [SERVER, "--port", "0", "--unixsocket", path, "--dir", folder, "--save", "", "--maxmemory-policy",
         "noeviction", "--appendonly", "yes", "--appendfsync", "always", *words], stdout=subprocess.DEVNULL)

    def answers():
        assert process.poll() is None, f"redis-server ended with status {process.returncode}"
        try:
            connection = Redis(str(path))
            connection.call("PING")
            connection.close()
            return True
        except (OSError, RuntimeError):
            return False

    wait_for(answers, "redis-server answers")
    return process


def aof_of(folder):
    """The file that a server of the test's own writes to now."""
    return max(pathlib.Path(folder).glob("appendonlydir/*.incr.aof"), key=lambda path: int(path.name.split(".")[-3]))


def is_look(pid):
    try:
        return b"look" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


class Farm:
    live = weakref.WeakSet()  # for tests/conftest.py

    def __init__(self, *flags, workers="cpu:1", standalone=True, models=("m",), **env):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ddqd-", dir="/tmp"))
        self.state, self.root = self.folder / "state", self.folder / "jobs"
        self.flags, self.workers, self.standalone = list(flags), workers, standalone
        self.socket = self.state / "redis.sock" if standalone else self.folder / "redis.sock"
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("DDQ_", "NOTIFY_", "WATCHDOG_"))}
        self.env.update(HOME=str(self.folder), DDQ_REDIS_SERVER=SERVER, DDQ_LOCK_DIR=str(self.folder), **env)
        self.conf = self.folder / "ddq.conf"
        self.daemon = self.redis = None
        self.jobs = 0
        Farm.live.add(self)
        self.log_path = self.folder / "ddqd.log"
        self.write_conf(models)

    def write_conf(self, models, more=""):
        text = f"[daemon]\nlease_ms = {LEASE_MS}\nchunk_ms = 400\n{more}"
        for model in models:
            text += f"[model {model}]\nstudent = {model}.pt\ntokenizer = vq.pt\n"
            for name in (f"{model}.pt", "vq.pt"):
                (self.folder / name).touch()
        self.conf.write_text(text)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *failure):
        self.stop()
        self.log_text = self.log()
        if not failure[0]:
            shutil.rmtree(self.folder, ignore_errors=True)

    def command(self, *more):
        where = ["--standalone"] if self.standalone else ["--redis", f"unix:{self.socket}"]
        return [BIN / "ddqd", *where, "--state", self.state, "--output-root", self.root, "--conf", self.conf, "--workers",
                self.workers, "--worker-program", WORKER, "--log-level", "trace", *self.flags, *more]

    def spawn(self, *more):
        """Starts a daemon without waiting for it."""
        with open(self.log_path, "ab") as log:
            return subprocess.Popen(self.command(*more), stdout=subprocess.PIPE, stderr=log, env=self.env, text=True)

    def start(self):
        self.daemon = self.spawn()
        line = self.daemon.stdout.readline()
        assert line == f"ready unix:{self.socket}\n", f"ddqd said {line!r}\n{self.log()[-3000:]}"
        self.connect()

    def connect(self):
        if self.redis:
            self.redis.close()
        self.redis = Redis(str(self.socket))

    def refused(self, *more, code, words):
        """A daemon that must end by itself, with this status and a sentence that has these words."""
        size = len(self.log())
        process = self.spawn(*more)
        out = process.communicate(timeout=DEADLINE)[0]
        said = self.log()[size:]
        assert process.returncode == code, (process.returncode, said)
        assert "ready" not in out
        for word in words:
            assert word in said, said
        return said

    def stop(self, how=signal.SIGTERM, wait=DEADLINE):
        code = None
        if self.redis:
            self.redis.close()
            self.redis = None
        if self.daemon:
            if self.daemon.poll() is None:
                self.daemon.send_signal(how)
            try:
                code = self.daemon.wait(wait)
            except subprocess.TimeoutExpired:
                self.daemon.kill()
                self.daemon.wait()
            self.daemon.stdout.close()
            self.daemon = None
        if how == signal.SIGTERM:
            for pid in self.leftovers():
                os.kill(pid, signal.SIGKILL)
        return code

    def leftovers(self):
        """Workers, and the private server, that this farm's daemon started."""
        found = {}
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid() and alive(int(entry.name)):
                try:
                    mine = f"HOME={self.folder}\0".encode() in (entry / "environ").read_bytes()
                    mine = mine or os.readlink(entry / "cwd") == str(self.state)  # redis-server writes over its environment
                    parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                except OSError:
                    continue
                if mine and not (self.daemon and self.daemon.pid == int(entry.name)):
                    found[int(entry.name)] = parent
        return [pid for pid, parent in found.items() if parent not in found]  # without Redis's copies that write its file

    def worker_pids(self):
        """Processes that run jobs: neither the server nor the one that looks at files."""
        redis = self.redis_pid()
        return [pid for pid in self.leftovers() if pid != redis and not is_look(pid)]

    def redis_pid(self):
        for pid in self.leftovers():
            if b"-server" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        raise AssertionError("no redis-server")

    def log(self):
        return self.log_path.read_text() if self.log_path.exists() else ""

    # --- jobs ---

    def next_id(self, back=0):
        return f"jb{self.jobs + 1 + back:08d}"

    def submit(self, images=20, how="", model="m", asks=None, **more):
        self.jobs += 1
        job = self.next_id(-1)
        spec = {"kind": "sample", "model": model, "t_list": [0, 4], "split_t": 4, "images": images, "seed": self.jobs}
        if how:
            spec["recipe"] = how
        reply = self.redis.fcall("submit", id=job, user="ada", kind="sample", model=model, images=images,
                                 needs=[f"model:{model}"], spec={**spec, **more}, **(asks or {}))
        assert reply["status"] == "ok", reply
        return job

    def show(self, job):
        reply = self.redis.fcall("show", id=job)
        assert reply["status"] == "ok", reply
        return {**reply["job"], "leases": reply["leases"]}

    def wait(self, job, state="done"):
        def ended():
            found = self.show(job)
            assert found["state"] == state or found["state"] not in ("done", "failed", "cancelled", "held"), found
            return found if found["state"] == state else None

        return wait_for(ended, f"{job} is {state}")

    def running(self, job, done=1):
        """Waits until a worker has made some images of it."""
        wait_for(lambda: len(self.trace(job)) >= done, f"{job} runs")
        return self.show(job)["leases"][0]

    def output(self, job):
        return self.root / "ada" / job

    def trace(self, job):
        """[(pid, token, image, made or skipped, time)] in the order it happened."""
        path = self.output(job) / "trace.txt"
        rows = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
        return [(int(r[0]), r[1], int(r[2]), r[3], float(r[4])) for r in rows if len(r) == 5]

    def made(self, job):
        return sorted(image for _, _, image, how, _ in self.trace(job) if how == "made")

    def check_output(self, job, images, again=0):
        """All images, each with its bytes, none made twice (but `again` of them). A worker killed between an image and its
        line in the trace leaves one image without a line."""
        made = self.made(job)
        assert len(made) <= len(set(made)) + again and set(made) <= set(range(images)) and len(made) >= images - 1, made
        seed = int(job[2:])
        for i in range(images):
            assert (self.output(job) / "images" / f"{i:06d}.png").read_text() == f"image {i} of seed {seed}\n"
        assert json.loads((self.output(job) / "report.json").read_text()) == {"images": images}

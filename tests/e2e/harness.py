"""Drives the real programs from outside: a stand-alone daemon in a temporary folder and the client beside it."""
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import weakref

from wait import DEADLINE

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("DDQ_BIN", ROOT / "build/dev/bin"))
DIGITS = ROOT / "models/digits"

# A job small enough for a test, in the form a user submits.
DIGITS_JOB = {
    "kind": "sample", "model": "digits", "reference": "digits", "t_list": [0, 20], "split_t": 20, "images": 48,
    "classes": "balanced", "seed": 3, "cfg_scale": 1.5, "top_k": 0, "save": ["png", "codes", "vectors", "features"],
}


def clean_env(**extra):
    env = {k: v for k, v in os.environ.items() if not k.startswith("DDQ_")}
    env.update({"NO_COLOR": "1", "OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive"}, **extra)
    return env


def digest(folder):
    """name -> sha256 of everything a job must reproduce byte for byte."""
    folder = pathlib.Path(folder)
    names = sorted(folder.glob("images/*.png")) + [folder / n for n in ("codes.npy", "vectors.npy", "features.npy", "fid.txt")]
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in names if p.exists()}


class Farm:
    """One ddqd --standalone with its client."""

    live = weakref.WeakSet()  # for tests/conftest.py

    def __init__(self, *flags, workers="cpu:1", conf=None, **env):
        self.flags = flags
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ddq-e2e-", dir="/tmp"))
        self.state, self.jobs = self.folder / "state", self.folder / "jobs"
        self.conf = conf or ROOT / "models/ddq.conf"
        self.workers = workers
        self.env = clean_env(HOME=str(self.folder), **env)
        self.daemon = None
        Farm.live.add(self)
        self.log = open(self.folder / "ddqd.log", "ab")

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *failure):
        self.stop()
        if failure[0] is None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def start(self):
        self.daemon = subprocess.Popen(
            [BIN / "ddqd", "--standalone", "--state", self.state, "--output-root", self.jobs, "--conf", self.conf,
             "--workers", self.workers, *self.flags], stdout=subprocess.PIPE, stderr=self.log, env=self.env, text=True)
        line = self.daemon.stdout.readline()
        if not line.startswith("ready unix:"):
            raise AssertionError(f"ddqd said {line!r}:\n" + (self.folder / "ddqd.log").read_text()[-3000:])
        self.url = line.split()[1]

    def stop(self, how=signal.SIGTERM):
        if self.daemon and self.daemon.poll() is None:
            self.daemon.send_signal(how)
            try:
                self.daemon.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                self.daemon.kill()
                self.daemon.wait()
        for pid in self.leftovers():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if self.daemon and self.daemon.stdout:
            self.daemon.stdout.close()

    def leftovers(self):
        """Processes that still name this farm's folder (workers, the private redis-server)."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    words = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
                except OSError:
                    continue
                if str(self.folder).encode() in words and (self.daemon is None or int(entry.name) != self.daemon.pid):
                    found.append(int(entry.name))
        return found

    def ddq(self, *words, code=0, stdin=None, umask=-1):
        done = subprocess.run([BIN / "ddq", *map(str, words), "--redis", self.url], capture_output=True, text=True,
                              timeout=DEADLINE, env=self.env, input=stdin, umask=umask)
        if code is not None and done.returncode != code:
            raise AssertionError(f"ddq {words}: exit {done.returncode}, wanted {code}\n{done.stdout}\n{done.stderr}")
        return done

    def submit(self, job, *flags):
        path = self.folder / f"job-{time.monotonic_ns()}.json"
        path.write_text(json.dumps(job))
        return self.ddq("submit", path, "--quiet", "--new", *flags).stdout.strip()

    def show(self, job):
        return json.loads(self.ddq("show", job, "--json").stdout)

    def wait(self, job, code=0):
        return self.ddq("wait", job, code=code)

    def redis_pid(self):
        found = []  # the server, and for a moment the copy of it that writes its file
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if b"-server" in (entry / "cmdline").read_bytes() and os.readlink(entry / "cwd").startswith(str(self.state)):
                        found.append(int(entry.name))
                except OSError:
                    continue
        if found:
            return min(found)
        raise AssertionError("no redis-server works in " + str(self.state))

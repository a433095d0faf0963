"""One user: a home folder, a private redis with the queue's library, the client, and no daemon. States are forced by
calling the queue's functions as a daemon would."""
import fcntl
import json
import os
import pathlib
import pty
import select
import shutil
import struct
import subprocess
import tempfile
import termios

from wait import DEADLINE, wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("DDQ_BIN", ROOT / "build/dev/bin"))
DDQ = BIN / "ddq"
SERVER = os.environ.get("DDQ_REDIS_SERVER", "redis-server")


class Session:
    def __init__(self, *options):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ddq-cli-", dir="/tmp"))
        self.socket = self.folder / "redis.sock"
        self.options = options
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("DDQ_", "XDG_"))}
        self.env.update(HOME=str(self.folder), DDQ_REDIS=f"unix:{self.socket}", DDQ_AS="ada", LC_ALL="C.UTF-8")
        self.env.pop("NO_COLOR", None)
        self.server = None
        self.start()

    def start(self):
        self.server = subprocess.Popen(
            [SERVER, "--port", "0", "--unixsocket", str(self.socket), "--save", "", "--dir", str(self.folder),
             *self.options], stdout=subprocess.DEVNULL)
        ping = ["redis-cli", "-s", self.socket, "ping"]
        wait_for(lambda: subprocess.run(ping, capture_output=True).stdout == b"PONG\n", "redis-server answers")

    def stop(self):
        self.server.kill()
        self.server.wait()

    def close(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def ddq(self, *words, code=0, stdin=None, **env):
        done = subprocess.run([DDQ, *map(str, words)], capture_output=True, text=True, timeout=DEADLINE, input=stdin,
                              env={**self.env, **env}, cwd=self.folder)
        assert done.returncode == code, f"ddq {words}: exit {done.returncode}, wanted {code}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *words, code=0):
        return json.loads(self.ddq(*words, "--json", code=code).stdout)

    def start_ddq(self, *words):
        return subprocess.Popen([DDQ, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env=self.env, cwd=self.folder)

    def call(self, function, **args):
        words = ["redis-cli", "-s", self.socket, "FCALL", f"ddq_{function}", "1", "{ddq}", json.dumps(args)]
        text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        if text.startswith("ERR Function not found"):
            self.ddq("ls")  # any call of the client brings the library
            text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        reply = json.loads(text)
        assert reply["status"] in ("ok", "empty"), reply
        return reply

    def redis(self, *words):
        return subprocess.run(["redis-cli", "-s", self.socket, *words], capture_output=True, text=True).stdout

    def until_heard(self, count=1):
        """Until so many clients that wait for jobs have had their first answer: then they listen to live messages. (Connections
        are no measure: those of a client that has just ended are still in the list.)"""
        wait_for(lambda: self.listeners() >= count, "a client listens")

    def listeners(self):
        channels = self.redis("PUBSUB", "CHANNELS").split()
        return sum(int(n) for n in self.redis("PUBSUB", "NUMSUB", *channels).split()[1::2]) if channels else 0

    def until_asked(self, function):
        """Until Redis has run a function of the queue for a client that goes on asking."""
        with subprocess.Popen(["redis-cli", "-s", self.socket, "MONITOR"], stdout=subprocess.PIPE, text=True) as monitor:
            any(f'"ddq_{function}"' in line for line in monitor.stdout)
            monitor.kill()

    def submit(self, *words, **fields):
        job = {"model": "digits", "t_list": [0, 20], "split_t": 20, "images": 10, **fields}
        return self.ddq("submit", "-", "--quiet", "--new", *words, stdin=json.dumps(job)).stdout.strip()

    def heartbeat(self, **about):
        self.call("beat", **{"host": "node1", "boot": "b", "pid": 7, "version": "0.1.0", "root": str(self.folder),
                             "workers": [{"name": "cpu:0", "device": "cpu", "state": "idle", "job": "", "pid": 8, "memory_mib": 2048,
                                          "about": "a processor"}],
                             "models": {"digits": {"student": True, "teacher": True}, "llamagen-l-dd": {"student": True, "teacher": False}},
                             "references": ["digits"], "drain": False, "ttl_ms": 60000, **about})

    def claim(self, lo=0):
        reply = self.call("claim", host="node1", worker="cpu:0", pid=4242, device="cpu", root=str(self.folder / "jobs"),
                          lease_ms=60000, chunk_ms=30000, offers=["model:digits", "reference:digits", "inception"], warm=[])
        assert reply["status"] == "ok", reply
        return reply

    def renew(self, lease, upto, rate=10.0, stage="sampling"):
        self.call("renew", lease_ms=60000, leases=[{"token": lease["token"], "upto": upto, "rate": rate, "stage": stage, "pid": 4242}])

    def finish(self, lease, **more):
        return self.call("finish", token=lease["token"], upto=lease["hi"], ms=1000, **more)

    def complete(self, job, fid=None, **results):
        """Works on the job until it is done, as a daemon would. results: what the report's worker tells."""
        results = {**({"fid": fid} if fid else {}), **results}
        while self.json("show", job)["state"] != "done":
            lease = self.claim()
            assert lease["job"] == job
            self.finish(lease, **(results if lease["phase"] == "report" else {}))


def terminal(session, words, columns, keys=None):
    """What the client writes to a terminal of so many columns."""
    pid, fd = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))  # before it looks
        os.chdir(session.folder)
        os.execve(DDQ, ["ddq", *words], {**session.env, "TERM": "xterm"})
    text = b""
    while True:
        try:
            ready, _, _ = select.select([fd], [], [], DEADLINE)
            part = os.read(fd, 65536) if ready else b""
        except OSError:
            part = b""
        if not part:
            break
        text += part
        if keys and keys(text):
            os.write(fd, b"\x03")
            keys = None
    _, status = os.waitpid(pid, 0)
    os.close(fd)
    return text.decode(), os.waitstatus_to_exitcode(status)

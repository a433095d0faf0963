"""The client from outside, against a real private redis with the queue's library and no daemon: states are forced by
calling the queue's functions as a daemon would."""
import json
import os
import pathlib
import pty
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("DDQ_BIN", ROOT / "build/dev/bin"))
DDQ = BIN / "ddq"
WAITING = [["wait"], ["watch"], ["logs", "-f"]]


class Desk:
    """A user at a terminal: a home folder, a private redis, the client."""

    def __init__(self, *options):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ddq-cli-", dir="/tmp"))
        self.socket = self.folder / "redis.sock"
        self.options = options
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("DDQ_", "XDG_"))}
        self.env.update(HOME=str(self.folder), DDQ_REDIS=f"unix:{self.socket}", DDQ_USER="ada", LC_ALL="C.UTF-8")
        self.env.pop("NO_COLOR", None)
        self.server = None
        self.start()

    def start(self):
        self.server = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", str(self.socket), "--save", "", "--dir", str(self.folder),
             *self.options], stdout=subprocess.DEVNULL)
        end = time.monotonic() + 10
        while subprocess.run(["redis-cli", "-s", self.socket, "ping"], capture_output=True).stdout != b"PONG\n":
            assert time.monotonic() < end, "redis-server did not start"
            time.sleep(0.02)

    def stop(self):
        self.server.kill()
        self.server.wait()

    def close(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def ddq(self, *words, code=0, stdin=None, **env):
        done = subprocess.run([DDQ, *map(str, words)], capture_output=True, text=True, timeout=60, input=stdin,
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

    def submit(self, *words, **fields):
        job = {"model": "digits", "t_list": [0, 20], "split_t": 20, "images": 10, **fields}
        return self.ddq("submit", "-", "--quiet", *words, stdin=json.dumps(job)).stdout.strip()

    def beat(self, **about):
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

    def complete(self, job, fid=None):
        """Works on the job until it is done, as a daemon would."""
        while self.json("show", job)["state"] != "done":
            lease = self.claim()
            assert lease["job"] == job
            self.finish(lease, **({"fid": fid} if fid and lease["phase"] == "report" else {}))


@pytest.fixture
def desk():
    desk = Desk()
    yield desk
    desk.close()


def no_traceback(text):
    assert "ddq: " in text and "\n\n" not in text, text


# --- submitting ---------------------------------------------------------------------------------------------------


def test_submit_says_the_id_alone_when_quiet(desk):
    done = desk.ddq("submit", "digits-2step", "--quiet")
    job = done.stdout.strip()
    assert done.stdout == job + "\n" and len(job) == 10 and done.stderr == ""
    shown = desk.json("show", job)
    assert shown["state"] == "queued" and shown["done"] == 0 and shown["images"] == 5000 and shown["user"] == "ada"
    assert shown["kind"] == "sample" and shown["model"] == "digits" and shown["reason"] and shown["leases"] == []
    assert shown["spec"]["recipe"] == "digits-2step" and shown["spec"]["published_fid"] == 1.663
    assert shown["created"].endswith("Z") and "T" in shown["created"]
    assert shown["needs"] == "model:digits reference:digits"


def test_submit_with_words(desk):
    done = desk.ddq("submit", "digits-2step")
    job = done.stdout.strip()
    assert f"ddq watch {job}" in done.stderr and f"ddq cancel {job}" in done.stderr
    assert "no daemon is alive" in done.stderr
    assert desk.json("submit", "digits-2step") .keys() == {"id", "ids"}


def test_submit_from_file_stdin_and_flags(desk):
    job = {"kind": "sample", "model": "digits", "t_list": [0], "split_t": 20, "images": 3}
    (desk.folder / "job.json").write_text(json.dumps(job))
    (desk.folder / "plain").write_text(json.dumps(job))
    from_file = desk.ddq("submit", "job.json", "-q").stdout.strip()
    from_plain = desk.ddq("submit", "plain", "-q").stdout.strip()
    from_stdin = desk.ddq("submit", "-", "--quiet", stdin=json.dumps(job)).stdout.strip()
    from_flags = desk.ddq("submit", "--model", "digits", "--t-list=0", "--split_t", "20", "--images", "3", "-q").stdout.strip()
    specs = [desk.json("show", i)["spec"] for i in (from_file, from_plain, from_stdin, from_flags)]
    assert specs[0] == specs[1] == specs[2] == specs[3]
    assert specs[0]["t_list"] == [0] and specs[0]["cfg_scale"] == 2.0


def test_flags_change_what_a_file_says_and_every_field_is_one(desk):
    job = desk.ddq("submit", "digits-teacher-7", "-q", "--seed", "9", "--teacher-start-t", "10", "--save", "png,codes",
                   "--classes", "1,2,3", "--top-p", "0.5", "--device", "cpu", "--name", "mine", "--batch", "2").stdout.strip()
    shown = desk.json("show", job)
    spec = shown["spec"]
    assert (spec["seed"], spec["teacher_start_t"], spec["save"], spec["classes"], spec["top_p"]) == (9, 10, ["png", "codes"], [1, 2, 3], 0.5)
    assert shown["device"] == "cpu" and shown["name"] == "mine"
    assert "published_fid" not in spec  # other numbers than the published ones


def test_the_published_fid_stays_with_another_seed(desk):
    done = desk.ddq("submit", "digits-2step", "--seed", "5")
    assert desk.json("show", "@")["spec"]["published_fid"] == 1.663
    assert "published" not in done.stderr
    done = desk.ddq("submit", "digits-2step", "--images", "64")
    assert "published FID is left out" in done.stderr


def test_a_table_is_several_jobs(desk):
    ids = desk.ddq("submit", "digits-table", "--quiet").stdout.split()
    assert len(ids) == len(set(ids)) == 6
    assert [desk.json("show", i)["spec"]["published_fid"] for i in ids] == [0.749, 1.715, 1.663, 1.112, 0.928, 0.915]
    assert desk.json("show", "@")["id"] == ids[-1]
    done = desk.ddq("submit", "digits-table", "--name", "x", code=2)
    assert "--name" in done.stderr and done.stdout == ""


def test_files_that_are_here_are_named_absolutely(desk):
    (desk.folder / "noise.npy").write_text("")
    job = desk.submit(noise="noise.npy", labels="elsewhere.npy")
    spec = desk.json("show", job)["spec"]
    assert spec["noise"] == str(desk.folder / "noise.npy") and spec["labels"] == "elsewhere.npy"


def test_evaluate_and_statistics(desk):
    (desk.folder / "pictures").mkdir()
    job = desk.ddq("submit", "--kind", "evaluate", "--images", "pictures", "--reference", "digits", "-q").stdout.strip()
    shown = desk.json("show", job)
    assert shown["kind"] == "evaluate" and shown["images"] == 0 and shown["needs"] == "reference:digits"
    assert shown["spec"]["images"] == str(desk.folder / "pictures")
    job = desk.ddq("submit", "-q", "--images", "pictures", "--kind", "statistics").stdout.strip()
    assert desk.json("show", job)["needs"] == "inception"


@pytest.mark.parametrize("job, words", [
    ("", ["empty"]),
    ("{", ["not JSON", "line 1"]),
    ("[]", ["stdin", "not a job"]),
    ("3", ["stdin", "not a job"]),
    ("[1]", ["not a JSON object"]),
    ('{"model": "digits", "t_lst": [0]}', ["t_lst", "t_list"]),
    ('{"model": "digits", "t_list": [0], "split_t": 2, "images": 0}', ["images", "0"]),
    ('{"model": "digits", "t_list": [0], "split_t": 2, "images": 1000000000000}', ["images"]),
    ('{"model": "digits", "t_list": [5], "split_t": 2, "images": 1}', ["t_list", "5"]),
    ('{"model": "digits", "t_list": [0], "split_t": 2, "images": 1, "output": "/etc"}', ["output"]),
    ('{"model": "digits", "t_list": [0], "split_t": 2, "images": 1, "name": "../x"}', ["name"]),
    ('[{"model": "digits", "t_list": [0], "split_t": 2, "images": 1}, {}]', ["job 2 of 2", "model"]),
])
def test_bad_jobs_queue_nothing(desk, job, words):
    done = desk.ddq("submit", "-", code=2, stdin=job)
    assert done.stdout == ""
    for word in words:
        assert word in done.stderr
    assert desk.json("ls", "--all")["jobs"] == []


def test_unknown_recipe_and_missing_file(desk):
    assert "Did you mean 'digits-2step'?" in desk.ddq("submit", "digit-2step", code=2).stderr
    assert "nowhere.json" in desk.ddq("submit", "nowhere.json", code=102).stderr
    assert "say what" in desk.ddq("submit", code=2).stderr


def test_names_are_held_against_living_daemons(desk):
    desk.beat()
    done = desk.ddq("submit", "-", code=2, stdin='{"model": "digit", "t_list": [0], "split_t": 2, "images": 1}')
    assert "Did you mean 'digits'?" in done.stderr and "llamagen-l-dd" in done.stderr
    done = desk.ddq("submit", "l-2step", code=2)
    assert "imagenet256" in done.stderr and "They know: digits" in done.stderr
    assert "no daemon" not in desk.ddq("submit", "digits-2step").stderr
    desk.beat(ttl_ms=1000, boot="b")
    time.sleep(1.2)  # it has not been heard of since: its word counts no more
    assert "no daemon is alive" in desk.ddq("submit", "l-2step").stderr


def test_user_names_are_made_safe(desk):
    job = desk.ddq("submit", "digits-demo", "-q", DDQ_USER="../we ird\n/" + "x" * 60).stdout.strip()
    user = desk.json("show", job)["user"]
    assert user == "_._we_ird__" + "x" * 21


def test_after_and_priority(desk):
    first = desk.submit()
    second = desk.submit("--after", first, "--priority", "5")
    shown = desk.json("show", second)
    assert shown["state"] == "waiting" and first in shown["reason"] and shown["priority"] == 5
    assert "--priority" in desk.ddq("submit", "digits-demo", "--priority", "high", code=2).stderr
    assert "--after" in desk.ddq("submit", "digits-demo", "--after", "zzzzzz", code=102).stderr


# --- looking ------------------------------------------------------------------------------------------------------


def test_show_of_a_running_job(desk):
    job = desk.submit(images=20)
    lease = desk.claim()
    desk.renew(lease, 5)
    shown = desk.json("show", job)
    assert shown["state"] == "running" and shown["done"] == 5 and shown["output"] == f"{desk.folder}/jobs/ada/{job}"
    (lease_shown,) = shown["leases"]
    assert lease_shown["pid"] == 4242 and lease_shown["upto"] == 5 and lease_shown["stage"] == "sampling"
    text = desk.ddq("show", job[:6]).stdout  # a unique beginning is enough
    assert "5 of 20 images" in text and "pid 4242" in text and "ready in 1.5s" in text
    assert desk.ddq("show", job, "--quiet").stdout == "running\n"


def test_ls(desk):
    mine = [desk.submit(), desk.submit()]
    other = desk.ddq("submit", "digits-demo", "-q", DDQ_USER="bob").stdout.strip()
    assert desk.ddq("ls", "--quiet").stdout.split() == mine[::-1]
    assert desk.ddq("ls", "-a", "-q").stdout.split() == [other] + mine[::-1]
    assert desk.ddq("ls", "--user", "bob", "-q").stdout.split() == [other]
    assert desk.ddq("ls", "-q", "-n", "1").stdout.split() == mine[1:]
    desk.ddq("hold", mine[0])
    assert desk.ddq("ls", "-q", "--state", "held").stdout.split() == [mine[0]]
    desk.ddq("cancel", mine[1])
    assert desk.ddq("ls", "-q", "--active").stdout.split() == [mine[0]]
    text = desk.ddq("ls", "--all").stdout.splitlines()
    assert text[0].split() == ["ID", "STATE", "USER", "MODEL", "DONE", "RATE", "ETA", "AGE", "REASON"] and len(text) == 4
    assert desk.json("ls", "--all")["jobs"][0]["id"] == other
    assert "running" in desk.ddq("ls", "--state", "runnin", code=2).stderr


def terminal(desk, words, columns, keys=None):
    """What the client writes to a terminal of so many columns."""
    import fcntl
    import struct
    import termios

    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(desk.folder)
        os.execve(DDQ, ["ddq", *words], {**desk.env, "TERM": "xterm"})
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    text = b""
    while True:
        try:
            ready, _, _ = select.select([fd], [], [], 20)
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


def test_a_narrow_terminal_cuts_the_reason_never_the_id(desk):
    ids = [desk.submit() for _ in range(3)]
    desk.ddq("hold", ids[0], "--reason", "because of a very long story that nobody wants to read twice " * 3)
    for columns in (200, 100, 60, 40, 20):
        time.sleep(0)
        text, code = terminal(desk, ["ls", "--color", "never"], columns)
        lines = text.replace("\r", "").splitlines()
        assert code == 0 and all(i in text for i in ids), text
        assert max(map(len, lines)) <= max(columns, 34), (columns, lines)


def test_colours(desk):
    desk.submit()
    assert "\033" not in desk.ddq("ls").stdout
    assert "\033" in desk.ddq("ls", "--color", "always").stdout
    assert "\033" in terminal(desk, ["ls"], 100)[0]
    assert "\033" not in terminal(desk, ["ls", "--color", "never"], 100)[0]
    desk.env["NO_COLOR"] = "1"
    assert "\033" not in terminal(desk, ["ls"], 100)[0]
    assert "blue" in desk.ddq("ls", "--color", "blue", code=2).stderr


def test_hostile_text_does_not_reach_the_terminal(desk):
    job = desk.submit()
    desk.ddq("hold", job, "--reason", "evil\033]0;title\007\nsecond line")
    for words in (["ls"], ["show", job], ["watch", job, "--timeout", "0.1"]):
        done = desk.ddq(*words, code=101 if "watch" in words else 0)
        assert "\033" not in done.stdout + done.stderr and "\007" not in done.stdout + done.stderr
        assert "title" in done.stdout + done.stderr


def test_logs(desk):
    job = desk.submit()
    desk.call("log", job=job, lines=[{"level": "info", "text": "first"}, {"level": "warning", "text": "second\033[2J"}])
    lines = desk.ddq("logs", job).stdout.splitlines()
    assert len(lines) == 2 and lines[0].endswith("info first") and "\033" not in lines[1]
    rows = [json.loads(line) for line in desk.ddq("logs", job, "--json").stdout.splitlines()]
    assert rows[0]["text"] == "first" and rows[1]["level"] == "warning" and rows[0]["at"].endswith("Z")


def test_logs_follow_until_the_end(desk):
    job = desk.submit()
    follower = desk.start_ddq("logs", "-f", job)
    time.sleep(0.2)
    desk.call("log", job=job, lines=[{"level": "info", "text": "while it runs"}])
    desk.complete(job)
    desk.call("log", job=job, lines=[{"level": "info", "text": "and at its end"}])
    out, err = follower.communicate(timeout=10)
    assert follower.returncode == 0 and "while it runs" in out and "and at its end" in out, (out, err)


def test_models_and_gpus(desk):
    assert "no daemon" in desk.ddq("gpus").stderr and desk.json("models") == {"models": [], "references": []}
    desk.beat()
    desk.beat(host="node2", boot="c", models={"other": {"student": False, "teacher": True}}, references=[], workers=[], drain=True)
    models = {m["name"]: m for m in desk.json("models")["models"]}
    assert set(models) == {"digits", "llamagen-l-dd", "other"} and models["digits"]["hosts"] == ["node1"]
    assert desk.json("models")["references"] == [{"name": "digits", "hosts": ["node1"]}]
    text = desk.ddq("models").stdout
    assert "student, teacher" in text and "node2" in text
    text = desk.ddq("gpus").stdout
    assert "cpu:0" in text and "2.0 GiB" in text and "a processor" in text and "draining" in text and "no workers" in text
    assert {h["host"] for h in desk.json("gpus")["hosts"]} == {"node1", "node2"}
    assert desk.ddq("gpus", "--quiet").stdout == "node1/cpu:0\n"


def test_recipes(desk):
    names = desk.ddq("recipes", "--quiet").stdout.split()
    assert {"b-1step", "b-2step", "l-1step", "l-2step", "l-teacher-22", "l-teacher-42", "l-teacher-81", "digits-table"} <= set(names)
    assert desk.json("recipes", "l-2step")["jobs"][0]["published_fid"] == 7.58
    assert len(desk.json("recipes")["recipes"]) == len(names)
    assert "digits-table" in desk.ddq("recipes", "digits-tabel", code=102).stderr
    (desk.folder / "own").mkdir()
    (desk.folder / "own/bad.json").write_text("{}")
    assert "bad.json" in desk.ddq("recipes", DDQ_RECIPES=str(desk.folder / "own"), code=1).stderr


# --- changing -----------------------------------------------------------------------------------------------------


def test_cancel_hold_release(desk):
    job = desk.submit()
    assert desk.ddq("hold", job).stdout == f"{job} held\n"
    assert desk.json("show", job)["reason"] == "held by ada"
    assert desk.json("release", job) == {"jobs": [{"id": job, "state": "queued"}]}
    assert desk.ddq("cancel", job, "--quiet").stdout == f"{job}\n"
    assert "cancelled" in desk.ddq("cancel", job, code=75).stderr  # it is over
    assert "cancelled" in desk.ddq("release", job, code=75).stderr


def test_somebody_elses_job(desk):
    job = desk.submit()
    for verb in ("cancel", "hold", "release"):
        done = desk.ddq(verb, job, code=77, DDQ_USER="bob")
        assert "ada" in done.stderr and "bob" in done.stderr
    assert desk.json("show", job)["state"] == "queued"


def test_ids(desk):
    assert "no job was submitted" in desk.ddq("show", "@", code=102).stderr
    job = desk.submit()
    assert desk.json("show", "@")["id"] == job
    assert desk.json("show", job.upper())["id"] == job
    assert "zzzzzzzzzz" in desk.ddq("show", "zzzzzzzzzz", code=102).stderr
    for bad in ("a b", "../x", "", "job:1", "x" * 40):
        assert "not a job id" in desk.ddq("show", bad, code=2).stderr
    for i in range(40):  # two ids that begin alike are found soon
        desk.submit()
    ids = desk.ddq("ls", "-q").stdout.split()
    first = next(c for c in "0123456789abcdefghjkmnpqrstvwxyz" if sum(i.startswith(c) for i in ids) > 1)
    assert "not unique" in desk.ddq("show", first, code=102).stderr


# --- waiting ------------------------------------------------------------------------------------------------------


def test_wait_and_watch_of_a_done_job(desk):
    job = desk.submit(images=10, reference="digits", published_fid=1.5)
    desk.complete(job, fid=1.25)
    assert desk.ddq("wait", job).stdout == ""
    assert desk.json("wait", job) == {"jobs": [{"id": job, "state": "done", "done": 10, "images": 10, "reason": "", "fid": 1.25,
                                                "output": f"{desk.folder}/jobs/ada/{job}", "exit_code": 0}]}
    done = desk.ddq("watch", job)
    assert "1.2500  published 1.5, difference -0.2500" in done.stdout
    assert f"{desk.folder}/jobs/ada/{job}/images" in done.stdout and "not visible" in done.stderr
    folder = desk.folder / "jobs/ada" / job
    (folder / "images").mkdir(parents=True)
    (folder / "report.html").write_text("")
    out = desk.ddq("watch", job).stdout
    assert "images" in out and "report.html" in out and "grid.png" not in out  # only what is there
    assert "published 1.5" in desk.ddq("show", job).stdout


def test_wait_of_a_failed_job(desk):
    job = desk.submit()
    lease = desk.claim()
    desk.call("fail", token=lease["token"], upto=0, kind="format", policy="fail", text="weights are short")
    done = desk.ddq("wait", job, code=100)
    assert "weights are short" in done.stderr and done.stdout == ""
    assert "weights are short" in desk.ddq("watch", job, code=100).stderr
    assert json.loads(desk.ddq("wait", job, "--json", code=100).stdout)["jobs"][0]["exit_code"] == 100


def test_wait_of_several_has_the_highest_code(desk):
    good, bad, stopped = desk.submit(images=1), desk.submit(images=1), desk.submit(images=1)
    desk.complete(good)
    lease = desk.claim()
    desk.call("fail", token=lease["token"], upto=0, kind="format", policy="fail", text="no")
    desk.ddq("cancel", stopped)
    desk.ddq("wait", good, bad, code=100)
    desk.ddq("wait", bad, stopped, good, code=103)
    desk.ddq("wait", good, "zzzzzz", code=102)


def test_wait_timeout(desk):
    job = desk.submit()
    start = time.monotonic()
    done = desk.ddq("wait", job, "--timeout", "0.3", code=101)
    assert 0.3 <= time.monotonic() - start < 3
    assert f"ddq wait {job}" in done.stderr
    assert "--timeout" in desk.ddq("wait", job, "--timeout", "soon", code=2).stderr


@pytest.mark.parametrize("verb", [["wait"], ["watch"], ["watch", "--json"]])
def test_waiting_ends_soon_after_the_job(desk, verb):
    job = desk.submit(images=2)
    waiter = desk.start_ddq(*verb, job)
    time.sleep(0.3)
    desk.complete(job, fid=2.0)
    start = time.monotonic()
    out, err = waiter.communicate(timeout=10)
    assert waiter.returncode == 0, err
    assert time.monotonic() - start < 2
    if "--json" in verb:
        rows = [json.loads(line) for line in out.splitlines()]
        assert rows[0]["state"] == "queued" and rows[-1]["state"] == "done" and rows[-1]["fid"] == 2.0


def test_progress_without_a_terminal_is_a_line_a_tenth(desk):
    job = desk.submit(images=8)
    watcher = desk.start_ddq("watch", job)
    lease = desk.claim()
    for upto in range(1, 9):
        desk.renew(lease, upto)
        subprocess.run(["redis-cli", "-s", desk.socket, "PUBLISH", f"{{ddq}}:job:{job}:live",
                        json.dumps({"type": "progress", "token": lease["token"], "phase": "images", "upto": upto, "rate": 4})],
                       capture_output=True)
        time.sleep(0.05)
    desk.finish(lease)
    desk.complete(job)
    out, err = watcher.communicate(timeout=10)
    lines = [line for line in err.splitlines() if line.startswith(job)]
    assert "\r" not in err and 3 <= len(lines) <= 14, err
    shares = [int(line.split()[2].rstrip("%")) for line in lines]
    assert shares == sorted(shares) and shares[-1] == 100
    assert lines[-1].split()[1] == "done"


def test_progress_on_a_terminal_is_one_line_redrawn(desk):
    job = desk.submit(images=8)
    lease = desk.claim()
    desk.renew(lease, 4)
    text, code = terminal(desk, ["watch", job], 90, keys=lambda t: b"50%" in t)
    assert code == 130
    assert "\r" in text and "█" in text and "4/8" in text and "10/s" in text and "ETA 0.4s" in text
    assert f"ddq watch {job}" in text
    for line in text.replace("\x1b[K", "").replace("\x1b[34m", "").replace("\x1b[0m", "").split("\r"):
        assert len(line) <= 90, line


def test_submit_wait_and_watch(desk):
    waiter = desk.start_ddq("submit", "digits-demo", "--watch", "--images", "3")
    job = waiter.stdout.readline().strip()
    desk.complete(job, fid=9.5)
    out, err = waiter.communicate(timeout=10)
    assert waiter.returncode == 0 and "9.5000" in out, err
    waiter = desk.start_ddq("submit", "digits-demo", "--wait", "-q")
    job = waiter.stdout.readline().strip()
    desk.ddq("cancel", job)
    out, err = waiter.communicate(timeout=10)
    assert waiter.returncode == 103 and out == ""


# --- Ctrl-C, pipes, Redis that goes away --------------------------------------------------------------------------


@pytest.mark.parametrize("words", WAITING + [["submit", "--wait"], ["submit", "--watch"]])
def test_ctrl_c_detaches_and_never_cancels(desk, words):
    if words[0] == "submit":
        waiter = desk.start_ddq(*words, "digits-demo")
        job = waiter.stdout.readline().strip()
    else:
        job = desk.submit()
        waiter = desk.start_ddq(*words, job)
    time.sleep(0.4)
    assert waiter.poll() is None
    waiter.send_signal(signal.SIGINT)
    _, err = waiter.communicate(timeout=5)
    assert waiter.returncode == 130, err
    assert f"{job}" in err and "the job goes on" in err and "ddq " in err
    assert desk.json("show", job)["state"] == "queued"


def test_ctrl_c_while_redis_is_frozen(desk):
    """Any verb, in the middle of a call that gets no answer."""
    desk.ddq("ls")
    os.kill(desk.server.pid, signal.SIGSTOP)
    try:
        for words in (["ls"], ["show", "abcdef"], ["submit", "digits-demo"], ["gpus"], ["cancel", "abcdef"], ["doctor"]):
            client = desk.start_ddq(*words)
            time.sleep(0.3)
            assert client.poll() is None, words
            client.send_signal(signal.SIGINT)
            client.communicate(timeout=5)
            assert client.returncode == 130, words
    finally:
        os.kill(desk.server.pid, signal.SIGCONT)


def test_a_frozen_redis_is_said_after_five_seconds(desk):
    desk.ddq("ls")
    os.kill(desk.server.pid, signal.SIGSTOP)
    start = time.monotonic()
    try:
        done = desk.ddq("ls", code=69)
    finally:
        os.kill(desk.server.pid, signal.SIGCONT)
    assert "did not answer" in done.stderr and time.monotonic() - start < 8


def test_a_closed_pipe_is_quiet(desk):
    for _ in range(3):
        desk.submit()
    for words in ("ls", "ls --json", "help --markdown", "recipes --json"):
        done = subprocess.run(["bash", "-c", f"for i in 1 2 3; do '{DDQ}' {words} | head -c 1; done >/dev/null"], env=desk.env,
                              capture_output=True, text=True)
        assert done.stderr == ""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([DDQ, "ls"], env=desk.env, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert done.returncode == -signal.SIGPIPE and done.stderr == ""
    with open("/dev/full", "w") as full:
        done = subprocess.run([DDQ, "ls"], env=desk.env, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and "No space left" in done.stderr


EVERY_CALL = [["submit", "digits-demo"], ["ls"], ["show", "abcdef"], ["watch", "abcdef"], ["wait", "abcdef"], ["logs", "abcdef"],
              ["logs", "-f", "abcdef"], ["cancel", "abcdef"], ["hold", "abcdef"], ["release", "abcdef"], ["models"], ["gpus"],
              ["run", "digits-demo"], ["doctor"]]


def test_unreachable_in_every_verb(desk):
    for url in (f"unix:{desk.folder}/nobody.sock", "localhost:1", "redis://:secret@localhost:1/2"):
        for words in EVERY_CALL:
            done = desk.ddq(*words, "--redis", url, code=69)
            text = done.stderr + (done.stdout if words == ["doctor"] else "")
            assert "cannot be reached" in text and "ddqd" in text and "secret" not in text, text
    assert "TLS" in desk.ddq("ls", "--redis", "rediss://h", code=2).stderr


def test_waiting_survives_a_restart_of_redis():
    desk = Desk("--appendonly", "yes", "--appendfsync", "always")
    try:
        job = desk.submit(images=1)
        waiter = desk.start_ddq("wait", job)
        watcher = desk.start_ddq("watch", job)
        time.sleep(0.3)
        desk.stop()
        time.sleep(0.7)
        assert waiter.poll() is None and watcher.poll() is None
        desk.start()
        desk.complete(job)
        for process in (waiter, watcher):
            out, err = process.communicate(timeout=10)
            assert process.returncode == 0 and "waiting for it" in err, err
    finally:
        desk.close()


def test_a_lost_record_is_never_done(desk):
    job = desk.submit()
    waiter = desk.start_ddq("wait", job)
    time.sleep(0.3)
    subprocess.run(["redis-cli", "-s", desk.socket, "FLUSHALL"], capture_output=True)
    _, err = waiter.communicate(timeout=5)
    assert waiter.returncode == 102 and "not found" in err


def test_passwords(desk):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for setting in (["port", port], ["requirepass", "hu/sh"]):
        subprocess.run(["redis-cli", "-s", desk.socket, "CONFIG", "SET", *map(str, setting)], capture_output=True)
    assert desk.ddq("ls", "--redis", f"redis://:hu%2Fsh@localhost:{port}/0").stdout == ""
    assert "password" in desk.ddq("ls", "--redis", f"localhost:{port}", code=77).stderr
    done = desk.ddq("ls", "--redis", f"redis://:guess@localhost:{port}", code=77)
    assert "wrong" in done.stderr and "guess" not in done.stderr
    waiter = desk.start_ddq("submit", "digits-demo", "--wait", "--redis", f"redis://:hu%2Fsh@localhost:{port}")
    job = waiter.stdout.readline().strip()
    desk.ddq("cancel", job, "--redis", f"redis://:hu%2Fsh@localhost:{port}")
    waiter.communicate(timeout=10)
    assert waiter.returncode == 103


@pytest.mark.parametrize("answer, code, words", [
    (b"-ERR unknown command 'FCALL'\r\n", 69, ["7.0"]),
    (b"-LOADING Redis is loading the dataset in memory\r\n", 69, ["moment"]),
    (b"-NOAUTH Authentication required.\r\n", 77, ["password"]),
    (b"-MISCONF Redis is configured to save RDB snapshots\r\n", 75, ["disk"]),
    (b"-OOM command not allowed\r\n", 75, ["memory"]),
    (b":7\r\n", 1, ["not text"]),
    (b"$5\r\nhello\r\n", 1, ["hello"]),
    (b"HTTP/1.1 400 Bad Request\r\n", 69, ["Redis at"]),
])
def test_strange_servers(desk, answer, code, words):
    listener = socket.create_server(("127.0.0.1", 0))
    child = os.fork()
    if child == 0:
        while True:
            connection, _ = listener.accept()
            while connection.recv(65536):
                connection.sendall(answer)
    try:
        done = desk.ddq("ls", "--redis", f"127.0.0.1:{listener.getsockname()[1]}", code=code)
        for word in words:
            assert word in done.stderr
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        listener.close()


# --- run ----------------------------------------------------------------------------------------------------------

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
    desk = Desk()
    desk.stop()
    for name in ("bin", ".local", ".local/state", ".local/state/ddq"):
        (desk.folder / name).mkdir()
    shutil.copy(DDQ, desk.folder / "bin/ddq")
    (desk.folder / "bin/ddqd").write_text(FAKE_DAEMON)
    (desk.folder / "bin/ddqd").chmod(0o755)
    desk.state = desk.folder / ".local/state/ddq"
    desk.env.pop("DDQ_REDIS")
    desk.job = json.dumps({"model": "digits", "t_list": [0], "split_t": 2, "images": 3})
    yield desk
    if (desk.state / "pids").exists():
        for pid in map(int, (desk.state / "pids").read_text().split()[:2]):
            os.kill(pid, signal.SIGKILL)
    desk.close()


def run(desk, *words):
    return subprocess.Popen([desk.folder / "bin/ddq", "run", "-", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, env=desk.env, cwd=desk.folder)


def test_run_starts_a_daemon_once(bench):
    out, err = run(bench).communicate(bench.job, timeout=20)
    assert "starting" in err and "ddqd.log" in err and "done 100%" in err, err
    pid, _, session = map(int, (bench.state / "pids").read_text().split())
    os.kill(pid, 0)  # it outlives the client, in a session of its own
    assert session == pid and "a line for the log" in (bench.state / "ddqd.log").read_text()
    second = run(bench, "--json")
    out, err = second.communicate(bench.job, timeout=20)
    assert second.returncode == 0 and "starting" not in err, err
    assert json.loads(out.splitlines()[-1])["state"] == "done"


def test_run_of_a_daemon_that_ends_says_why(bench):
    (bench.state / "refuse").write_text("")
    start = time.monotonic()
    first = run(bench)
    _, err = first.communicate(bench.job, timeout=20)
    assert first.returncode == 69 and "not to be used" in err and time.monotonic() - start < 10, err


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
    time.sleep(0.2)
    first.send_signal(signal.SIGINT)
    _, err = first.communicate(timeout=10)
    assert first.returncode == 130 and f"ddq watch {job}" in err, err
    os.kill(int((bench.state / "pids").read_text().split()[0]), 0)
    bench.env["DDQ_REDIS"] = f"unix:{bench.state}/redis.sock"
    assert bench.json("show", job)["state"] == "queued"


def test_run_starts_nothing_for_a_redis_that_is_named(desk):
    done = desk.ddq("run", "digits-demo", code=69)
    assert "no ddqd serves" in done.stderr and desk.json("ls")["jobs"] == []


# --- the command line ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words, said", [
    ([], "a verb is missing"),
    (["sumbit"], "Did you mean 'submit'?"),
    (["xyzzy"], "unknown verb"),
    (["ls", "--al"], "Did you mean '--all'?"),
    (["ls", "--limit"], "wants a value"),
    (["ls", "--all=3"], "takes no value"),
    (["ls", "-aq"], "one by one"),
    (["ls", "here"], "too many"),
    (["show"], "missing"),
    (["show", "a", "b"], "too many"),
    (["submit", "--t-lst", "0"], "--t-list"),
    (["submit", "--model", "digits", "--t-list", "0", "--split-t", "1", "--images", "many"], "images"),
    (["help", "sumbit"], "unknown verb"),
    (["completion", "fish"], "bash"),
    (["ls", "--limit", "0"], "--limit"),
])
def test_usage(desk, words, said):
    done = desk.ddq(*words, code=2)
    assert said in done.stderr and done.stdout == ""


def test_help_and_version(desk):
    verbs = "submit run ls show watch wait logs cancel hold release models recipes gpus doctor completion version help".split()
    text = desk.ddq("help").stdout
    for verb in verbs:
        assert f"  {verb} " in text
        shown = desk.ddq(verb, "--help").stdout
        assert shown.startswith(f"usage  ddq {verb}") and "--redis" in shown
        assert desk.ddq("help", verb).stdout == shown
    assert desk.ddq("--help").stdout == text
    assert "t_list" in desk.ddq("submit", "--help").stdout
    assert desk.ddq("version").stdout == desk.ddq("--version").stdout
    assert desk.json("version")["queue"] == 1


def test_docs_are_what_the_program_says(desk):
    assert desk.ddq("help", "--markdown").stdout == (ROOT / "docs/cli.md").read_text(), "ddq help --markdown > docs/cli.md"


def test_json_on_every_verb(desk):
    desk.beat()
    job = desk.submit(images=1)
    for words in (["ls"], ["show", job], ["models"], ["recipes"], ["gpus"], ["version"], ["hold", job], ["release", job],
                  ["submit", "digits-demo"]):
        assert isinstance(desk.json(*words), dict), words
    checks = json.loads(desk.ddq("doctor", "--json", code=1).stdout)["checks"]
    assert {c["status"] for c in checks} <= {"ok", "bad", "skipped"} and all(c["text"] for c in checks)
    desk.complete(job)
    assert desk.json("wait", job)["jobs"][0]["state"] == "done"
    assert json.loads(desk.ddq("watch", job, "--json").stdout)["state"] == "done"


def test_doctor():
    desk = Desk("--appendonly", "yes", "--appendfsync", "always")
    try:
        checks = {c["name"]: c for c in json.loads(desk.ddq("doctor", "--json", code=1).stdout)["checks"]}
        assert checks["daemons"]["status"] == "bad" and checks["output folder"]["status"] == "skipped"
        assert checks["persistence"]["status"] == "ok" and checks["queue library"]["status"] == "ok"
        desk.beat()
        text = desk.ddq("doctor").stdout
        assert "bad" not in text and "1 workers" in text or "workers: 1" in text
        subprocess.run(["redis-cli", "-s", desk.socket, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru"], capture_output=True)
        out = desk.ddq("doctor", "--quiet", code=1).stdout
        assert "noeviction" in out and len(out.splitlines()) == 2
        conf = desk.folder / "d.conf"
        conf.write_text("[model gone]\nstudent = nowhere.pt\ntokenizer = t.pt\n")
        assert "nowhere.pt" in desk.ddq("doctor", "--conf", conf, code=1).stdout
        conf.write_text("[modle gone]\nstudent = nowhere.pt\n")
        assert "d.conf:2" in desk.ddq("doctor", "--conf", conf, code=1).stdout
    finally:
        desk.close()


def test_a_bad_configuration_stops_with_file_and_line(desk):
    conf = desk.folder / "ddq.conf"
    conf.write_text("[daemon]\nrediss = x\n")
    for words in (["ls"], ["submit", "digits-demo"], ["recipes"]):
        done = desk.ddq(*words, "--conf", conf, code=2)
        assert f"{conf}:2" in done.stderr and "redis" in done.stderr
    assert desk.ddq("version", "--conf", conf).stdout  # which needs none


def test_completion(desk):
    job = desk.submit()
    script = desk.ddq("completion", "bash").stdout
    ask = """
        PATH={bin}:$PATH; source /dev/stdin <<<"$SCRIPT"
        complete_words() {{ COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _ddq 2>/dev/null; echo "${{COMPREPLY[@]}}"; }}
        complete_words ddq su; complete_words ddq show ''; complete_words ddq submit --t-l; complete_words ddq recipes l-t
    """.format(bin=BIN)
    out = subprocess.run(["bash", "-c", ask], env={**desk.env, "SCRIPT": script}, capture_output=True, text=True)
    lines = out.stdout.splitlines()
    assert lines == ["submit", f"@ {job}", "--t-list", "l-teacher-22 l-teacher-42 l-teacher-81"], out


def test_speed_of_1000_jobs(desk):
    """Printed, not judged: the machine may be busy."""
    job = {"model": "digits", "t_list": [0, 20], "split_t": 20, "images": 10}
    desk.ddq("submit", "-", "-q", stdin=json.dumps([job] * 1000))
    times = {"ls": [], "version": []}
    for verb in times:
        for _ in range(9):
            start = time.monotonic()
            out = desk.ddq(verb).stdout
            times[verb].append(time.monotonic() - start)
    assert len(desk.ddq("ls", "-q").stdout.split()) == 1000
    for verb, seconds in times.items():
        print(f"ddq {verb}: median {sorted(seconds)[4] * 1000:.1f} ms")

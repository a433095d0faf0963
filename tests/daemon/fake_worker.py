#!/usr/bin/python3
"""A scripted worker: uses the protocol of spec/proto.h on fd 3, and fails on request.

The job's free text `recipe` has the faults, as words "NAME=VALUE":
    ms=N              an image takes N ms (default 2)
    once=crash        at the middle of the range: kill -9 itself, the first time for this job
    always=crash      ... every time
    peak=N            reports that a range took N MiB
    uncounted=1       the first survey reports no number of images
    crash, silent, malformed, inconsistent, early, stranger, deaf, exit, fail:KIND     what `once` and `always` can be
FAKE_WORKER in the environment is the kind of start: good (default), version, mute, exit. FAKE_FREE is a file with the MiB
that it says it has free.
Image i is the file images/00000i.png, its bytes depend on i and the seed alone; trace.txt has who made what.
"""
import fcntl
import hashlib
import json
import os
import pathlib
import select
import signal
import sys
import threading
import time

lock = threading.Lock()


def say(message_type, **fields):
    line = json.dumps({"type": message_type, **fields}).encode() + b"\n"
    with lock:
        while line:
            line = line[os.write(3, line):]


class Inbox:
    """Lines of fd 3, without waiting or until one comes. EOF ends the process, as it must."""

    def __init__(self):
        self.bytes = b""

    def get(self, wait):
        while b"\n" not in self.bytes:
            if not select.select([3], [], [], None if wait else 0)[0]:
                return None
            got = os.read(3, 65536)
            if not got:
                os._exit(0)
            self.bytes += got
        line, self.bytes = self.bytes.split(b"\n", 1)
        return json.loads(line)


def misbehave(how, work, upto):
    print(f"misbehaves: {how}", file=sys.stderr, flush=True)
    if how == "crash":
        print("about to crash", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "exit":
        os._exit(3)
    if how == "silent":
        Alive.on = False
        time.sleep(3600)
    if how == "malformed":
        os.write(3, b"what a nice day {\n")
        time.sleep(3600)
    if how == "inconsistent":
        say("progress", token=work["token"], upto=work["hi"] + 7, rate=1.0, stage="sample")
    if how == "early":
        say("finished", token=work["token"], upto=upto, ms=1)
    if how == "stranger":
        say("finished", token="somebody-else", upto=work["hi"], ms=1)
    if how in ("inconsistent", "early", "stranger", "deaf"):
        time.sleep(3600)  # alive, but it reads no message


class Alive:
    on = True

    @staticmethod
    def run():
        while True:
            time.sleep(0.3)
            if Alive.on:
                say("alive", **Alive.memory())

    @staticmethod
    def memory():
        free = os.environ.get("FAKE_FREE")
        return {"free_mib": int(pathlib.Path(free).read_text())} if free else {}


def seen_before(folder, name):
    try:
        os.close(os.open(folder / f".{name}", os.O_CREAT | os.O_EXCL))
        return False
    except FileExistsError:
        return True


def fault_of(words, folder, phase):
    if phase != "images":
        return None
    if "always" in words:
        return words["always"]
    if "once" in words and not seen_before(folder, "once"):
        return words["once"]
    return None


def make_image(folder, spec, i, token):
    path = folder / "images" / f"{i:06d}.png"
    new = not path.exists()
    if new:
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_bytes(f"image {i} of seed {spec.get('seed', 0)}\n".encode())
        part.rename(path)
    with open(folder / "trace.txt", "a") as trace:
        fcntl.flock(trace, fcntl.LOCK_EX)
        trace.write(f"{os.getpid()} {token} {i} {'made' if new else 'skipped'} {time.time():.6f}\n")
    return new


def work_on(inbox, work):
    """Returns True when the worker shall stop."""
    spec, token, lo, hi = work["spec"], work["token"], work["lo"], work["hi"]
    folder = pathlib.Path(spec["output"])
    (folder / "images").mkdir(parents=True, exist_ok=True)
    words = dict(w.split("=", 1) for w in spec.get("recipe", "").split() if "=" in w)
    fault = fault_of(words, folder, work["phase"])
    started, stop = time.monotonic(), False
    if work["phase"] == "survey":
        lost = "uncounted" in words and not seen_before(folder, "uncounted")
        say("finished", token=token, upto=hi, ms=1, **({} if lost else {"images": len(os.listdir(spec["images"]))}))
        return False
    if work["phase"] == "report":
        (folder / "report.json").write_text(json.dumps({"images": len(list((folder / "images").glob("*.png")))}))
        say("finished", token=token, upto=hi, ms=1)
        return False
    say("log", level="info", text=f"works on {lo}-{hi}")
    for i in range(lo, hi):
        if fault and i == (lo + hi) // 2:
            if fault.startswith("fail:"):
                say("failed", token=token, upto=i, kind=fault[5:], policy="retry", text=f"made to fail with {fault[5:]}")
                return False
            misbehave(fault, work, i)
        if make_image(folder, spec, i, token):
            time.sleep(float(words.get("ms", 2)) / 1000)
        say("progress", token=token, upto=i + 1, rate=100.0, stage="sample")
        while (message := inbox.get(wait=False)):
            stop = stop or message["type"] == "stop"
            if message["type"] == "stop" or message.get("token") == token:
                say("yielded", token=token, upto=i + 1)
                return stop
    peak = {"peak_mib": int(words["peak"])} if "peak" in words else {}
    say("finished", token=token, upto=hi, ms=round((time.monotonic() - started) * 1000), **peak)
    return False


def look(inbox):
    """Hashes alone: what is in the files is no model."""
    def sha256(path):
        return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
    while True:
        message = inbox.get(wait=True)
        models = {name: {"files": {role: sha256(path) for role, path in model["files"].items()}} for name, model in message["models"].items()}
        references = {name: {"sha256": sha256(path)} for name, path in message["references"].items()}
        say("seen", models=models, references=references, networks={path: sha256(path) for path in message["networks"]}, paths={})


def main():
    if sys.argv[1:2] == ["look"]:
        return look(Inbox())
    how = os.environ.get("FAKE_WORKER", "good")
    if how == "exit":
        print("no device found", file=sys.stderr)
        sys.exit(4)
    if how == "mute":
        time.sleep(3600)
    say("hello", version=99 if how == "version" else 4, pid=os.getpid(), device="cpu", name="fake", memory_mib=64)
    threading.Thread(target=Alive.run, daemon=True).start()
    inbox, loaded = Inbox(), set()
    while True:
        message = inbox.get(wait=True)
        if message["type"] == "stop":
            return
        if message["type"] == "work":
            student = message["spec"].get("student")
            if student and student not in loaded:
                loaded.add(student)
                say("loaded", job=message["job"], seconds=0.01, warm=sorted(loaded))
            if work_on(inbox, message):
                return


if __name__ == "__main__":
    main()

#!/usr/bin/python3
"""From submit to the worker's first step: a warm digits worker, a private Redis with appendfsync always.

    bench/latency.py [--count N] [--folder DIR]      DIR: where state and output lie (default /tmp)

Times from before the submit call: the call's answer; the job's state is running; the worker's first progress message has
come back over the live channel (so the true first step is a little earlier). Two writes of Redis reach the disk in
between, submit and claim, so the disk's sync time is printed beside them."""
import argparse
import json
import os
import pathlib
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path += [str(ROOT / "tests/daemon"), str(ROOT / "tests/e2e")]
from harness import Farm  # noqa: E402
from resp import Redis  # noqa: E402


def sync_ms(folder):
    path = pathlib.Path(folder) / "sync.test"
    times = []
    with open(path, "wb", buffering=0) as file:
        for _ in range(30):
            start = time.perf_counter()
            file.write(b"x" * 300)
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - start) * 1000)
    path.unlink()
    return sorted(times)[15]


def one(redis, path, job, seed):
    ears = Redis(path)
    ears.call("SUBSCRIBE", "{ddq}:job:%s:live" % job)
    time.sleep(0.05)
    spec = {"kind": "sample", "model": "digits", "t_list": [0, 20], "split_t": 20, "images": 1, "seed": seed}
    start, times = time.perf_counter(), {}
    redis.fcall("submit", id=job, user="bench", kind="sample", model="digits", images=1, needs=["model:digits"], spec=spec)
    times["submit answered"] = time.perf_counter() - start
    while "first step" not in times:
        message = json.loads(ears.read()[2])
        if message.get("state") == "running":
            times.setdefault("running", time.perf_counter() - start)
        if message.get("type") == "progress":
            times["first step"] = time.perf_counter() - start
    ears.close()
    while redis.fcall("show", id=job)["job"]["state"] != "done":
        time.sleep(0.005)
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--folder", default="/tmp")
    args = parser.parse_args()
    plain = tempfile.mkdtemp
    tempfile.mkdtemp = lambda **words: plain(**{**words, "dir": args.folder})
    with Farm() as farm:
        redis = Redis(farm.url[len("unix:"):])
        rows = [one(redis, farm.url[len("unix:"):], f"bench{i:05d}".replace("l", "1"), i) for i in range(args.count + 3)][3:]
        redis.close()
    for name in rows[0]:
        values = sorted(row[name] * 1000 for row in rows)
        print(f"{name:16s} median {values[len(values) // 2]:6.2f} ms   p90 {values[len(values) * 9 // 10]:6.2f} ms")
    print(f"{'fdatasync':16s} median {sync_ms(args.folder):6.2f} ms")


main()

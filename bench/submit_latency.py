#!/usr/bin/python3
"""Milliseconds from a submit to the worker's first step, on an idle warm worker, through the real programs.

    bench/submit_latency.py [JOBS]        programs from build/dev/bin, or DDQ_BIN

The clock starts before the submit is sent and stops when the worker's first progress message (its first stage) has come all
the way back on the job's live channel, so the figure is an upper bound of submit-to-step."""
import json
import pathlib
import socket
import statistics
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/e2e"), str(ROOT / "tests/daemon")]
from harness import DIGITS_JOB, Farm  # noqa: E402
from resp import Redis  # noqa: E402

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def main():
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    spec = {k: v for k, v in DIGITS_JOB.items() if k not in ("reference", "save", "images")} | {"images": 1}
    with Farm() as farm:
        path = farm.url.removeprefix("unix:")
        commands, live = Redis(path), Redis(path)
        live.call("PSUBSCRIBE", "{ddq}:job:*:live")
        times = []
        for i in range(jobs + 5):
            job = "aaaaaa" + "".join(ALPHABET[i // 32**k % 32] for k in range(4))
            start = time.perf_counter()
            commands.fcall("submit", id=job, user="bench", kind="sample", model="digits", images=1, new=True, spec=spec,
                           needs=["model:digits"])
            while True:
                event = json.loads(live.read()[3])
                if event.get("job") == job and event.get("type") == "progress":
                    break
            times.append((time.perf_counter() - start) * 1000)
            while event.get("state") not in ("done", "failed"):
                event = json.loads(live.read()[3])
                event = event if event.get("job") == job else {}
            assert event["state"] == "done", event
            time.sleep(0.05)  # the worker is idle again
        times = sorted(times[5:])  # the first ones load the model
        print(f"submit to first step, {jobs} jobs: median {statistics.median(times):.1f} ms, "
              f"p99 {times[int(len(times) * 0.99)]:.1f} ms, least {times[0]:.1f} ms")


if __name__ == "__main__":
    try:
        main()
    except socket.timeout:
        sys.exit("no progress within 5 s")

#!/usr/bin/python3
"""What a daemon costs that serves many workers and a long queue: its processor time and memory.

    bench/daemon_load.py [JOBS [WORKERS [SECONDS]]]     10000, 64, 30

A real ddqd with its own Redis and fake workers (tests/daemon/fake_worker.py), which take a second per image, report
progress after each and send `alive` three times a second: more messages than a real worker sends. The jobs are of
twenty users. Measured after all workers work."""
import pathlib
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/daemon")]
from fake_farm import Farm  # noqa: E402
from wait import wait_for  # noqa: E402


def processor(pid):
    """Seconds of processor time, to the nanosecond: the clock that clock_getcpuclockid(3) names."""
    return time.clock_gettime((~pid << 3) | 2)


def memory_mb(pid, field):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"/proc/{pid}/status has no {field}")


def commands(redis):
    return {line.split(":")[0]: int(line.split("calls=")[1].split(",")[0]) for line in redis.call("INFO", "commandstats").split()
            if "calls=" in line}


def submit(farm, jobs):
    for i in range(jobs):
        spec = {"kind": "sample", "model": "m", "t_list": [0, 4], "split_t": 4, "images": 30, "seed": i, "recipe": "ms=1000"}
        reply = farm.redis.fcall("submit", id=f"jb{i:08d}", user=f"user{i % 20}", kind="sample", model="m", images=30,
                                 needs=["model:m"], spec=spec)
        assert reply["status"] == "ok", reply


def main(jobs=10000, workers=64, seconds=30):
    farm = Farm("--log-level", "info", workers=f"cpu:{workers}")
    farm.conf.write_text("".join(line + "\n" for line in farm.conf.read_text().splitlines() if "_ms" not in line))  # those of a lab
    with farm:
        empty = memory_mb(farm.daemon.pid, "VmRSS")
        submit(farm, jobs)

        def busy():
            hosts = farm.redis.fcall("hosts")["hosts"]
            return hosts and sum(bool(worker["job"]) for worker in hosts[0]["workers"]) == workers

        wait_for(busy, "all workers work")
        redis_pid, before, calls = farm.redis_pid(), None, commands(farm.redis)
        before, start = (processor(farm.daemon.pid), processor(redis_pid)), time.monotonic()
        time.sleep(seconds)
        spent = time.monotonic() - start
        daemon, redis = (processor(pid) - b for pid, b in zip((farm.daemon.pid, redis_pid), before))
        now = commands(farm.redis)
        ended = farm.redis.fcall("list", state="done", limit=10000, rows=True)["rows"]
        print(f"{jobs} jobs, {workers} fake workers, {spent:.0f} s: ddqd {100 * daemon / spent:.2f}% of a core, "
              f"{memory_mb(farm.daemon.pid, 'VmRSS'):.1f} MB (most {memory_mb(farm.daemon.pid, 'VmHWM'):.1f}, {empty:.1f} without jobs); "
              f"redis-server {100 * redis / spent:.2f}%, {memory_mb(redis_pid, 'VmRSS'):.1f} MB, "
              f"{(now['cmdstat_fcall'] - calls['cmdstat_fcall']) / spent:.0f} calls a second; {len(ended)} jobs were done")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

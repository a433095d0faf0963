"""Random faults, one after the other, on two hosts, four workers, one Redis and a dozen jobs; then no more faults, and every
job must end correctly. As many faults as fit into DDQ_CHAOS_SECONDS (6), or DDQ_CHAOS_FAULTS of them; DDQ_CHAOS_SEED repeats a run."""
import os
import random
import shutil
import signal
import threading
import time

from fake_farm import Farm, alive, aof_of, start_redis
from wait import DEADLINE, wait_for

SECONDS = float(os.environ.get("DDQ_CHAOS_SECONDS", 6))
FAULTS = int(os.environ.get("DDQ_CHAOS_FAULTS", 0))
SEED = int(os.environ.get("DDQ_CHAOS_SEED", 0)) or int(time.time())
MISCHIEF = ["ms=4", "ms=4 once=crash", "ms=4 once=exit", "ms=4 once=malformed", "ms=4 once=inconsistent", "ms=4 once=early",
            "ms=4 once=stranger", "ms=4 once=silent", "ms=4 once=deaf", "ms=4 once=fail:memory", "ms=4 once=fail:device"]
IMAGES = 150


class Chaos:
    def __init__(self, hosts):
        self.first, self.hosts = hosts[0], hosts
        self.dice = random.Random(SEED)
        self.jobs, self.counts, self.timers = {}, {}, []
        for host in hosts:
            host.daemon = host.spawn()

    def later(self, seconds, what):
        timer = threading.Timer(seconds, what)
        timer.start()
        self.timers.append(timer)

    def call(self, name, **args):
        """A call of the queue that is repeated until Redis is there and has its library."""
        end = time.monotonic() + DEADLINE
        while True:
            try:
                return self.first.redis.fcall(name, **args)
            except (OSError, RuntimeError, AttributeError, ValueError):
                assert time.monotonic() < end, "Redis does not come back"
                time.sleep(0.05)
                try:
                    self.first.connect()
                except (OSError, RuntimeError):
                    pass

    def submit(self, number=0):
        number = number or len(self.jobs) + 1
        job, how = f"jb{number:08d}", MISCHIEF[number % len(MISCHIEF)]
        spec = {"kind": "sample", "model": "m", "t_list": [0, 4], "split_t": 4, "images": IMAGES, "seed": number, "recipe": how}
        assert self.call("submit", id=job, user="ada", kind="sample", model="m", images=IMAGES, needs=["model:m"],
                         spec=spec)["status"] == "ok"
        self.jobs[job] = how

    # --- faults: the system must recover from each by itself ---

    def signal(self, pid, number):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass

    def freeze(self, pid, seconds):
        self.signal(pid, signal.SIGSTOP)
        self.later(seconds, lambda: self.signal(pid, signal.SIGCONT))

    def a_worker(self):
        return self.dice.choice(self.dice.choice(self.hosts).leftovers() or [self.hosts[0].daemon.pid])

    def kill_worker(self):
        self.signal(self.a_worker(), signal.SIGKILL)

    def freeze_worker(self):
        self.freeze(self.a_worker(), self.dice.uniform(0.05, 2))

    def restart(self, host, how):
        host.daemon.send_signal(how)
        if how == signal.SIGKILL:
            host.daemon.send_signal(signal.SIGCONT)
        try:
            host.daemon.wait(timeout=5)  # part of the fault
        except Exception:  # frozen a moment ago: no drain today
            host.daemon.kill()
            host.daemon.wait()
        host.daemon.stdout.close()
        host.daemon = host.spawn()

    def kill_daemon(self):
        self.restart(self.dice.choice(self.hosts), signal.SIGKILL)

    def drain_daemon(self):
        self.restart(self.dice.choice(self.hosts), signal.SIGTERM)

    def freeze_daemon(self):
        self.freeze(self.dice.choice(self.hosts).daemon.pid, self.dice.uniform(0.1, 2.5))

    def kill_redis(self, cut=0):
        self.first.server.kill()
        self.first.server.wait()
        if cut:
            file = aof_of(self.first.folder)
            os.truncate(file, max(0, file.stat().st_size - cut))
        time.sleep(self.dice.uniform(0, 0.3))
        self.first.server = start_redis(self.first.folder)

    def cut_redis(self):
        """And what Redis leaves of a transaction that was cut must not come to life later (daemon/redis/handshake.c)."""
        self.kill_redis(cut=self.dice.randrange(1, 2000))
        wait_for(lambda: self.rewritten(), "the file is written anew")

    def rewritten(self):
        try:
            self.first.connect()
            info = self.first.redis.call("INFO", "persistence")
            return "aof_last_bgrewrite_status:ok" in info and "aof_last_rewrite_time_sec:-1" not in info
        except (OSError, RuntimeError):
            return False

    def freeze_redis(self):
        self.freeze(self.first.server.pid, self.dice.uniform(0.05, 0.5))

    def drop_connections(self):
        self.command("CLIENT", "KILL", "TYPE", "normal")

    def lose_library(self):
        self.command("FUNCTION", "FLUSH")

    def command(self, *words):
        try:
            self.first.redis.call(*words)
        except (OSError, RuntimeError):
            pass

    def hold(self):
        job = self.dice.choice(list(self.jobs))
        self.call("hold", id=job, user="ada")
        self.call("release", id=job, user="ada")

    def drain_worker(self):
        self.call("drain", host="h1", worker="cpu:1", user="ada")
        time.sleep(0.05)
        self.call("resume", host="h1", user="ada")

    def reload(self):
        self.dice.choice(self.hosts).daemon.send_signal(signal.SIGHUP)

    KINDS = [(kill_worker, 6), (freeze_worker, 3), (kill_daemon, 2), (drain_daemon, 1), (freeze_daemon, 2), (kill_redis, 2),
             (cut_redis, 1), (freeze_redis, 2), (drop_connections, 3), (lose_library, 1), (hold, 1), (drain_worker, 1), (reload, 1)]

    def fault(self):
        kind = self.dice.choices([k for k, _ in self.KINDS], [w for _, w in self.KINDS])[0]
        kind(self)
        self.counts[kind.__name__] = self.counts.get(kind.__name__, 0) + 1

    def peace(self):
        for timer in self.timers:
            timer.join()
        for host in self.hosts:
            if not alive(host.daemon.pid):
                host.daemon.wait()
                host.daemon = host.spawn()
        self.call("resume", host="h1", user="ada")
        for job in self.jobs:  # whose submit or release was in the second that Redis lost: people say it again
            state = self.call("show", id=job)
            if state["status"] == "not_found":
                self.submit(int(job[2:]))
            elif state["job"]["state"] == "held" and state["job"]["reason"] == "held by ada":
                self.call("release", id=job, user="ada")


def check(chaos, job):
    first = chaos.first
    state = chaos.call("show", id=job)
    assert state["status"] == "ok", f"{job} is gone: {state}"
    assert state["leases"] == [] and state["job"]["done"] == IMAGES and state["job"]["bad"] == 0, (job, chaos.jobs[job], state)
    for i in range(IMAGES):
        assert (first.output(job) / "images" / f"{i:06d}.png").read_text() == f"image {i} of seed {int(job[2:])}\n"
    assert (first.output(job) / "report.json").exists()


def test_every_job_ends_right_whatever_happens():
    hosts = [Farm("--host", name, "--silence-s", "1", "--work-s", "2", workers="cpu:2", standalone=False) for name in ("h1", "h2")]
    hosts[1].socket, hosts[1].root = hosts[0].socket, hosts[0].root
    hosts[0].server = start_redis(hosts[0].folder)
    hosts[0].connect()
    chaos = Chaos(hosts)
    good = False
    try:
        chaos.submit()
        wait_for(lambda: len(hosts[0].trace("jb00000001")) > 5, "work has begun")
        end, count = time.monotonic() + SECONDS, 0
        while count < FAULTS if FAULTS else time.monotonic() < end:
            if len(chaos.jobs) < 12 or count % 8 == 0:
                chaos.submit()
            chaos.fault()
            count += 1
            time.sleep(chaos.dice.uniform(0, 0.15))
        chaos.peace()

        def open_jobs():
            shown = [chaos.call("show", id=job)["job"] for job in chaos.jobs]
            return [(job["id"], job["state"], job["done"], job["reason"]) for job in shown if job["state"] != "done"]

        end = time.monotonic() + DEADLINE
        while left := open_jobs():
            assert time.monotonic() < end, f"not ended: {left}"
            time.sleep(0.05)
        rows = [row for job in chaos.jobs for row in hosts[0].trace(job)]
        made = sum(row[3] == "made" for row in rows)
        print(f"seed {SEED}: {count} faults {chaos.counts}; {len(chaos.jobs)} jobs, {made} images made, "
              f"{len(rows) - made} looked at again")
        for job in chaos.jobs:
            check(chaos, job)
        assert made <= len(chaos.jobs) * IMAGES + count  # at most the one under way is made again
        good = True
    finally:
        print(f"DDQ_CHAOS_SEED={SEED}")
        for timer in chaos.timers:
            timer.join()
        for host in hosts:
            host.stop()
        hosts[0].server.kill()
        hosts[0].server.wait()
        for host in hosts:
            if good:
                shutil.rmtree(host.folder, ignore_errors=True)
            else:
                print(host.folder, host.log()[-3000:])

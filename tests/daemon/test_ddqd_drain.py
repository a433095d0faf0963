"""ddq drain and resume: a host, or one worker of it, is kept from work, by the real ddqd and the real client."""
import json
import subprocess

import pytest

from fake_farm import BIN, Farm, alive
from wait import DEADLINE, wait_for


@pytest.fixture(scope="module")
def farm():
    with Farm("--host", "h1", workers="cpu:2") as shared:
        wait_for(lambda: shared.log().count("ready about=") == 2, "both workers are there")
        yield shared


def ddq(farm, *words, code=0):
    done = subprocess.run([BIN / "ddq", *words, "--redis", f"unix:{farm.socket}"], capture_output=True, text=True,
                          env={**farm.env, "DDQ_AS": "bob", "NO_COLOR": "1"}, timeout=DEADLINE)
    assert done.returncode == code, (words, done)
    return done.stdout + done.stderr


def states(farm):
    host = farm.redis.fcall("hosts")["hosts"][0]
    return {worker["name"]: worker["state"] for worker in host["workers"]}


def test_a_drained_host_gives_back_and_frees_its_devices(farm):
    job = farm.submit(images=400, how="ms=10")
    wait_for(lambda: len({row[0] for row in farm.trace(job)}) == 2, "both work")
    pids = {row[0] for row in farm.trace(job)}
    assert "drained by bob: a new fan" in ddq(farm, "drain", "h1", "--reason", "a new fan")
    wait_for(lambda: not any(alive(pid) for pid in pids), "the workers end")
    wait_for(lambda: not farm.show(job)["leases"], "their ranges are back")
    made = len(farm.trace(job))
    found = farm.show(job)
    assert found["errors"] == 0 and found["state"] == "queued" and found["done"] == made
    text = ddq(farm, "gpus")
    assert "drained" in text and "ddq resume h1" in text
    assert farm.daemon.poll() is None

    farm.stop()  # it holds over a restart, and the daemon is ready all the same
    farm.start()
    wait_for(lambda: set(states(farm).values()) == {"gone"}, "no worker works after the restart either")
    assert len(farm.trace(job)) == made

    assert "is resumed" in ddq(farm, "resume", "h1")
    wait_for(lambda: len(farm.trace(job)) > made, "it goes on")
    assert all(row[3] == "made" for row in farm.trace(job))
    farm.redis.fcall("cancel", id=job, user="ada")
    assert "was not drained" in ddq(farm, "resume", "h1")


def test_one_worker_is_drained_and_the_other_goes_on(farm):
    wait_for(lambda: set(states(farm).values()) == {"idle"}, "both are there")
    ddq(farm, "drain", "h1:cpu:1")
    wait_for(lambda: states(farm)["cpu:1"] == "gone", "it ends")
    job = farm.submit(images=60, how="ms=5")
    farm.wait(job)
    farm.check_output(job, 60)
    assert len({row[0] for row in farm.trace(job)}) == 1
    assert json.loads(ddq(farm, "gpus", "--json"))["hosts"][0]["drains"] == {"cpu:1": "drained by bob"}
    assert "h1:cpu:1 is drained by bob" in ddq(farm, "gpus")
    ddq(farm, "resume", "h1/cpu:1")  # as `ddq gpus --quiet` writes it
    wait_for(lambda: states(farm)["cpu:1"] == "idle", "it is back")


@pytest.mark.parametrize("kind", ["device_ecc", "device_lost"])
def test_a_broken_device_is_left_alone_until_somebody_says_otherwise(farm, kind):
    wait_for(lambda: set(states(farm).values()) == {"idle"}, "both are there")
    job = farm.submit(images=200, how=f"once=fail:{kind} ms=2")
    farm.wait(job)  # the other worker makes all of it
    farm.check_output(job, 200)
    assert farm.show(job)["errors"] == 0  # not counted as a loss
    broken = [name for name, state in states(farm).items() if state == "gone"]
    assert len(broken) == 1
    place = f"h1:{broken[0]}"
    assert f"until ddq resume {place}: made to fail with {kind}" in farm.log()
    drains = json.loads(ddq(farm, "gpus", "--json"))["hosts"][0]["drains"]
    assert drains == {broken[0]: f"drained by ddqd: made to fail with {kind}"}
    farm.stop()  # it holds over a restart
    farm.start()
    wait_for(lambda: sorted(states(farm).values()) == ["gone", "idle"], "it stays alone after a restart")
    ddq(farm, "resume", place)
    wait_for(lambda: set(states(farm).values()) == {"idle"}, "it works again after ddq resume")


def test_a_kernel_that_faults_is_blamed_on_the_range_and_the_worker_is_replaced(farm):
    def pids():
        return {worker["pid"] for worker in farm.redis.fcall("hosts")["hosts"][0]["workers"] if worker["state"] == "idle"}

    wait_for(lambda: len(pids()) == 2, "both are there")
    before = pids()
    job = farm.submit(images=40, how="once=fail:device ms=2")
    farm.wait(job)
    farm.check_output(job, 40)
    assert farm.show(job)["errors"] == 1
    wait_for(lambda: len(pids()) == 2 and len(pids() & before) == 1, "a fresh process took its place")


def test_mistakes_are_said(farm):
    assert "host h2 has sent no heartbeat" in ddq(farm, "drain", "h2", code=102)
    assert "has no worker cpu:7" in ddq(farm, "drain", "h1:cpu:7", code=102)

"""ddq wait and watch: exit statuses, progress, results."""
import json
import subprocess
import time

import pytest

from session import terminal
from wait import DEADLINE


def test_wait_and_watch_of_a_done_job(session):
    job = session.submit(images=10, reference="digits", published_fid=1.5)
    session.complete(job, fid=1.25)
    assert session.ddq("wait", job).stdout == ""
    assert session.json("wait", job) == {"jobs": [{"id": job, "state": "done", "done": 10, "images": 10, "reason": "", "fid": 1.25,
                                                "output": f"{session.folder}/jobs/ada/{job}", "exit_code": 0}]}
    done = session.ddq("watch", job)
    assert "1.2500  published 1.5, difference -0.2500" in done.stdout
    assert f"{session.folder}/jobs/ada/{job}/images" in done.stdout and "not visible" in done.stderr
    folder = session.folder / "jobs/ada" / job
    (folder / "images").mkdir(parents=True)
    (folder / "report.html").write_text("")
    out = session.ddq("watch", job).stdout
    assert "images" in out and "report.html" in out and "grid.png" not in out  # only what is there
    assert "published 1.5" in session.ddq("show", job).stdout


FIGURES = {"fid": 11.41, "fid_low": 11.2, "fid_high": 11.6, "is_mean": 193.25, "is_std": 2.5, "kid": 0.00123}


def test_figures_are_a_table(session):
    job = session.submit(images=10, reference="digits", published_fid=11.35, published_is=200)
    session.complete(job, fid=11.41, metrics={**FIGURES, "tf_fid": 11.5, "no figure": 3, "fid_text": "x"})
    wait = session.ddq("wait", job).stdout.splitlines()
    assert [line.split() for line in wait] == [
        ["pipeline", "pt", "value", "95%", "interval", "deviation"],
        ["FID", "11.410", "[11.200,", "11.600]", "published", "11.35,", "within", "the", "interval"],
        ["Inception", "score", "193.25", "2.50", "published", "200,", "difference", "-6.75"],
        ["KID", "0.001230"],
        ["pipeline", "tf", "value", "95%", "interval"],
        ["FID", "11.500"]]
    assert all(len(line[:29].rstrip()) == 29 for line in wait)  # values stand under each other
    for verb in ("watch", "show"):
        assert "\n".join(wait) in session.ddq(verb, job).stdout
    assert session.ddq("wait", job, "--quiet").stdout == ""
    assert session.json("wait", job)["jobs"][0]["metrics"] == {**FIGURES, "tf_fid": 11.5}
    assert session.json("show", job)["metrics"]["is_std"] == 2.5
    assert session.json("ls")["jobs"][0]["metrics"]["kid"] == FIGURES["kid"]


def test_figures_of_several_jobs_are_told_apart(session):
    jobs = [session.submit(images=1, reference="digits") for _ in range(3)]
    for job, fid in zip(jobs[:2], (1.5, 2.5)):
        session.complete(job, metrics={"fid": fid})
    session.complete(jobs[2])
    lines = session.ddq("wait", *jobs).stdout.split("\n")
    assert lines[0] == jobs[0] and "1.500" in lines[2] and lines[3] == jobs[1] and "2.500" in lines[5]
    assert jobs[2] not in lines  # which measured nothing


def test_wait_of_a_failed_job(session):
    job = session.submit()
    lease = session.claim()
    session.call("fail", token=lease["token"], upto=0, kind="format", policy="fail", text="weights are short")
    done = session.ddq("wait", job, code=100)
    assert "weights are short" in done.stderr and done.stdout == ""
    assert "weights are short" in session.ddq("watch", job, code=100).stderr
    assert json.loads(session.ddq("wait", job, "--json", code=100).stdout)["jobs"][0]["exit_code"] == 100


def test_wait_of_several_has_the_highest_code(session):
    good, bad, stopped = session.submit(images=1), session.submit(images=1), session.submit(images=1)
    session.complete(good)
    lease = session.claim()
    session.call("fail", token=lease["token"], upto=0, kind="format", policy="fail", text="no")
    session.ddq("cancel", stopped)
    session.ddq("wait", good, bad, code=100)
    session.ddq("wait", bad, stopped, good, code=103)
    session.ddq("wait", good, "zzzzzz", code=102)


def test_wait_timeout(session):
    job = session.submit()
    start = time.monotonic()
    done = session.ddq("wait", job, "--timeout", "0.3", code=101)
    assert time.monotonic() - start >= 0.3
    assert f"ddq wait {job}" in done.stderr
    for text in ("300ms", "0.3s"):
        session.ddq("wait", job, "--timeout", text, code=101)
    assert "--timeout is 'soon', wanted a time such as 90s" in session.ddq("wait", job, "--timeout", "soon", code=2).stderr


@pytest.mark.parametrize("verb", [["wait"], ["watch"], ["watch", "--json"]])
def test_waiting_ends_soon_after_the_job(session, verb):
    job = session.submit(images=2)
    waiter = session.start_ddq(*verb, job)
    session.until_heard()
    session.complete(job, fid=2.0)
    out, err = waiter.communicate(timeout=DEADLINE)
    assert waiter.returncode == 0, err
    if "--json" in verb:
        rows = [json.loads(line) for line in out.splitlines()]
        assert rows[0]["state"] == "queued" and rows[-1]["state"] == "done" and rows[-1]["fid"] == 2.0


def test_progress_without_a_terminal_is_a_line_a_tenth(session):
    job = session.submit(images=8)
    watcher = session.start_ddq("watch", job)
    lines = [watcher.stderr.readline()]  # it waits for its turn
    lease = session.claim()
    for upto in range(1, 9):
        session.renew(lease, upto)
        session.redis("PUBLISH", f"{{ddq}}:job:{job}:live",
                   json.dumps({"type": "progress", "token": lease["token"], "phase": "images", "upto": upto, "rate": 4}))
        while f"{upto}/8" not in lines[-1]:
            lines.append(watcher.stderr.readline())
    session.finish(lease)
    session.complete(job)
    out, err = watcher.communicate(timeout=DEADLINE)
    err = "".join(lines) + err
    lines = [line for line in err.splitlines() if line.startswith(job)]
    assert "\r" not in err and 9 <= len(lines) <= 14, err
    shares = [int(line.split()[2].rstrip("%")) for line in lines]
    assert shares == sorted(shares) and shares[-1] == 100
    assert lines[-1].split()[1] == "done"


def test_progress_on_a_terminal_is_one_line_redrawn(session):
    job = session.submit(images=8)
    lease = session.claim()
    session.renew(lease, 4)
    text, code = terminal(session, ["watch", job], 90, keys=lambda t: b"50%" in t)
    assert code == 130
    assert "\r" in text and "█" in text and "4/8" in text and "10/s" in text and "ETA 0.4s" in text
    assert f"ddq watch {job}" in text
    for line in text.replace("\x1b[K", "").replace("\x1b[34m", "").replace("\x1b[0m", "").split("\r"):
        assert len(line) <= 90, line


LONG = "the folder /data/somewhere/that/is/not/in/input_roots cannot be read by this host, and that takes a whole sentence to say"


@pytest.mark.parametrize("verb", ["wait", "watch"])
def test_a_held_job_ends_the_wait(session, verb):
    job = session.submit()
    session.ddq("hold", job, "--reason", LONG)
    done = session.ddq(verb, job, code=105)
    assert f"job {job} is held: {LONG}; ddq release {job} continues it" in done.stderr and done.stdout == ""
    text, code = terminal(session, [verb, job], 60)
    assert code == 105 and f"{LONG}; ddq release {job}" in text
    ended = json.loads(session.ddq(verb, job, "--json", code=105).stdout.splitlines()[-1])
    assert (ended["jobs"][0] if verb == "wait" else ended)["state"] == "held"


def test_a_job_that_is_held_while_somebody_waits_ends_the_wait(session):
    job = session.submit()
    waiter = session.start_ddq("wait", job, "--json")
    session.until_heard()
    session.ddq("hold", job, "--reason", LONG)
    out, err = waiter.communicate(timeout=DEADLINE)
    (ended,) = json.loads(out)["jobs"]
    assert waiter.returncode == ended["exit_code"] == 105 and LONG in err and LONG in ended["held"]


def test_a_held_job_whose_worker_has_not_stopped_may_still_end(session):
    job = session.submit(images=10)
    lease = session.claim()
    waiter = session.start_ddq("wait", job)
    session.until_heard()
    session.ddq("hold", job)
    with pytest.raises(subprocess.TimeoutExpired):
        waiter.communicate(timeout=1)
    session.call("giveback", token=lease["token"], upto=3, ms=10)
    _, err = waiter.communicate(timeout=DEADLINE)
    assert waiter.returncode == 105 and f"ddq release {job}" in err


def test_submit_and_run_of_a_held_job(session):
    session.heartbeat()
    done = session.ddq("submit", "digits-demo", "--hold", "--watch", code=105)
    job = done.stdout.split()[0]
    assert f"job {job} is held: held by ada; ddq release {job}" in done.stderr
    done = session.ddq("run", "digits-demo", "--hold", "--new", code=105)
    assert "held by ada; ddq release" in done.stderr


def test_a_job_that_waits_for_a_held_one(session):
    """And one that waits for that one; the wait would never end either."""
    first = session.submit("--hold")
    second = session.submit("--after", first)
    third = session.submit("--after", second)
    done = session.ddq("wait", third, code=105)
    assert f"job {third} waits for job {second}, which waits for job {first}, which is held: held by ada; ddq release {first}" in done.stderr
    done = session.ddq("submit", "digits-demo", "--then", "evaluate", "--hold", "--wait", code=105)
    job, evaluation = done.stdout.split()
    assert f"job {evaluation} waits for job {job}, which is held" in done.stderr
    good = session.submit(images=1)
    session.complete(good)
    session.ddq("wait", third, good, code=105)


def test_a_held_sweep(session):
    session.ddq("submit", "digits-demo", "-q", "--sweep", "seed=1,2", "--hold")
    done = session.ddq("wait", "@", code=105)
    assert "2 held" in done.stderr and "is held: held by ada; ddq release" in done.stderr
    ids = [point["id"] for point in session.json("show", "@")["points"]]
    session.ddq("release", ids[0])
    session.ddq("wait", "@", "--timeout", "0.1", code=101)  # one of them goes on
    session.complete(ids[0])
    session.ddq("wait", "@", code=105)


def test_submit_wait_and_watch(session):
    waiter = session.start_ddq("submit", "digits-demo", "--watch", "--images", "3")
    job = waiter.stdout.readline().strip()
    session.complete(job, fid=9.5)
    out, err = waiter.communicate(timeout=DEADLINE)
    assert waiter.returncode == 0 and "9.5000" in out, err
    waiter = session.start_ddq("submit", "digits-demo", "--wait", "-q")
    job = waiter.stdout.readline().strip()
    session.ddq("cancel", job)
    out, err = waiter.communicate(timeout=DEADLINE)
    assert waiter.returncode == 103 and out == ""


def test_a_job_that_lacks_images_is_not_called_whole(session):
    job = session.submit(images=3)
    lease = session.claim()
    session.call("fail", token=lease["token"], upto=2, policy="retry", crash=True, text="killed by signal 9")
    for _ in range(2):
        session.redis("ZUNIONSTORE", "{ddq}:later", "1", "{ddq}:later", "WEIGHTS", "0")  # no wait between the tries
        lease = session.claim()
        session.call("fail", token=lease["token"], upto=0, policy="retry", crash=True, text="killed by signal 9")
    done = session.ddq("wait", job, code=104)
    assert "image 2 could not be made: killed by signal 9" in done.stderr and done.stdout == ""
    assert "could not be made" in session.ddq("watch", job, code=104).stdout
    ended = session.json("wait", job, code=104)["jobs"][0]
    assert ended["missing"] == [2] and ended["exit_code"] == 104 and ended["done"] == 2 and "fid" not in ended

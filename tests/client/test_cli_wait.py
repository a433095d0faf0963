"""ddq wait and watch: exit statuses, progress, results."""
import json
import time

import pytest

from desk import terminal


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


FIGURES = {"fid": 11.41, "fid_low": 11.2, "fid_high": 11.6, "is_mean": 193.25, "is_std": 2.5, "kid": 0.00123}


def test_figures_are_a_table(desk):
    job = desk.submit(images=10, reference="digits", published_fid=11.35, published_is=200)
    desk.complete(job, fid=11.41, metrics={**FIGURES, "tf_fid": 11.5, "no figure": 3, "fid_text": "x"})
    wait = desk.ddq("wait", job).stdout.splitlines()
    assert [line.split() for line in wait] == [
        ["pipeline", "pt", "value", "95%", "interval", "deviation"],
        ["FID", "11.410", "[11.200,", "11.600]", "published", "11.35,", "within", "the", "interval"],
        ["Inception", "score", "193.25", "2.50", "published", "200,", "difference", "-6.75"],
        ["KID", "0.001230"],
        ["pipeline", "tf", "value", "95%", "interval", "deviation"],
        ["FID", "11.500"]]
    assert all(len(line[:29].rstrip()) == 29 for line in wait)  # values stand under each other
    for verb in ("watch", "show"):
        assert "\n".join(wait) in desk.ddq(verb, job).stdout
    assert desk.ddq("wait", job, "--quiet").stdout == ""
    assert desk.json("wait", job)["jobs"][0]["metrics"] == {**FIGURES, "tf_fid": 11.5}
    assert desk.json("show", job)["metrics"]["is_std"] == 2.5
    assert desk.json("ls")["jobs"][0]["metrics"]["kid"] == FIGURES["kid"]


def test_figures_of_several_jobs_are_told_apart(desk):
    jobs = [desk.submit(images=1, reference="digits") for _ in range(3)]
    for job, fid in zip(jobs[:2], (1.5, 2.5)):
        desk.complete(job, metrics={"fid": fid})
    desk.complete(jobs[2])
    lines = desk.ddq("wait", *jobs).stdout.split("\n")
    assert lines[0] == jobs[0] and "1.500" in lines[2] and lines[3] == jobs[1] and "2.500" in lines[5]
    assert jobs[2] not in lines  # which measured nothing


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
    desk.until_heard()
    desk.complete(job, fid=2.0)
    start = time.monotonic()
    out, err = waiter.communicate(timeout=10)
    assert waiter.returncode == 0, err
    assert time.monotonic() - start < 5
    if "--json" in verb:
        rows = [json.loads(line) for line in out.splitlines()]
        assert rows[0]["state"] == "queued" and rows[-1]["state"] == "done" and rows[-1]["fid"] == 2.0


def test_progress_without_a_terminal_is_a_line_a_tenth(desk):
    job = desk.submit(images=8)
    watcher = desk.start_ddq("watch", job)
    lease = desk.claim()
    for upto in range(1, 9):
        desk.renew(lease, upto)
        desk.redis("PUBLISH", f"{{ddq}}:job:{job}:live",
                   json.dumps({"type": "progress", "token": lease["token"], "phase": "images", "upto": upto, "rate": 4}))
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


def test_a_job_that_lacks_images_is_not_called_whole(desk):
    job = desk.submit(images=3)
    lease = desk.claim()
    desk.call("fail", token=lease["token"], upto=2, policy="retry", crash=True, text="killed by signal 9")
    for _ in range(2):
        desk.redis("ZUNIONSTORE", "{ddq}:later", "1", "{ddq}:later", "WEIGHTS", "0")  # no wait between the tries
        lease = desk.claim()
        desk.call("fail", token=lease["token"], upto=0, policy="retry", crash=True, text="killed by signal 9")
    done = desk.ddq("wait", job, code=104)
    assert "image 2 could not be made: killed by signal 9" in done.stderr and done.stdout == ""
    assert "could not be made" in desk.ddq("watch", job, code=104).stdout
    ended = desk.json("wait", job, code=104)["jobs"][0]
    assert ended["missing"] == [2] and ended["exit_code"] == 104 and ended["done"] == 2 and "fid" not in ended

"""ddq ls, show, logs, models, gpus, recipes, and what changes a job: cancel, hold, release."""
import json

from desk import terminal


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
    assert text[0].split() == ["ID", "STATE", "USER", "MODEL", "DONE", "RATE", "ETA", "AGE", "REASON", "OR", "NAME"] and len(text) == 4
    assert desk.json("ls", "--all")["jobs"][0]["id"] == other
    assert "running" in desk.ddq("ls", "--state", "runnin", code=2).stderr


def test_a_narrow_terminal_cuts_the_reason_never_the_id(desk):
    ids = [desk.submit() for _ in range(3)]
    desk.ddq("hold", ids[0], "--reason", "because of a very long story that nobody wants to read twice " * 3)
    for columns in (200, 100, 60, 40, 20):
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
    desk.until_heard()
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


def test_rows_of_any_text(desk):
    """The short answer of the queue is read without a JSON parser, so what JSON escapes must come back as it was."""
    job = desk.submit()
    for reason in ('a "quoted" \\ one, ] [ }', "tab\there", "Ünï — ↯", "", "\\u0041 stays", "ends with \\"):
        desk.ddq("hold", job, "--reason", reason or "x")
        wanted = (reason or "x").replace("\t", " ")
        assert desk.ddq("ls").stdout.splitlines()[1].endswith(wanted) and desk.ddq("ls", "-q").stdout == job + "\n"
        desk.ddq("release", job)
    running = desk.submit(images=123456)
    lease = desk.claim()
    while lease["job"] != running:
        desk.finish(lease)
        lease = desk.claim()
    desk.renew(lease, 3, rate=0.25)
    row = next(line.split() for line in desk.ddq("ls").stdout.splitlines() if running in line)
    assert row[4:7] == ["3/123,456", "0.25/s", "5d17h"]

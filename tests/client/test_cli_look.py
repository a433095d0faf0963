"""ddq ls, show, logs, models, gpus, recipes, and what changes a job: cancel, hold, release."""
import json
import signal

from session import terminal
from wait import DEADLINE


def test_show_of_a_running_job(session):
    job = session.submit(images=20)
    lease = session.claim()
    session.renew(lease, 5)
    shown = session.json("show", job)
    assert shown["state"] == "running" and shown["done"] == 5 and shown["output"] == f"{session.folder}/jobs/ada/{job}"
    (lease_shown,) = shown["leases"]
    assert lease_shown["pid"] == 4242 and lease_shown["upto"] == 5 and lease_shown["stage"] == "sampling"
    text = session.ddq("show", job[:6]).stdout  # a unique beginning is enough
    assert "5 of 20 images" in text and "pid 4242" in text and "ready in 1.5s" in text
    assert session.ddq("show", job, "--quiet").stdout == "running\n"


def test_ls(session):
    mine = [session.submit(), session.submit()]
    other = session.ddq("submit", "digits-demo", "-q", DDQ_AS="bob").stdout.strip()
    assert session.ddq("ls", "--quiet").stdout.split() == mine[::-1]
    assert session.ddq("ls", "-a", "-q").stdout.split() == [other] + mine[::-1]
    assert session.ddq("ls", "--user", "bob", "-q").stdout.split() == [other]
    assert session.ddq("ls", "-q", "-n", "1").stdout.split() == mine[1:]
    session.ddq("hold", mine[0])
    assert session.ddq("ls", "-q", "--state", "held").stdout.split() == [mine[0]]
    session.ddq("cancel", mine[1])
    assert session.ddq("ls", "-q", "--active").stdout.split() == [mine[0]]
    text = session.ddq("ls", "--all").stdout.splitlines()
    assert text[0].split() == ["ID", "STATE", "USER", "RECIPE", "MODEL", "DONE", "RATE", "ETA", "FID", "AGE", "REASON", "OR", "NAME"] and len(text) == 4
    assert session.json("ls", "--all")["jobs"][0]["id"] == other
    assert "running" in session.ddq("ls", "--state", "runnin", code=2).stderr


def test_ls_tells_recipe_and_fid(session):
    demo = session.ddq("submit", "digits-demo", "-q").stdout.strip()
    session.complete(demo, fid=2.1764)
    table = session.ddq("submit", "digits-table", "-q").stdout.split()
    named = session.ddq("submit", "digits-2step", "-q", "--name", "mine").stdout.strip()
    own = session.submit()
    rows = {line.split()[0]: line.split() for line in session.ddq("ls").stdout.splitlines()[1:]}
    assert rows[demo][3:5] == ["digits-demo", "digits"] and "2.176" in rows[demo]
    assert [rows[job][3] for job in table] == ["digits-table"] * 6
    assert [rows[job][-1] for job in table] == ["turn"] * 6  # why they wait
    assert rows[named][3] == "digits-2step" and rows[own][3] == "-"
    jobs = {job["id"]: job for job in session.json("ls")["jobs"]}
    assert [jobs[job]["name"] for job in table] == [f"digits-table-{i}" for i in range(1, 7)]
    assert jobs[demo]["name"] == jobs[demo]["recipe"] == "digits-demo" and jobs[own]["name"] == own
    assert jobs[named]["name"] == "mine" and jobs[demo]["folder"] == f"ada/{demo}"  # the folder is called after the id
    for job in table:
        session.ddq("cancel", job)
    tree = {line.split()[0]: line.split() for line in session.ddq("ls", "-t").stdout.splitlines()[1:]}
    assert tree[demo][3] == "digits-demo" and "2.176" in tree[demo]


def test_rows_of_an_earlier_version_are_made_anew(session):
    job = session.ddq("submit", "digits-demo", "-q").stdout.strip()
    session.complete(job, fid=2.5)
    row = json.loads(session.redis("HGET", "{ddq}:rows", job))
    session.redis("HSET", "{ddq}:rows", job, json.dumps(row[:-2], separators=(",", ":")))
    (line,) = session.ddq("ls").stdout.splitlines()[1:]
    assert "digits-demo" in line and "2.500" in line


def test_dry_run_tells_the_jobs_of_a_table_apart(session):
    rows = [line.split()[0] for line in session.ddq("submit", "digits-table", "--dry-run").stdout.splitlines()[1:]]
    assert rows == [f"digits-table-{i}" for i in range(1, 7)]
    (row,) = session.ddq("submit", "digits-demo", "--dry-run").stdout.splitlines()[1:]
    assert row.split()[0] == "digits-demo"
    (row,) = session.ddq("submit", "digits-demo", "--dry-run", "--name", "mine").stdout.splitlines()[1:]
    assert row.split()[0] == "mine"
    (first, second) = session.ddq("submit", "digits-demo", "--dry-run", "--sweep", "seed=1,2").stdout.splitlines()[1:]
    assert first.startswith('{"seed":1}')


def test_a_narrow_terminal_cuts_the_reason_never_the_id(session):
    ids = [session.submit() for _ in range(3)]
    session.ddq("hold", ids[0], "--reason", "because of a reason that is much too long for one line " * 3)
    for columns in (200, 100, 60, 40, 20):
        text, code = terminal(session, ["ls", "--color", "never"], columns)
        lines = text.replace("\r", "").splitlines()
        assert code == 0 and all(i in text for i in ids), text
        assert max(map(len, lines)) <= max(columns, 34), (columns, lines)


def test_colours(session):
    session.submit()
    assert "\033" not in session.ddq("ls").stdout
    assert "\033" in session.ddq("ls", "--color", "always").stdout
    assert "\033" in terminal(session, ["ls"], 100)[0]
    assert "\033" not in terminal(session, ["ls", "--color", "never"], 100)[0]
    session.env["NO_COLOR"] = "1"
    assert "\033" not in terminal(session, ["ls"], 100)[0]
    assert "blue" in session.ddq("ls", "--color", "blue", code=2).stderr


def test_hostile_text_does_not_reach_the_terminal(session):
    job = session.submit()
    session.ddq("hold", job, "--reason", "evil\033]0;title\007\nsecond line")
    for words in (["ls"], ["show", job], ["watch", job]):
        done = session.ddq(*words, code=105 if "watch" in words else 0)
        assert "" not in done.stdout + done.stderr and "" not in done.stdout + done.stderr
        assert "title" in done.stdout + done.stderr


def test_no_text_of_the_queue_steers_the_terminal(session):
    """Whatever stands where: stages, drains, models, keys of a sweep's point; ASCII's and C1's control characters."""
    evil = "evil\033]0;t\007\u009b2J"
    session.ddq("submit", "digits-demo", "-q", "--sweep", "seed=1,2")
    job = session.json("show", "@")["points"][0]["id"]
    session.heartbeat(workers=[{"name": "cpu:0", "device": "cpu", "state": evil, "job": "", "pid": 8, "memory_mib": 1, "about": evil}], root=evil)
    lease = session.claim()
    assert lease["job"] == job
    session.ddq("drain", "node1:cpu:0", "--reason", "x")
    session.redis("HSET", "{ddq}:drains", "node1 cpu:0", evil)
    key = f"{{ddq}}:job:{job}"
    session.redis("HSET", key, "point", json.dumps({evil: 1, "seed": evil}), "model", evil, "kind", evil, "reason", evil, "tier", "1")
    session.redis("HSET", key, "about", session.redis("HGET", key, "about").strip().replace('"digits"', json.dumps(evil)))
    session.redis("HSET", f"{{ddq}}:lease:{lease['token']}", "stage", evil)
    for words in (["ls"], ["show", job], ["show", lease["job"]], ["show", "@"], ["why", job], ["gpus"], ["top", "--once"], ["ls", "-t"], ["models"],
                  ["share"], ["ls", "--sweeps"], ["refs"]):
        done = session.ddq(*words)
        text = done.stdout + done.stderr
        assert not [c for c in text if c != "\n" and (ord(c) < 32 or 127 <= ord(c) < 160)], (words, text)
    assert "evil" in session.ddq("show", lease["job"]).stdout


def test_logs(session):
    job = session.submit()
    session.call("log", job=job, lines=[{"level": "info", "text": "first"}, {"level": "warning", "text": "second\033[2J"}])
    lines = session.ddq("logs", job).stdout.splitlines()
    assert len(lines) == 2 and lines[0].endswith("info first") and "\033" not in lines[1]
    rows = [json.loads(line) for line in session.ddq("logs", job, "--json").stdout.splitlines()]
    assert rows[0]["text"] == "first" and rows[1]["level"] == "warning" and rows[0]["at"].endswith("Z")


def test_logs_of_a_quiet_job(session):
    job = session.submit()
    done = session.ddq("logs", job)
    assert done.stdout == "" and f"no lines: the workers of job {job} have logged nothing" in done.stderr
    assert session.ddq("logs", job, "-q").stderr == "" and session.ddq("logs", job, "--json").stdout == ""
    session.ddq("cancel", job)
    assert "no lines" in session.ddq("logs", "-f", job).stderr
    session.call("log", job=job, lines=[{"level": "info", "text": "first"}])
    assert session.ddq("logs", job).stderr == session.ddq("logs", "-f", job).stderr == ""


def test_logs_follow_until_the_end(session):
    job = session.submit()
    follower = session.start_ddq("logs", "-f", job)
    session.until_asked("logs")
    session.call("log", job=job, lines=[{"level": "info", "text": "while it runs"}])
    assert "while it runs" in (first := follower.stdout.readline())
    follower.send_signal(signal.SIGSTOP)  # it meets the end and what came with it at once
    session.complete(job)
    session.call("log", job=job, lines=[{"level": "info", "text": "and at its end"}])
    follower.send_signal(signal.SIGCONT)
    out, err = follower.communicate(timeout=DEADLINE)
    assert follower.returncode == 0 and "while it runs" in first and "and at its end" in out, (out, err)


def test_models_and_gpus(session):
    assert "no daemon" in session.ddq("gpus").stderr and session.json("models") == {"models": [], "references": []}
    session.heartbeat()
    session.heartbeat(host="node2", boot="c", models={"other": {"student": False, "teacher": True}}, references=[], workers=[], drain=True)
    models = {m["name"]: m for m in session.json("models")["models"]}
    assert set(models) == {"digits", "llamagen-l-dd", "other"} and models["digits"]["hosts"] == ["node1"]
    assert session.json("models")["references"] == [{"name": "digits", "hosts": ["node1"]}]
    text = session.ddq("models").stdout
    assert "student, teacher" in text and "node2" in text
    text = session.ddq("gpus").stdout
    assert "cpu:0" in text and "2.0 GiB" in text and "a processor" in text and "draining" in text and "no workers" in text
    assert {h["host"] for h in session.json("gpus")["hosts"]} == {"node1", "node2"}
    assert session.ddq("gpus", "--quiet").stdout == "node1/cpu:0\n"


def test_recipes(session):
    names = session.ddq("recipes", "--quiet").stdout.split()
    assert {"b-1step", "b-2step", "l-1step", "l-2step", "l-teacher-22", "l-teacher-42", "l-teacher-81", "digits-table"} <= set(names)
    assert session.json("recipes", "l-2step")["jobs"][0]["published_fid"] == 7.58
    assert len(session.json("recipes")["recipes"]) == len(names)
    assert "digits-table" in session.ddq("recipes", "digits-tabel", code=102).stderr
    (session.folder / "own").mkdir()
    (session.folder / "own/bad.json").write_text("{}")
    assert "bad.json" in session.ddq("recipes", DDQ_RECIPES=str(session.folder / "own"), code=1).stderr


def test_recipes_are_ready_where_a_host_has_what_they_name(session):
    def column():
        lines = session.ddq("recipes").stdout.splitlines()
        assert lines[0].split() == ["RECIPE", "READY", "JOBS", "IMAGES", "PUBLISHED", "FID", "ABOUT"]
        return {line.split()[0]: line.split()[1] for line in lines[1:]}
    assert set(column().values()) == {"no"}  # no daemon is alive
    session.heartbeat()
    ready = column()
    assert ready["digits-demo"] == ready["digits-table"] == "yes" and ready["l-2step"] == ready["l-teacher-22"] == ready["b-1step"] == "no"
    recipes = {recipe["name"]: recipe for recipe in session.json("recipes")["recipes"]}
    assert recipes["digits-demo"]["ready"] is True and recipes["b-1step"]["ready"] is False and "llamagen-b-dd" in recipes["b-1step"]["why"]
    assert "no host can run it now: no running daemon offers the model 'llamagen-b-dd'" in session.ddq("recipes", "b-1step").stderr
    session.stop()
    assert set(column().values()) == {"-"}  # no queue to ask, and none is needed
    assert "ready" not in session.json("recipes", "b-1step")


def test_what_recipes_prints_can_be_submitted(session):
    wanted = [job["spec"] for job in map(lambda i: session.json("show", i), session.ddq("submit", "digits-table", "-q").stdout.split())]
    printed = session.ddq("recipes", "digits-table").stdout
    assert "\t" not in printed and max(map(len, printed.splitlines())) <= 100
    (session.folder / "digits-table").mkdir()
    for name, text in (("digits-table.json", printed), ("other.json", session.ddq("recipes", "digits-table", "--json").stdout)):
        (session.folder / name).write_text(text)
        ids = session.ddq("submit", f"./{name}", "-q", "--new").stdout.split()
        assert [session.json("show", i)["spec"] for i in ids] == wanted
    (session.folder / "mine.json").write_text(printed.replace('"images": 5000', '"images": 5'))
    ids = session.ddq("submit", "mine.json", "-q").stdout.split()
    jobs = [session.json("show", i) for i in ids]
    assert [job["recipe"] for job in jobs] == ["mine"] * 6 and jobs[2]["name"] == "mine-3" and jobs[0]["images"] == 5
    (session.folder / "own").mkdir()
    (session.folder / "own/mine.json").write_text(session.ddq("recipes", "digits-demo", "--json").stdout)  # the folder takes it as well
    assert "mine" in session.ddq("recipes", "-q", DDQ_RECIPES=str(session.folder / "own")).stdout.split()


def test_what_show_prints_and_what_a_job_leaves_can_be_submitted(session):
    job = session.ddq("submit", "digits-demo", "-q", "--seed", "7").stdout.strip()
    spec = session.json("show", job)["spec"]
    (session.folder / "shown.json").write_text(session.ddq("show", job, "--json").stdout)
    left = session.folder / "left"
    left.mkdir()
    exec_spec = {"kind": "sample", "student": "s.pt", "tokenizer": "v.pt", "t_list": [0], "split_t": 2, "images": 3, "output": "out"}
    mark = {"identity": "x", "parts": {}, "spec": exec_spec, "inputs": [], "version": "1", "created": "t"}
    (left / "job.json").write_text(json.dumps({**mark, "submitted": {"id": job, "user": "ada", "spec": spec}}))
    for path in ("shown.json", "left/job.json", "left/", "./left"):
        again = session.ddq("submit", path, "-q", "--new").stdout.strip()
        assert session.json("show", again)["spec"] == spec, path
    (left / "job.json").write_text(json.dumps(mark))
    done = session.ddq("submit", "./left", code=2)
    assert "ddq-worker exec" in done.stderr and "left/job.json" in done.stderr


def test_recipe_files_that_are_none(session):
    for text, said in (('{"jobs": [], "about": "a", "source": "s"}', "at least one job"), ('{"jobs": 3}', "at least one job"),
                       ('{"jbos": [{}]}', "unknown field"), ('{"jobs": [{}], "abuot": "a"}', "Did you mean 'about'"),
                       ('{"jobs": [3]}', "not a JSON object"), ('{"recipes": [{}, {}]}', "holds 2 recipes"),
                       ('{"spec": 3}', "unknown field"), ('{"spec": {"t_lst": [0]}}', "t_list")):
        assert said in session.ddq("submit", "-", code=2, stdin=text).stderr, text


def test_cancel_hold_release(session):
    job = session.submit()
    assert session.ddq("hold", job).stdout == f"{job} held\n"
    assert session.json("show", job)["reason"] == "held by ada"
    assert session.json("release", job) == {"jobs": [{"id": job, "state": "queued"}]}
    assert session.ddq("cancel", job, "--quiet").stdout == f"{job}\n"
    assert "cancelled" in session.ddq("cancel", job, code=75).stderr  # it is over
    assert "cancelled" in session.ddq("release", job, code=75).stderr


def test_somebody_elses_job(session):
    job = session.submit()
    for verb in ("cancel", "hold", "release"):
        done = session.ddq(verb, job, code=77, DDQ_AS="bob")
        assert "ada" in done.stderr and "bob" in done.stderr
    assert session.json("show", job)["state"] == "queued"


def test_ids(session):
    assert "no job was submitted" in session.ddq("show", "@", code=102).stderr
    job = session.submit()
    assert session.json("show", "@")["id"] == job
    assert session.json("show", job.upper())["id"] == job
    assert "zzzzzzzzzz" in session.ddq("show", "zzzzzzzzzz", code=102).stderr
    for bad in ("a b", "../x", "job:1", "x" * 40):
        assert "not a job id" in session.ddq("show", bad, code=2).stderr
    assert "is empty" in session.ddq("show", "", code=2).stderr
    for i in range(40):  # two ids that begin alike are found soon
        session.submit()
    ids = session.ddq("ls", "-q").stdout.split()
    first = next(c for c in "0123456789abcdefghjkmnpqrstvwxyz" if sum(i.startswith(c) for i in ids) > 1)
    assert "not unique" in session.ddq("show", first, code=102).stderr


def test_rows_of_any_text(session):
    """The short answer of the queue is read without a JSON parser, so what JSON escapes must come back as it was."""
    job = session.submit()
    for reason in ('a "quoted" \\ one, ] [ }', "tab\there", "Ünï — ↯", "", "\\u0041 stays", "ends with \\"):
        session.ddq("hold", job, "--reason", reason or "x")
        wanted = (reason or "x").replace("\t", " ")
        assert session.ddq("ls").stdout.splitlines()[1].endswith(wanted) and session.ddq("ls", "-q").stdout == job + "\n"
        session.ddq("release", job)
    running = session.submit(images=123456)
    lease = session.claim()
    while lease["job"] != running:
        session.finish(lease)
        lease = session.claim()
    session.renew(lease, 3, rate=0.25)
    row = next(line.split() for line in session.ddq("ls").stdout.splitlines() if running in line)
    assert row[5:8] == ["3/123,456", "0.25/s", "5d17h"]

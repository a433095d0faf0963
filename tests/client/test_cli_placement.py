"""How a job is queued: tier, limits, times, holds, parents, --then; and what users may have: prio, share, quota."""
import datetime
import json

import pytest


def ms(iso):
    return datetime.datetime.fromisoformat(iso.replace("Z", "+00:00")).timestamp() * 1000


def test_the_flags_reach_the_queue(session):
    job = session.submit("--tier", "scavenger", "--max-gpus", "2", "--at", "2099-01-02T03:04Z", "--window", "22:00-7:00+02:00", "-p", "-5", "--hold")
    shown = session.json("show", job)
    assert (shown["tier"], shown["max_gpus"], shown["window"], shown["priority"]) == ("scavenger", 2, "22:00-07:00+02:00", -5)
    assert shown["at"] == "2099-01-02T03:04:00Z" and shown["state"] == "held" and "held by ada" in shown["reason"]
    text = session.ddq("show", job, TZ="UTC0").stdout
    for word in ("scavenger", "2099-01-02 03:04:00 UTC", "22:00-07:00+02:00", "max-gpus"):
        assert word in text
    assert session.json("release", job)["jobs"][0]["state"] == "queued"


@pytest.mark.parametrize("text, zone, seconds", [
    ("+90s", "UTC", 90), ("+1.5m", "UTC", 90), ("+2h", "UTC", 7200), ("+1d", "UTC", 86400)])
def test_at_from_now(session, text, zone, seconds):
    before = datetime.datetime.now().timestamp()
    at = ms(session.json("show", session.submit("--at", text))["at"]) / 1000
    assert before + seconds - 1 <= at <= before + seconds + 30


def test_times_without_a_zone_are_those_of_this_machine(session):
    session.env["TZ"] = "XYZ-5:30"  # five and a half hours east
    shown = session.json("show", session.submit("--at", "2099-01-02 03:04", "--window", "22:00-07:00"))
    assert shown["at"] == "2099-01-01T21:34:00Z" and shown["window"] == "22:00-07:00+05:30"
    at = ms(session.json("show", session.submit("--at", "12:15"))["at"])
    assert at % 86400000 == ms("1970-01-01T06:45Z") and 0 <= at / 1000 - datetime.datetime.now().timestamp() <= 86400


def test_people_read_times_of_this_machine_and_programs_utc(session):
    session.env["TZ"] = "NYT5"  # five hours west
    done = session.ddq("submit", "digits-demo", "--new", "--at", "22:00")
    job = done.stdout.strip()
    assert "queued, to start at 22:00 NYT" in done.stderr
    at = session.json("show", job)["at"]
    assert at.endswith("T03:00:00Z")
    for words in (["why", job], ["ls"], ["show", job]):
        text = session.ddq(*words).stdout
        assert "may run from 22:00 NYT" in text and "UTC" not in text, words
    assert f"may run from {at[:16]}Z, in " in session.json("why", job)["text"]
    assert f"may run from {at[:16]}Z" in session.json("ls")["jobs"][0]["reason"]
    far = session.submit("--at", "2099-01-02T03:04Z")
    assert "may run from 2099-01-01 22:04 NYT" in session.ddq("why", far).stdout
    assert "2099-01-01 22:04:00 NYT" in session.ddq("show", far).stdout
    shown = session.json("show", far)
    assert shown["created"].endswith("Z") and shown["at"] == "2099-01-02T03:04:00Z"
    local = datetime.datetime.fromisoformat(shown["created"].replace("Z", "+00:00")) - datetime.timedelta(hours=5)
    assert local.strftime("%Y-%m-%d %H:%M:%S NYT") in session.ddq("show", far).stdout
    assert "may run from" in session.ddq("submit", "digits-demo", "--new", "--dry-run", "--at", "22:00").stdout
    assert " NYT  hosts" in session.ddq("top", "--once").stdout
    session.call("log", job=job, lines=[{"level": "info", "text": "at 2026-01-02T03:04Z"}])
    line = session.ddq("logs", job).stdout
    assert " NYT info at 2026-01-02T03:04Z" in line  # the worker's words stay as they are
    session.call("quota", user="ada", by="root", day=1)
    session.redis("HSET", "{ddq}:made:" + str(int(datetime.datetime.now().timestamp() // 86400)), "ada", "9")
    session.heartbeat()
    text = session.ddq("why", session.submit()).stdout
    assert "continues at 19:00 NYT" in text, text  # midnight of UTC


@pytest.mark.parametrize("words, said", [
    (["--tier", "interactiv"], "Did you mean 'interactive'?"),
    (["--max-gpus", "0"], "--max-gpus"), (["--max-gpus", "1.5"], "whole number"), (["--max-gpus", "many"], "--max-gpus"),
    (["--at", "yesterday"], "2026-11-24T08:00"), (["--at", "2026-02-30T08:00"], "--at"), (["--at", "2020-01-01T00:00"], "in the past"),
    (["--at", "25:00"], "--at"), (["--at", "+2"], "--at"), (["--at", "+h"], "--at"), (["--at", "+2w"], "--at"), (["--at", "2099-01-01T08:00+99:00"], "--at"),
    (["--window", "22:00"], "--window"), (["--window", "22:00-22:00"], "two different"), (["--window", "22:00-07:00x"], "--window"),
    (["--window", "22:00-07:61"], "--window"), (["--after-failed", "run"], "needs --after"), (["--after-failed", "maybe", "--after", "@"], "fail, run or hold"),
    (["--then", "dance"], "wanted evaluate"), (["--priority", "0.5"], "whole number"),
])
def test_wrong_values_are_named_and_nothing_is_queued(session, words, said):
    done = session.ddq("submit", "digits-2step", *words, code=2)
    assert said in done.stderr and done.stdout == ""
    assert session.json("ls", "--all")["jobs"] == []


def test_an_empty_value_never_changes_what_runs(session):
    job = session.submit()
    for words in (["submit", "digits-demo", "--after", ""], ["submit", "digits-demo", "--after="], ["submit", "digits-demo", "--model", ""],
                  ["submit", "digits-demo", "--sweep", ""], ["submit", ""], ["run", "digits-demo", "--window", ""], ["ls", "--user", ""],
                  ["cancel", job, ""], ["hold", ""], ["adopt", ""], ["share", "", "3"], ["quota", "", "--gpus", "0"], ["wait", job, ""]):
        assert "empty" in session.ddq(*words, code=2).stderr, words
    for several in (f"{job},", f",{job}", f"{job},,{job}", ","):
        assert "one of its jobs is empty" in session.ddq("submit", "digits-demo", "--after", several, code=2).stderr
    assert len(session.json("ls")["jobs"]) == 1
    session.ddq("hold", job, "--reason", "")
    session.ddq("submit", "digits-demo", "--metrics", "", "--dry-run") # a list may be empty, where that is what it says


def test_after_several_and_what_happens_when_one_fails(session):
    parents = [session.submit() for _ in range(3)]
    job = session.submit("--after", ",".join(parents[:2]), "--after", parents[2], "--after-failed", "hold")
    shown = session.json("show", job)
    assert shown["state"] == "waiting" and shown["after"] == parents
    runs = session.submit("--after", parents[0], "--after-failed", "run")
    fails = session.submit("--after", parents[0])
    session.ddq("cancel", parents[0])
    assert session.json("show", fails)["state"] == "failed" and session.json("show", runs)["state"] == "queued"
    for parent in parents[1:]:
        session.ddq("cancel", parent)
    assert session.json("show", job)["state"] == "held"


def test_the_tree_of_dependencies(session):
    first, other = session.submit(), session.submit()
    second = session.submit("--after", first)
    third = session.submit("--after", f"{second},{other}")
    fourth = session.submit("--after", first)
    lines = session.ddq("ls", "-t").stdout.splitlines()[1:]
    assert [line.split("  ")[0].strip() for line in lines] in (
        [other, f"└─ {third}", first, f"├─ {second}", f"└─ {fourth}"],)
    assert f"also after {second}" in lines[1]
    assert "`- " in session.ddq("ls", "--tree", LC_ALL="C").stdout
    jobs = {job["id"]: job for job in session.json("ls", "-t")["jobs"]}
    assert jobs[third]["after"] == [second, other] and "after" not in jobs[first]


def test_then_evaluate_is_a_second_job(session):
    told = session.json("submit", "digits-2step", "--then", "evaluate", "--name", "two", "--tier", "scavenger", "--new")
    sample, evaluation = [session.json("show", job) for job in told["ids"]]
    assert sample["kind"] == "sample" and sample["needs"] == "model:digits" and "reference" not in sample["spec"]
    assert evaluation["kind"] == "evaluate" and evaluation["state"] == "waiting" and evaluation["after"] == [sample["id"]]
    assert evaluation["spec"]["images"] == sample["folder"] + "/images" and evaluation["name"] == "two.evaluate"
    assert evaluation["spec"]["reference"] == "digits" and evaluation["spec"]["metrics"] == ["fid"] and evaluation["tier"] == "scavenger"
    assert evaluation["spec"]["published_fid"] == 1.663 and evaluation["needs"] == "reference:digits"
    again = [session.json("submit", "digits-2step", "--then", "evaluate") for _ in range(2)]
    assert again[0]["ids"] == again[1]["ids"]
    pairs = session.json("submit", "digits-2step", "--then", "evaluate", "--sweep", "seed=1,2", "--name", "both")
    assert pairs["group"] == "ada/both.evaluate" and len(pairs["ids"]) == 4
    assert [p["point"] for p in session.json("show", "both.evaluate")["points"]] == [{"seed": 1}, {"seed": 2}]
    for words, said in ((["--save", "npz"], "PNG"), (["--kind", "evaluate", "--images", "x"], "makes images")):
        base = ["submit", "--reference", "digits"] if "--kind" in words else ["submit", "digits-2step"]
        assert said in session.ddq(*base, *words, "--then", "evaluate", code=2).stderr
    job = json.dumps({"model": "digits", "t_list": [0, 20], "split_t": 20, "images": 1})
    assert "--reference" in session.ddq("submit", "-", "--then", "evaluate", stdin=job, code=2).stderr


def test_prio(session):
    job = session.submit()
    assert session.json("prio", job, "9")["jobs"] == [{"id": job, "state": "queued", "priority": 9}]
    assert session.ddq("prio", "@", "-q", "-9").stdout == job + "\n" and session.json("show", job)["priority"] == -9
    assert "argument 2 is empty" in session.ddq("prio", job, "", code=2).stderr
    for bad in ("x", "101", "1.5"):
        assert "from -100 to 100" in session.ddq("prio", job, bad, code=2).stderr
    assert "belongs to ada" in session.ddq("prio", job, "1", DDQ_AS="bob", code=77).stderr
    session.ddq("prio", job, code=2)


def test_share(session):
    session.submit(images=30)
    session.ddq("submit", "digits-demo", DDQ_AS="bob")
    assert "only root, the administrators of this host and the admins" in session.ddq("share", "bob", "3", code=77).stderr
    rows = {row["user"]: row for row in json.loads(session.ddq("share", "bob", "3", "--json", DDQ_AS="root").stdout)["users"]}
    assert rows["bob"]["weight"] == 3
    rows = {row["user"]: row for row in session.json("share")["users"]}
    assert rows["ada"]["weight"] == 1 and rows["ada"]["queued"] == 30
    lines = {line.split()[0]: line.split() for line in session.ddq("share").stdout.splitlines()}
    assert lines["bob"][1:3] == ["3", "75%"] and lines["ada"][1:3] == ["1", "25%"]
    assert session.ddq("share", "ada", "-q").stdout == "ada\n"
    for bad in ("0", "many", "2000"):
        assert "0.01 to 1000" in session.ddq("share", "bob", bad, code=2, DDQ_AS="root").stderr


def test_settings_and_who_may(session):
    assert session.json("settings")["slack_ms"] == 60000 and "30m00s" in session.ddq("settings").stdout
    for words in (["settings", "slack", "2m"], ["share", "ada", "2"], ["quota", "ada", "--day", "5"]):
        assert "only root, the administrators of this host and the admins" in session.ddq(*words, code=77).stderr
    assert json.loads(session.ddq("settings", "admins", "ada,eve", "--json", DDQ_AS="root").stdout)["admins"] == ["ada", "eve"]
    assert session.json("settings", "slack", "1.5m")["slack_ms"] == 90000 and "ada,eve" in session.ddq("settings").stdout
    session.ddq("share", "ada", "2")
    assert session.json("settings", "admins", "none")["admins"] == []
    session.ddq("settings", "slack", "2m", code=77)
    for words, said in ((["slak", "2m"], "Did you mean 'slack'?"), (["slack"], "is missing"), (["slack", "2"], "90s"), (["slack", "-2m"], "90s"),
                        (["slack", "2w"], "90s"), (["admins", "ada,,bob"], "admins 2")):
        assert said in session.ddq("settings", *words, code=2, DDQ_AS="root").stderr
    for text, ms in (("2s", 2000), ("1h30m", 5400000), ("250ms", 250), ("30m00s", 1800000)): # one parser for spans of time
        assert json.loads(session.ddq("settings", "slack", text, "--json", DDQ_AS="root").stdout)["slack_ms"] == ms
    assert "admins 1" in session.ddq("settings", "admins", "a b", code=2, DDQ_AS="root").stderr


def test_a_user_whom_nobody_knows_is_no_user(session):
    """`ddq share 3` meant a weight, `ddq quota adda` is a slip of the pen: neither makes a user that stays in every table."""
    session.submit()
    for words in (["share", "3"], ["share", "adda"], ["share", "adda", "3"], ["quota", "adda"], ["quota", "adda", "--gpus", "0"]):
        said = session.ddq(*words, code=102, DDQ_AS="root").stderr
        assert f"the queue has seen no user '{words[1]}'" in said and ("--new-user" in said) == (len(words) > 2)
    assert [row["user"] for row in session.json("share")["users"]] == ["ada"]
    session.ddq("share", "ada", "3", DDQ_AS="root")
    session.ddq("quota", "daemon", "--gpus", "1", DDQ_AS="root")  # a login of this machine
    session.ddq("quota", "eve", "--gpus", "0", "--new-user", DDQ_AS="root")
    session.ddq("quota", "eve")
    session.ddq("quota", "*", "--day", "5", DDQ_AS="root")
    session.ddq("share", "newcomer", DDQ_AS="newcomer")


def test_one_rule_for_names_of_jobs(session):
    for name in ("x" * 64, "a.b-c_d", "_a", "7"):
        assert session.ddq("submit", "digits-demo", "--new", "--name", name, "-q").stdout
    for name in ("x" * 65, "-a", ".a", "a/b", "a b", "\u00e4"):
        said = session.ddq("submit", "digits-demo", "--new", f"--name={name}", code=2).stderr
        assert "at most 64 letters, digits, '.', '_' or '-', with none of '.' and '-' first" in said


def test_quota(session):
    session.submit(images=30)
    assert "only root, the administrators of this host and the admins" in session.ddq("quota", "ada", "--gpus", "9", code=77).stderr
    session.ddq("quota", "ada", "--gpus", "2", "--queued", "100", DDQ_AS="root")
    session.ddq("quota", "*", "--day", "1000", DDQ_AS="root")
    told = session.json("quota")
    assert told["everybody"] == {"day": 1000} and told["users"][0]["quota"] == {"workers": 2, "queued": 100, "day": 1000}
    done = session.ddq("submit", "digits-demo", "--images", "71", code=75)
    assert "71 images" in done.stderr and "30 queued" in done.stderr and "100" in done.stderr
    assert ["ada", "0", "2", "30", "100", "0", "1,000"] in [line.split() for line in session.ddq("quota").stdout.splitlines()]
    session.ddq("quota", "ada", "--queued", "none", DDQ_AS="root")
    session.ddq("submit", "digits-demo", "--images", "71")
    assert "USER is missing" in session.ddq("quota", "--gpus", "1", code=2).stderr
    for bad in ("-1", "1.5", "x"):
        assert "none or a whole number" in session.ddq("quota", "ada", "--day", bad, code=2).stderr


def test_dry_run_says_what_it_would_cost_and_queues_nothing(session):
    assert "no daemon is alive" in session.ddq("submit", "digits-2step", "--dry-run").stdout
    session.heartbeat(workers=[{"name": "cpu:0", "device": "cpu", "state": "idle", "job": "", "pid": 8, "memory_mib": 2048, "free_mib": 4096}])
    (told,) = session.json("submit", "digits-2step", "--dry-run")["jobs"]
    assert told["images"] == 5000 and "work_ms" not in told and "next in turn" in told["text"] and "id" not in told
    job = session.ddq("submit", "digits-2step", "-q").stdout.strip()
    lease = session.claim()
    session.call("finish", token=lease["token"], upto=lease["hi"], ms=(lease["hi"] - lease["lo"]) * 20, peak_mib=1536)
    keys = set(session.redis("KEYS", "*").split())
    (told,) = session.json("submit", "digits-2step", "--images", "1000", "--dry-run")["jobs"]
    assert told["ms_image"] == pytest.approx(20, rel=0.01) and told["work_ms"] == pytest.approx(20000, rel=0.01)
    assert told["memory"] == {"cpu": 1536} and told["best_free_mib"] == 4096 and told["before"] == 1 and told["left_ms"] > told["eta_ms"] > 0
    table = session.ddq("submit", "digits-2step", "--images", "1000", "--dry-run")
    assert "1.5 GiB" in table.stdout and "20s" in table.stdout and "nothing is queued" in table.stderr
    sweep = session.json("submit", "digits-2step", "--sweep", "seed=1,2", "--then", "evaluate", "--dry-run")["jobs"]
    assert [row["point"] for row in sweep] == [{"seed": 1}, {"seed": 2}]
    assert "1 job before yours" in session.ddq("run", "digits-2step", "--dry-run", "-q").stdout
    assert "may run from" in session.ddq("submit", "digits-2step", "--at", "+2h", "--dry-run", "-q").stdout
    assert "waits for job" in session.ddq("submit", "digits-2step", "--after", job, "--dry-run", "-q").stdout
    session.ddq("quota", "ada", "--queued", "5000", DDQ_AS="root")
    assert "5000" in session.ddq("submit", "digits-2step", "--new", "--dry-run", code=75).stderr
    assert [row["id"] for row in session.json("ls", "--all")["jobs"]] == [job]
    assert {key for key in set(session.redis("KEYS", "*").split()) - keys if ":lane:" not in key} <= {"{ddq}:quotas"}

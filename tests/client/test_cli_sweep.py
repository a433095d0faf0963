"""Sweeps: a group of jobs that shows, waits, compares and is cancelled as one."""
import json

import pytest

from test_cli_compare import ALIKE
from wait import DEADLINE

SWEEP = ["submit", "digits-2step", "--images", "10", "--sweep", "split_t=10,20", "--sweep", "seed=1,2"]


def sweep(session, *more):
    return session.json(*SWEEP, *more)


def test_every_combination_is_a_job_and_all_are_one_group(session):
    told = sweep(session)
    user, name = told["group"].split("/")
    assert user == "ada" and name.startswith("digits-2step-split_t-seed-") and len(told["ids"]) == 4
    shown = [session.json("show", job) for job in told["ids"]]
    assert [s["point"] for s in shown] == [{"split_t": t, "seed": s} for t in (10, 20) for s in (1, 2)]
    assert [(s["spec"]["split_t"], s["spec"]["seed"]) for s in shown] == [(10, 1), (10, 2), (20, 1), (20, 2)]
    assert [s["name"] for s in shown] == [f"{name}.split_t-{t}.seed-{s}" for t in (10, 20) for s in (1, 2)]
    assert {s["group"] for s in shown} == {name}
    for word in ("@", name, told["group"]):
        group = session.json("show", word)
        assert group["jobs"] == 4 and group["state"] == "queued" and group["images"] == 40
    assert session.ddq("show", name, "-q").stdout == "queued\n"
    table = session.ddq("show", "@").stdout
    assert all(job in table for job in told["ids"]) and "4 queued" in table and "split_t" in table
    assert sweep(session)["ids"] == told["ids"]  # the same sweep again is the same jobs
    other = sweep(session, "--new")
    assert other["group"] != told["group"] and not set(other["ids"]) & set(told["ids"])
    assert session.ddq("ls", "--sweeps", "-q").stdout.split() == [other["group"], told["group"]]
    assert session.json("ls", "--sweeps")["groups"][1]["states"] == {"queued": 4} and "4 queued" in session.ddq("ls", "--sweeps").stdout
    assert session.ddq("ls", "--sweeps", "-q", "-u", "bob").stdout == ""


def test_a_group_wherever_a_job_id_goes(session):
    session.heartbeat()
    told = session.json("submit", "digits-2step", "--images", "10", "--sweep", "seed=1,2,3", "--name", "seeds", "--hold")
    assert told["group"] == "ada/seeds"
    ids = told["ids"]
    assert [session.json("show", job)["state"] for job in ids] == ["held"] * 3
    assert [row["state"] for row in session.json("release", "seeds")["jobs"]] == ["queued"] * 3
    assert "none of its jobs" in session.ddq("release", "seeds").stderr
    assert len(session.json("hold", "ada/seeds", "--reason", "lunch")["jobs"]) == 3 and len(session.json("release", "@")["jobs"]) == 3
    assert [row["priority"] for row in session.json("prio", "seeds", "7")["jobs"]] == [7] * 3
    assert [row["id"] for row in session.json("why", "seeds")["jobs"]] == ids and session.ddq("why", "seeds").stdout.count("\n") == 3
    later = session.submit("--after", "seeds")
    assert sorted(session.json("show", later)["after"]) == sorted(ids)
    assert "a sweep of 3 jobs" in session.ddq("logs", "seeds", code=2).stderr
    assert "seeds" in session.ddq("cancel", "seeds", DDQ_AS="bob", code=102).stderr  # bob has none of that name
    assert "belongs to ada" in session.ddq("cancel", "ada/seeds", DDQ_AS="bob", code=77).stderr
    assert [row["state"] for row in session.json("cancel", "seeds")["jobs"]] == ["cancelled"] * 3
    assert session.json("show", "seeds")["state"] == "cancelled"
    session.ddq("wait", "seeds", code=103)
    assert "have ended" in session.ddq("why", "seeds").stderr


def test_wait_watch_and_compare_as_one(session):
    session.heartbeat()
    ids = session.json("submit", "digits-2step", "--images", "10", "--sweep", "cfg-scale=1,1.5", "--name", "cfg")["ids"]
    assert "got none" in session.ddq("compare", "cfg", code=2).stderr
    waiting = session.start_ddq("watch", "cfg")
    session.until_heard()
    for job, fid in zip(ids, (4.25, 3.5)):
        session.complete(job, metrics={"fid": fid})
        folder = session.folder / "jobs" / session.json("show", job)["folder"]
        folder.mkdir(parents=True)
        (folder / "report.json").write_text(json.dumps({**ALIKE, "name": job, "fid": fid}))
    out, said = waiting.communicate(timeout=DEADLINE)
    assert waiting.returncode == 0 and "cfg_scale" in out and "4.25" in out and "3.5" in out and "ada/cfg" in said
    (told,) = session.json("wait", "cfg")["jobs"]
    assert told["id"] == "ada/cfg" and told["exit_code"] == 0 and [p["point"] for p in told["points"]] == [{"cfg_scale": 1}, {"cfg_scale": 1.5}]
    assert [run["name"] for run in session.json("compare", "cfg")["runs"]] == ["cfg_scale 1", "cfg_scale 1.5"]
    assert len(session.json("compare", "cfg", ids[0])["runs"]) == 3
    session.ddq("wait", "cfg", "--timeout", str(DEADLINE))


@pytest.mark.parametrize("words, said", [
    (["seed"], "FIELD=A,B,C"),
    (["=1,2"], "FIELD=A,B,C"),
    (["seed="], "no values"),
    (["seed=1,2,1"], "1 twice"),
    (["sed=1,2"], "Did you mean 'seed'?"),
    (["seed=1,x"], "wanted an integer"),
    (["split_t=1,70000"], "split_t"),
    (["name=a,b"], "cannot vary"),
    (["seed=1,2", "--sweep", "seed=3,4"], "is given twice"),
    (["seed=1,2", "--seed", "3"], "remove one of them"),
    (["seed=" + ",".join(map(str, range(40))), "--sweep", "split_t=" + ",".join(map(str, range(1, 30)))], "1160 jobs"),
])
def test_bad_sweeps_queue_nothing(session, words, said):
    assert said in session.ddq("submit", "digits-2step", "--sweep", *words, code=2).stderr
    assert session.json("ls", "--all")["jobs"] == []


def test_lists_are_parted_by_semicolons_and_a_table_is_no_sweep(session):
    ids = session.json("submit", "digits-2step", "--sweep", "t_list=0;0,20")["ids"]
    assert [session.json("show", job)["point"] for job in ids] == [{"t_list": [0]}, {"t_list": [0, 20]}]
    assert "there are 6" in session.ddq("submit", "digits-table", "--sweep", "seed=1,2", code=2).stderr


def test_a_sweep_fits_the_quota_as_a_whole(session):
    session.ddq("quota", "ada", "--queued", "45", "--new-user", DDQ_AS="root")
    first = sweep(session)["ids"]  # 40 images
    done = session.ddq("submit", "digits-2step", "--images", "3", "--sweep", "seed=5,6", code=75)
    assert "6 images" in done.stderr and "40 queued" in done.stderr and "45" in done.stderr and done.stdout == ""
    assert sweep(session)["ids"] == first and len(session.json("ls")["jobs"]) == 4
    assert "5000 images" in session.ddq("submit", "digits-2step", code=75).stderr

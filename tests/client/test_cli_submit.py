"""ddq submit: where jobs come from, what is refused, what the queue gets."""
import json

import pytest

from wait import wait_for


def test_submit_says_the_id_alone_when_quiet(session):
    done = session.ddq("submit", "digits-2step", "--quiet")
    job = done.stdout.strip()
    assert done.stdout == job + "\n" and len(job) == 10 and done.stderr == ""
    shown = session.json("show", job)
    assert shown["state"] == "queued" and shown["done"] == 0 and shown["images"] == 5000 and shown["user"] == "ada"
    assert shown["kind"] == "sample" and shown["model"] == "digits" and shown["reason"] and shown["leases"] == []
    assert shown["spec"]["recipe"] == "digits-2step" and shown["spec"]["published_fid"] == 1.663
    assert shown["created"].endswith("Z") and "T" in shown["created"]
    assert shown["needs"] == "model:digits reference:digits"


def test_submit_with_words(session):
    done = session.ddq("submit", "digits-2step")
    job = done.stdout.strip()
    assert f"ddq watch {job}" in done.stderr and f"ddq cancel {job}" in done.stderr
    assert "no daemon is alive" in done.stderr
    assert session.json("submit", "digits-2step") .keys() == {"id", "ids", "duplicate", "duplicates"}


def test_submit_from_file_stdin_and_flags(session):
    job = {"kind": "sample", "model": "digits", "t_list": [0], "split_t": 20, "images": 3}
    (session.folder / "job.json").write_text(json.dumps(job))
    (session.folder / "plain").write_text(json.dumps(job))
    from_file = session.ddq("submit", "job.json", "-q").stdout.strip()
    from_plain = session.ddq("submit", "plain", "-q").stdout.strip()
    from_stdin = session.ddq("submit", "-", "--quiet", stdin=json.dumps(job)).stdout.strip()
    from_flags = session.ddq("submit", "--model", "digits", "--t-list=0", "--split_t", "20", "--images", "3", "-q").stdout.strip()
    specs = [session.json("show", i)["spec"] for i in (from_file, from_plain, from_stdin, from_flags)]
    assert specs[0] == specs[1] == specs[2] == specs[3]
    assert specs[0]["t_list"] == [0] and specs[0]["cfg_scale"] == 2.0


def test_flags_change_what_a_file_says_and_every_field_is_one(session):
    job = session.ddq("submit", "digits-teacher-7", "-q", "--seed", "9", "--teacher-start-t", "10", "--save", "png,codes",
                   "--classes", "1,2,3", "--top-p", "0.5", "--device", "cpu", "--name", "mine", "--batch", "2").stdout.strip()
    shown = session.json("show", job)
    spec = shown["spec"]
    assert (spec["seed"], spec["teacher_start_t"], spec["save"], spec["classes"], spec["top_p"]) == (9, 10, ["png", "codes"], [1, 2, 3], 0.5)
    assert shown["device"] == "cpu" and shown["name"] == "mine"
    assert spec["changed"] == "teacher_start_t 10, top_p 0.5, seed 9, classes 1,2,3, save png,codes"


def test_the_published_fid_stays_with_another_seed(session):
    done = session.ddq("submit", "digits-2step", "--seed", "5")
    assert session.json("show", "@")["spec"]["published_fid"] == 1.663
    assert "published" not in done.stderr
    assert session.json("show", "@")["spec"]["changed"] == "seed 5"
    done = session.ddq("submit", "digits-2step", "--images", "5000", "--new")  # as in the recipe
    assert "changed" not in session.json("show", "@")["spec"] and "published" not in done.stderr


def test_a_published_fid_of_other_parameters_is_not_compared(session):
    """Said once, in one sentence, and never before an error."""
    said = "so what was published (FID 1.663) is not compared with it"
    done = session.ddq("submit", "digits-2step", "--images", "64", "--seed", "7")
    assert f"this job changes images 64, seed 7 of the recipe digits-2step, {said}" in done.stderr and done.stderr.count(said) == 1
    job = session.json("show", "@")["id"]
    session.complete(job, fid=1.25, metrics={"fid": 1.25})
    shown = session.ddq("wait", job).stdout
    assert "published 1.66" not in shown and "difference" not in shown and shown.count(said) == 1
    done = session.ddq("submit", "digits-2step", "--sweep", "split_t=10,20,30")
    assert done.stderr.count(said) == 1 and "split_t 10" in done.stderr
    done = session.ddq("submit", "digits-2step", "--images", "0", code=2)
    assert "published" not in done.stderr
    done = session.ddq("submit", "digits-2step", "--images", "64", "--published-fid", "2.5")  # of just these parameters
    assert "published" not in done.stderr
    done = session.ddq("submit", "digits-2step", "--split-t", "30", "--then", "evaluate")
    assert done.stderr.count(said) == 1


def test_a_table_is_several_jobs(session):
    ids = session.ddq("submit", "digits-table", "--quiet").stdout.split()
    assert len(ids) == len(set(ids)) == 6
    assert [session.json("show", i)["spec"]["published_fid"] for i in ids] == [0.749, 1.715, 1.663, 1.112, 0.928, 0.915]
    assert session.json("show", "@")["id"] == ids[-1]
    done = session.ddq("submit", "digits-table", "--name", "x", code=2)
    assert "--name" in done.stderr and done.stdout == ""


def test_files_that_are_here_are_named_absolutely(session):
    (session.folder / "noise.npy").write_text("")
    job = session.submit(noise="noise.npy", labels="elsewhere.npy")
    spec = session.json("show", job)["spec"]
    assert spec["noise"] == str(session.folder / "noise.npy") and spec["labels"] == "elsewhere.npy"


def test_evaluate_and_statistics(session):
    (session.folder / "pictures").mkdir()
    job = session.ddq("submit", "--kind", "evaluate", "--images", "pictures", "--reference", "digits", "-q").stdout.strip()
    shown = session.json("show", job)
    assert shown["kind"] == "evaluate" and shown["images"] == 0 and shown["needs"] == "reference:digits"
    assert shown["spec"]["images"] == str(session.folder / "pictures")
    job = session.ddq("submit", "-q", "--images", "pictures", "--kind", "statistics").stdout.strip()
    assert session.json("show", job)["needs"] == "inception"


@pytest.mark.parametrize("job, words", [
    ("", ["empty"]),
    ("{", ["not JSON", "line 1"]),
    ("[]", ["stdin", "not a job"]),
    ("3", ["stdin", "not a job"]),
    ("[1]", ["not a JSON object"]),
    ('{"model": "digits", "t_lst": [0]}', ["t_lst", "t_list"]),
    ('{"model": "digits", "t_list": [0], "split_t": 2, "images": 0}', ["images", "0"]),
    ('{"model": "digits", "t_list": [0], "split_t": 2, "images": 1000000000000}', ["images"]),
    ('{"model": "digits", "t_list": [5], "split_t": 2, "images": 1}', ["t_list", "5"]),
    ('{"model": "digits", "t_list": [0], "split_t": 2, "images": 1, "output": "/etc"}', ["output"]),
    ('{"model": "digits", "t_list": [0], "split_t": 2, "images": 1, "name": "../x"}', ["name"]),
    ('[{"model": "digits", "t_list": [0], "split_t": 2, "images": 1}, {}]', ["job 2 of 2", "model"]),
])
def test_bad_jobs_queue_nothing(session, job, words):
    done = session.ddq("submit", "-", code=2, stdin=job)
    assert done.stdout == ""
    for word in words:
        assert word in done.stderr
    assert session.json("ls", "--all")["jobs"] == []


def test_unknown_recipe_and_missing_file(session):
    assert "Did you mean 'digits-2step'?" in session.ddq("submit", "digit-2step", code=2).stderr
    assert "nowhere.json" in session.ddq("submit", "nowhere.json", code=102).stderr
    assert "no job given" in session.ddq("submit", code=2).stderr


def test_names_are_held_against_living_daemons(session):
    session.heartbeat()
    done = session.ddq("submit", "-", code=2, stdin='{"model": "digit", "t_list": [0], "split_t": 2, "images": 1}')
    assert "Did you mean 'digits'?" in done.stderr and "llamagen-l-dd" in done.stderr
    done = session.ddq("submit", "l-2step", code=2)
    assert "imagenet256" in done.stderr and "Offered: digits" in done.stderr
    assert "no daemon" not in session.ddq("submit", "digits-2step").stderr
    done = session.ddq("submit", "--model", "llamagen-l-dd", "--t-list", "0,80", "--teacher-start-t", "0", "--split-t", "1", "--images", "1", code=2)
    assert "no teacher" in done.stderr
    session.heartbeat(ttl_ms=1000, boot="b")
    wait_for(lambda: not session.json("gpus")["hosts"], "its heartbeat expires")
    assert "no daemon is alive" in session.ddq("submit", "l-2step").stderr


@pytest.mark.parametrize("name", ["../we ird:/" + "x" * 60, "ada@lab", ".ada", "a" * 33])
def test_a_user_name_that_the_queue_cannot_hold_is_refused(session, name):
    said = session.ddq("submit", "digits-demo", "-q", DDQ_AS=name, code=2).stderr
    assert f"--as is '{name[:40]}'" in said and "letters" in said
    assert "letters" in session.ddq("submit", "digits-demo", DDQ_AS="a\nb", code=2).stderr


def test_after_and_priority(session):
    first = session.submit()
    second = session.submit("--after", first, "--priority", "5")
    shown = session.json("show", second)
    assert shown["state"] == "waiting" and first in shown["reason"] and shown["priority"] == 5
    assert "--priority" in session.ddq("submit", "digits-demo", "--priority", "high", code=2).stderr
    assert "--after" in session.ddq("submit", "digits-demo", "--after", "zzzzzz", code=102).stderr


def test_a_home_that_takes_no_files_costs_no_job(session):
    """What '@' means is kept for comfort alone."""
    for home in "/proc/nowhere", "/dev/null":
        done = session.ddq("submit", "digits-2step", "--images", "64", "--new", HOME=home)
        assert done.stderr.count("the last job's id") == 1
        assert session.json("show", done.stdout.strip())["state"] == "queued"

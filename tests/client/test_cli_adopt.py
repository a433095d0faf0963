"""ddq adopt: folders as a worker leaves them, written by hand, and a queue without them. tests/e2e has
real ones."""
import json

import pytest

ID = "ab3de6gh9j"


def folder_of(session, name="mine", user="ada", job=ID, images=100, shards=((0, 64),), report=None, **changes):
    folder = session.folder / "jobs" / user / name
    (folder / "blocks").mkdir(parents=True)
    spec = {"kind": "sample", "model": "digits", "t_list": [0, 20], "split_t": 20, "images": images, "seed": 3}
    submitted = {"id": job, "user": user, "kind": "sample", "model": "digits", "images": images, "name": name, "priority": 5,
                 "needs": ["model:digits"], "after": [], "spec": spec}
    mark = {"identity": "f00d", "parts": {}, "spec": {}, "submitted": submitted, **changes}
    (folder / "job.json").write_text(json.dumps(mark))
    for lo, hi in shards:
        shard = {"lo": lo, "hi": hi, "identity": "f00d"}
        (folder / f"blocks/{lo:06d}-{hi:06d}.json").write_text(json.dumps(shard))
    if report:
        (folder / "report.json").write_text(json.dumps({"identity": "f00d", "images": images, "outputs": [], **report}))
    return folder


@pytest.fixture
def lab(session):
    (session.folder / "jobs").mkdir()
    session.heartbeat(root=str(session.folder / "jobs"))
    return session


def test_a_job_comes_back_under_its_id_with_what_is_there(lab):
    folder = folder_of(lab, shards=[(0, 32), (32, 64), (16, 40), (90, 95)])
    for name, text in [("000070-000080.json", '{"lo":70,"hi":80,"identity":"another job"}'), ("000064-000070.json", "{"),
                       ("000080-000085.json", '{"lo":80,"hi":99,"identity":"f00d"}'), ("000095-000200.json", "[]"),
                       (".000064-000090.json.h-1-1.part", "{}"), ("notes.txt", "hello")]:
        (folder / "blocks" / name).write_text(text)  # none of these is a shard
    assert lab.ddq("adopt", folder).stdout == f"{ID} ada/mine is queued, 69 of 100 images exist\n"
    job = lab.json("show", ID)
    assert (job["user"], job["name"], job["folder"], job["priority"], job["done"]) == ("ada", "mine", "ada/mine", 5, 69)
    assert job["spec"]["seed"] == 3
    assert [lab.claim()["lo"]] == [64]
    assert "already in the queue: running" in lab.ddq("adopt", folder).stdout


def test_many_jobs_at_once(lab):
    folder_of(lab, "one", job="aaaaaa0001")
    folder_of(lab, "two", job="aaaaaa0002", shards=[(0, 100)], report={"fid": 2.5, "kid": 3.0, "strange": 4})
    folder_of(lab, "three", job="aaaaaa0003", shards=[(0, 100)], report={"outputs": ["fid.txt"], "fid": 2.5})  # which is gone
    folder_of(lab, "four", user="bob", job="aaaaaa0004")
    folder_of(lab, "five", job="aaaaaa0005", submitted=None)
    folder_of(lab, "six", job="aaaaaa0006", identity=7)
    (lab.folder / "jobs/ada/seven").mkdir()
    (lab.folder / "jobs/ada/seven/job.json").write_text("{")
    (lab.folder / "jobs/ada/eight").mkdir()
    done = lab.ddq("adopt", lab.folder / "jobs", "--json", code=1)
    rows = {row["folder"].rsplit("/")[-1]: row for row in json.loads(done.stdout)["jobs"]}
    assert {name: (row["state"], row["done"]) for name, row in rows.items() if "state" in row} == {
        "one": ("queued", 64), "two": ("done", 100), "three": ("queued", 100)}
    assert "belongs to bob" in rows["four"]["error"] and "without a queue" in rows["five"]["error"]
    assert "not written by ddq-worker" in rows["six"]["error"] and "not written by" in rows["seven"]["error"]
    assert done.stderr.count("not adopted:") == 4 and "eight" not in rows
    two = lab.json("show", "aaaaaa0002")
    assert two["fid"] == 2.5 and two["state"] == "done" and two["metrics"] == {"fid": 2.5, "kid": 3.0}
    assert "KID" in lab.ddq("wait", "aaaaaa0002").stdout
    assert lab.ddq("adopt", lab.folder / "jobs/ada/one", "--quiet").stdout == "aaaaaa0001\n"


def test_others_in_a_shared_folder_are_no_failure_but_one_that_is_named_is(lab):
    folder_of(lab, "mine")
    bobs = folder_of(lab, "his", user="bob", job="aaaaaa0004")
    assert "belongs to bob" in lab.ddq("adopt", lab.folder / "jobs").stderr
    assert "belongs to bob" in lab.ddq("adopt", bobs, code=77).stderr
    assert "his is queued" in lab.ddq("adopt", bobs, DDQ_AS="root").stdout


def test_folders_that_cannot_come_back(lab, tmp_path):
    assert "is not a job's folder" in lab.ddq("adopt", lab.folder / "jobs", code=102).stderr
    assert "No such file" in lab.ddq("adopt", lab.folder / "nowhere", code=102).stderr
    folder = folder_of(lab)
    folder.rename(tmp_path / "mine")
    assert "is not below" in lab.ddq("adopt", tmp_path / "mine", code=2).stderr
    (tmp_path / "mine").rename(lab.folder / "jobs/ada/renamed")
    lab.submit(name="renamed")
    assert "belongs to job" in lab.ddq("adopt", lab.folder / "jobs/ada/renamed", code=75).stderr
    (lab.folder / "jobs/ada/renamed").rename(lab.folder / "jobs/ada/free")
    assert "ada/free is queued" in lab.ddq("adopt", lab.folder / "jobs/ada/free").stdout
    strange = folder_of(lab, "strange", job="aaaaaa0009")
    mark = json.loads((strange / "job.json").read_text())
    for change, code, word in [({"images": 99}, 1, "images"), ({"id": "../x"}, 2, "id"), ({"priority": 1000}, 2, "priority"),
                               ({"spec": {"kind": "sample"}}, 2, "job.json"), ({"spec": 7}, 2, "job.json")]:
        (strange / "job.json").write_text(json.dumps({**mark, "submitted": {**mark["submitted"], **change}}))
        assert word in lab.ddq("adopt", strange, code=code).stderr

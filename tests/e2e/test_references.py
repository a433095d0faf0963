"""References from a folder of the queue to a FID: made by a job, seen by the daemon, named by another job."""
import json

import pytest

from harness import ROOT, Farm
from wait import wait_for

GOLDEN = ROOT / "tests/golden/inception"
WANTED = json.loads((GOLDEN / "e2e/e2e.json").read_text())


@pytest.fixture
def farm(tmp_path):
    conf = tmp_path / "ddq.conf"
    conf.write_text(f"[daemon]\ninput_roots = {GOLDEN}/e2e\n[inception]\nweights = {GOLDEN}/net/inception_w16_legacy.pth\n"
                    f"[reference photos]\nimages = {GOLDEN}/e2e/set_b.npy\npipeline = tf\n")
    farm = Farm(conf=conf)
    # What another program wrote into the folder before the daemon looked.
    folder = farm.jobs / "references"
    folder.mkdir(parents=True)
    (tmp_path / "secret.npz").write_bytes((GOLDEN / "e2e/stats_b_pt.npz").read_bytes())
    (folder / "away.json").write_text(json.dumps({"name": "away", "path": str(tmp_path / "secret.npz"), "user": "eve"}))
    (folder / "broken.json").write_text("{")
    with farm:
        yield farm


def offered(farm):
    return {item["name"]: item for item in json.loads(farm.ddq("refs", "--json").stdout)["references"]}


def evaluate(farm, reference, **more):
    job = farm.submit({"kind": "evaluate", "images": str(GOLDEN / "e2e/set_a_adm.npz"), "reference": reference, **more})
    farm.wait(job)
    return json.loads((farm.jobs / farm.show(job)["folder"] / "report.json").read_text())


def test_made_by_the_queue(farm):
    farm.ddq("refs", "make", "b", GOLDEN / "e2e/set_b.npy", "--pipeline", "pt", "--wait")
    wait_for(lambda: "b" in offered(farm), "the daemon offers what the job registered, before its next heartbeat")
    entry = offered(farm)["b"]
    assert (entry["kind"], entry["pipeline"], entry["images"], entry["dims"]) == ("statistics", "pt", 160, 128)
    assert len(entry["hosts"]) == 1 and offered(farm)["photos"]["from"] == "ddq.conf"
    report = evaluate(farm, "b")
    assert report["fid"] == pytest.approx(WANTED["pt"]["fid_symmetric"], abs=5e-5)
    # The same number to the last bit, by hand and with no daemon.
    out = farm.ddq("fid", GOLDEN / "e2e/set_a_adm.npz", farm.jobs / "references/b.npz", "--conf", farm.conf).stdout
    assert float(out[6:]) == report["fid"]
    # A field that contradicts the reference is refused with the sentence.
    job = {"kind": "evaluate", "images": str(GOLDEN / "e2e/set_a_adm.npz"), "reference": "b", "pipeline": "tf"}
    assert "pt pipeline alone" in farm.ddq("submit", "-", stdin=json.dumps(job), code=2).stderr
    farm.ddq("refs", "remove", "b")
    assert not (farm.jobs / "references/b.json").exists()


def test_images_of_the_configuration(farm):
    """[reference NAME] images: measured by the worker when it is first needed, cached by the host."""
    assert offered(farm)["photos"]["pipeline"] == "tf"
    for _ in range(2):
        assert evaluate(farm, "photos")["fid"] == pytest.approx(WANTED["tf"]["fid_symmetric"], abs=5e-5)
    assert len(list((farm.state / "cache/references").glob("*.npz"))) == 1


def test_an_entry_that_leads_away(farm):
    """It is offered if it can be read, and refused when it leads where jobs may not read."""
    wait_for(lambda: "away" in offered(farm), "the daemon sees the entry")
    assert "broken" not in offered(farm)
    job = farm.submit({"kind": "evaluate", "images": str(GOLDEN / "e2e/set_a_adm.npz"), "reference": "away"})
    held = wait_for(lambda: farm.show(job)["state"] == "held" and farm.show(job), "a person is asked")
    assert "outside the folders" in held["reason"]
    assert "broken.json" in (farm.folder / "ddqd.log").read_text()

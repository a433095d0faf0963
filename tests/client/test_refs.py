"""ddq refs: what the hosts offer, what is registered, and who may change it."""
import json
import os
import shutil

import numpy as np
import pytest

from session import ROOT

GOLDEN = ROOT / "tests/golden/inception"
STATS, SET_B = GOLDEN / "stats", GOLDEN / "e2e/set_b.npy"
W16 = GOLDEN / "net/inception_w16.pth"


def library(session):
    """What a daemon would find in its folder."""
    found = {}
    for path in sorted((session.folder / "references").glob("*.json")):
        found[path.stem] = json.loads(path.read_text())
    return found


def heartbeat(session, *, host="node1", conf={}, **more):
    """A host that offers its configuration's references and the registered ones."""
    entries = {**library(session), **{name: {"path": path, "kind": "statistics", "from": "ddq.conf"} for name, path in conf.items()}}
    session.heartbeat(host=host, boot=host, references=sorted(entries), library=entries, **more)


def test_list_and_show(session):
    assert "no daemon" in session.ddq("refs").stderr
    heartbeat(session)
    session.ddq("refs", "add", "release", STATS / "dd", "--pipeline", "pt")
    heartbeat(session, conf={"digits": "/models/digits.npz"})
    heartbeat(session, host="node2")
    listed = {item["name"]: item for item in session.json("refs")["references"]}
    assert list(listed) == ["digits", "release"]
    assert listed["digits"]["hosts"] == ["node1"] and listed["digits"]["from"] == "ddq.conf"
    release = listed["release"]
    assert sorted(release["hosts"]) == ["node1", "node2"] and release["user"] == "ada" and release["pipeline"] == "pt"
    assert release["dims"] == 64 and len(release["sha256"]) == 64 and release["source"] == str(STATS / "dd")
    text = session.ddq("refs").stdout
    assert "release" in text and release["sha256"][:12] in text and ("node1 node2" in text or "node2 node1" in text)
    assert session.ddq("refs", "--quiet").stdout == "digits\nrelease\n"
    assert session.json("refs", "show", "release") == release
    shown = session.ddq("refs", "show", "release").stdout
    assert f"sha256         {release['sha256']}" in shown and "pipeline       pt" in shown
    assert "no reference nobody" in session.ddq("refs", "show", "nobody", code=102).stderr


def test_what_was_just_registered_is_known(session):
    """The hosts announce it with their next heartbeat; the folder has it now, and loses it at once."""
    heartbeat(session)
    session.ddq("refs", "add", "fresh", STATS / "dd", "--pipeline", "pt")
    session.ddq("refs", "add", "photos", SET_B)
    listed = {item["name"]: item for item in session.json("refs")["references"]}
    assert sorted(listed) == ["fresh", "photos"] and listed["fresh"]["hosts"] == [] and listed["fresh"]["user"] == "ada"
    assert session.json("refs", "show", "fresh") == listed["fresh"]
    assert "pipeline       pt" in session.ddq("refs", "show", "fresh").stdout
    job = session.submit("--reference", "fresh")  # before any host knows it
    assert "reference" in session.ddq("submit", "-", code=2, stdin=json.dumps(
        {"model": "digits", "t_list": [0], "split_t": 2, "images": 1, "reference": "frsh"})).stderr
    heartbeat(session)
    assert session.json("refs", "show", "fresh")["hosts"] == ["node1"]
    session.ddq("cancel", job)
    session.ddq("refs", "remove", "fresh")
    assert [item["name"] for item in session.json("refs")["references"]] == ["photos"]  # though node1 still says fresh
    session.ddq("refs", "show", "fresh", code=102)


@pytest.mark.parametrize("path, said, code", [
    (STATS / "statistic_fortran.pth", "not symmetric", 1),
    (W16, "neither mu and sigma", 1),
    (STATS / "nowhere.npz", "nowhere.npz", 102),
    (GOLDEN / "net/pool3_pt.npy", "[n,height,width,3] u8", 1),
    (GOLDEN / "README.md", "README.md", 1),
])
def test_add_refuses(session, path, said, code):
    assert said in session.ddq("refs", "add", "bad", path, code=code).stderr
    assert library(session) == {}


def test_add_containers(session):
    """Every container gives the same statistics, which state what their file did not."""
    golden = np.load(STATS / "stats_savez.npz")
    for i, name in enumerate(["dd/statistic.pth", "statistic_legacy.pth", "statistic_tensors.pth", "statistic_numpy2.pth",
                              "stats_savez_compressed.npz"]):
        entry = session.json("refs", "add", f"r{i}", STATS / name, "--pipeline", "tf")
        copy = np.load(session.folder / f"ddq-jobs/references/r{i}.npz")
        assert np.abs(copy["mu"] - golden["mu"]).max() < 3e-7 and np.array_equal(copy["sigma"], golden["sigma"])
        assert copy["pipeline"].tobytes() == b"tf" and entry["kind"] == "statistics" and entry["dims"] == 64


def test_add_images_and_adm(session):
    """Images stay where they are; ADM's batch brings its own along, and is of the tf pipeline."""
    heartbeat(session)
    entry = session.json("refs", "add", "set-b", SET_B)
    assert (entry["kind"], entry["path"], entry["images"]) == ("array", str(SET_B), 160)
    assert entry["features"] and "pipeline" not in entry
    adm = session.json("refs", "add", "adm", STATS / "adm_style_ref.npz")
    assert (adm["kind"], adm["pipeline"], adm["features"], adm["spatial"]) == ("statistics", "tf", True, True)
    assert "pipeline is pt" in session.ddq("refs", "add", "adm2", STATS / "adm_style_ref.npz", "--pipeline", "pt", code=2).stderr
    assert "input_roots" in session.ddq("refs", "add", "set-b", SET_B).stderr  # the same again changes nothing
    assert not list((session.folder / "references").glob("*.npz"))


def test_whose_name(session):
    """The first user owns a name; ddq.conf's names are refused; no name leads out of the folder."""
    heartbeat(session, conf={"digits": "/models/digits.npz"})
    session.ddq("refs", "add", "mine", STATS / "statistic_f64.pth")
    heartbeat(session, conf={"digits": "/models/digits.npz"})
    first = library(session)["mine"]
    assert "belongs to ada" in session.ddq("refs", "add", "mine", STATS / "dd", code=77, DDQ_AS="bob").stderr
    assert "belongs to ada" in session.ddq("refs", "add", "mine", STATS / "dd", "--replace", code=77, DDQ_AS="bob").stderr
    assert "belongs to ada" in session.ddq("refs", "make", "mine", SET_B, code=77, DDQ_AS="bob").stderr
    assert "--replace" in session.ddq("refs", "add", "mine", STATS / "dd", code=75).stderr
    assert library(session)["mine"] == first
    session.ddq("refs", "add", "mine", STATS / "dd", "--replace")
    assert library(session)["mine"]["sha256"] != first["sha256"]
    assert "ddq.conf already has" in session.ddq("refs", "add", "digits", STATS / "dd", code=2).stderr
    for name in "../evil", "/etc/evil", ".hidden", "-x", "a b", "":
        assert session.ddq("refs", "add", "--", name, STATS / "dd", code=2).stderr
    assert sorted(library(session)) == ["mine"] and not (session.folder / "evil.json").exists()


def test_facts_of_the_configuration(session):
    """What ddq.conf names has a hash and a width as well, where its file can be read here; a bad file is no error."""
    heartbeat(session, conf={"good": str(STATS / "stats_savez.npz"), "bad": str(STATS / "statistic_fortran.pth"), "far": "/far/away.npz"})
    listed = {item["name"]: item for item in session.json("refs")["references"]}
    assert len(listed["good"]["sha256"]) == 64 and listed["good"]["dims"] == 64
    assert "not symmetric" in listed["bad"]["fault"] and "sha256" not in listed["bad"]
    assert "fault" not in listed["far"] and "sha256" not in listed["far"]
    assert listed["good"]["sha256"][:12] in session.ddq("refs").stdout and "unreadable" in session.ddq("refs").stdout


def test_symbolic_links_are_not_followed(session):
    """Another user's link in the folder: no file is written through it, and no entry is read through it."""
    heartbeat(session)
    folder, secret = session.folder / "references", session.folder / "secret.json"
    folder.mkdir()
    secret.write_text('{"name": "linked", "path": "/etc/passwd", "user": "ada"}')
    os.symlink(secret, folder / "linked.json")
    assert session.ddq("refs", "remove", "linked", code=1).returncode == 1
    done = session.ddq("refs", "add", "linked", STATS / "dd", code=1)
    assert "linked" in done.stderr
    assert json.loads(secret.read_text())["path"] == "/etc/passwd"


def test_remove(session):
    heartbeat(session)
    session.ddq("refs", "add", "mine", STATS / "dd")
    heartbeat(session)
    assert "belongs to ada" in session.ddq("refs", "remove", "mine", code=77, DDQ_AS="bob").stderr
    job = session.submit("--reference", "mine")
    said = session.ddq("refs", "remove", "mine", code=75).stderr
    assert job in said and "ada" in said
    assert "mine" in library(session)
    session.ddq("cancel", job)
    session.ddq("refs", "remove", "mine")
    assert library(session) == {} and not (session.folder / "references/mine.npz").exists()
    assert "ddq.conf" in session.ddq("refs", "remove", "mine", code=102).stderr


def test_make_queues_a_job(session):
    heartbeat(session)
    made = session.ddq("refs", "make", "photos", SET_B, "--pipeline", "tf").stdout.strip()
    spec = session.json("show", made)["spec"]
    assert (spec["kind"], spec["images"], spec["register"], spec["pipeline"]) == ("statistics", str(SET_B), "photos", "tf")
    assert session.json("refs", "make", "photos", SET_B)["id"] != made  # removed meanwhile, perhaps: always a new one


def test_make_here(session):
    """--local measures now; the reference then works by its name."""
    entry = session.json("refs", "make", "b", SET_B, "--local", "--inception", W16, "--pipeline", "tf")
    assert (entry["kind"], entry["images"], entry["dims"], entry["pipeline"]) == ("statistics", 160, 128, "tf")
    wanted = json.loads((GOLDEN / "e2e/e2e.json").read_text())["tf"]["fid_symmetric"]
    out = session.ddq("fid", GOLDEN / "e2e/set_a_adm.npz", "b", "--inception", W16).stdout  # tf, as the reference says
    assert float(out[6:]) == pytest.approx(wanted, abs=5e-5)
    session.stop()
    assert "b" in session.ddq("refs").stdout and "the queue cannot be reached" in session.ddq("refs").stderr
    one = session.folder / "one"
    one.mkdir()
    shutil.copy(ROOT / "tests/golden/png/rgb8.png", one)
    assert "at least 2" in session.ddq("refs", "make", "one", one, "--local", "--inception", W16, code=1).stderr
    assert "--inception" in session.ddq("refs", "make", "c", SET_B, "--local", code=102).stderr


@pytest.mark.parametrize("words, said", [
    (["ad", "x", "y"], "Did you mean 'add'?"),
    (["add", "x"], "NAME PATH"),
    (["remove"], "remove NAME"),
    (["show", "a", "b"], "show NAME"),
    (["add", "x", "y", "z"], "too many"),
])
def test_usage(session, words, said):
    assert said in session.ddq("refs", *words, code=2).stderr

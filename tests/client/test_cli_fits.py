"""What is refused at submit because every host says so, and what is not: hosts that do not tell refuse nothing."""
import json

import pytest

DIGITS = {"family": "llamagen-dd", "student": True, "teacher": True, "tokenizer": True, "tokens": 64, "classes": 10, "image_size": 32}
LIBRARY = {"digits": {"kind": "statistics", "features": False, "spatial": False, "pipeline": "pt"},
           "photos": {"kind": "images", "features": True, "spatial": True},
           "alone": {"kind": "statistics", "fault": "reference alone does not state the network that it was made with"}}
OFFERS = ["model:digits", "reference:digits", "reference:photos"]
JOB = ["submit", "--model", "digits", "--images", "8", "--t-list", "0,20", "--split-t", "20"]


def tell(session, host="node1", models=None, offers=OFFERS, **more):
    """A heartbeat that tells, and has looked when it will be asked to."""
    session.heartbeat(host=host, models={"digits": DIGITS} if models is None else models, references=list(LIBRARY), library=LIBRARY,
                      offers=offers, files={}, **{"faults": {}, **more})
    session.redis("HSET", f"{{ddq}}:host:{host}", "looked", "9999999999999")


def refused(session, *words):
    done = session.ddq(*words, code=2)
    assert done.stdout == "" and session.json("ls", "--all")["jobs"] == []
    return done.stderr


@pytest.mark.parametrize("words, said", [
    (["--t-list", "0,64"], "t_list: 64 is past the end, this model has 64 tokens, so the last value may be 63"),
    (["--t-list", "0,999"], "t_list: 999"), (["--t-list", "0,65", "--teacher-start-t", "0"], "the last value may be 64"),
    (["--split-t", "65"], "split_t: it is 65, wanted 0 to 64"), (["--split-t", "100"], "the number of tokens"),
    (["--classes", "10"], "label 10 at place 0, and the model has the classes 0 to 9"), (["--classes", "0,99"], "label 99 at place 1"),
    (["--reference", "digits", "--metrics", "kid"], "statistics alone, and kid needs the features"),
    (["--reference", "digits", "--metrics", "fid,prdc"], "prdc"), (["--reference", "digits", "--metrics", "sfid"], "mu_s"),
    (["--reference", "digits", "--pipeline", "tf"], "of the pt pipeline alone"), (["--reference", "digit"], "Did you mean 'digits'?"),
    (["--reference", "alone"], "does not state the network"), (["--metrics", "is"], "no running daemon has the Inception network"),
    (["--save", "png,features"], "no running daemon has the Inception network"),
    (["--device", "gpu"], "Did you mean 'cpu'? It may be: cpu, cuda"), (["--device", "GPU-nonesuch"], "device 'GPU-nonesuch'"),
])
def test_what_no_host_could_run_is_refused(session, words, said):
    tell(session)
    assert said in refused(session, *JOB, *words)
    assert said in refused(session, *JOB, *words, "--dry-run")


@pytest.mark.parametrize("words", [
    ["--t-list", "0,63"], ["--t-list", "0,64", "--teacher-start-t", "0"], ["--split-t", "64"], ["--classes", "0,9"], ["--classes", "balanced"],
    ["--reference", "digits"], ["--reference", "photos", "--metrics", "kid,prdc,sfid"], ["--reference", "photos", "--pipeline", "tf"],
    ["--device", "cuda"], ["--device", "cpu"],
])
def test_what_a_host_can_run_is_not(session, words):
    tell(session)
    session.ddq(*JOB, *words)


def test_one_host_that_can_is_enough(session):
    tell(session)
    tell(session, host="node2", models={"digits": {**DIGITS, "tokens": 256, "classes": 1000}}, offers=[*OFFERS, "inception"],
         workers=[{"name": "cuda:0", "device": "cuda", "uuid": "GPU-5", "state": "idle"}])
    for words in (["--t-list", "0,200"], ["--classes", "999"], ["--metrics", "is"], ["--device", "GPU-5"]):
        session.ddq(*JOB, *words)


def test_hosts_that_do_not_tell_refuse_nothing(session):
    session.heartbeat()  # of the version before
    for words in (["--t-list", "0,999"], ["--split-t", "999"], ["--classes", "99"], ["--reference", "digits", "--metrics", "kid"],
                  ["--metrics", "is"], ["--noise", "/nowhere.npy"]):
        session.ddq(*JOB, *words)
    for job in session.json("ls")["jobs"]:
        assert "next in turn" in session.json("why", job["id"])["text"] or "before yours" in session.json("why", job["id"])["text"]


def test_why_claims_and_submit_have_one_idea_of_inception(session):
    """A job that came in while no daemon was alive waits with the sentence, and no worker gets it."""
    job = session.submit(metrics=["is"])
    tell(session)
    assert "no live daemon has the Inception network; set weights" in session.json("why", job)["text"]
    reply = session.call("claim", host="node1", worker="cpu:0", pid=1, device="cpu", root="/", lease_ms=60000, chunk_ms=1000,
                         offers=OFFERS, warm=[])
    assert reply["status"] == "empty"
    tell(session, offers=[*OFFERS, "inception"])
    assert "next in turn" in session.json("why", job)["text"]


def test_paths_that_no_host_can_read(session):
    tell(session)
    told = {"faults": {"/nowhere": "/nowhere: No such file or directory", "/etc": "/etc lies outside the folders that jobs may read"}}
    tell(session, offers=[*OFFERS, "inception"], **told)
    for words, said in ((["--kind", "evaluate", "--images", "/nowhere", "--reference", "photos"], "job field images: /nowhere: No such file"),
                        (["--kind", "statistics", "--images", "/etc"], "job field images: /etc lies outside"),
                        ([*JOB[1:], "--noise", "/nowhere"], "job field noise: /nowhere"), ([*JOB[1:], "--labels", "/etc"], "job field labels")):
        assert said in refused(session, "submit", *words)
    job = session.ddq("submit", "digits-2step", "-q").stdout.strip()
    session.ddq("submit", "--kind", "evaluate", "--images", "/nowhere", "--reference", "photos", "--after", job)  # it may be there then


def test_doctor_and_faults(session):
    tell(session)
    checks = {row["name"]: row for row in json.loads(session.ddq("doctor", "--json", code=1).stdout)["checks"]}
    assert checks["offers"]["status"] == "bad" and "alone" in checks["offers"]["text"]
    tell(session, models={"digits": {**DIGITS, "fault": "student /m/s.pt: No such file or directory"}})
    assert "cannot be opened on host node1: student /m/s.pt" in refused(session, *JOB)

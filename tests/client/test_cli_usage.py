"""The command line itself: usage, help, JSON, doctor, completion, speed."""
import json
import re
import time

import pytest

from session import ROOT, Session, terminal


@pytest.mark.parametrize("words, said", [
    ([], "no verb given"),
    (["sumbit"], "Did you mean 'submit'?"),
    (["xyzzy"], "unknown verb"),
    (["ls", "--al"], "Did you mean '--all'?"),
    (["ls", "--limit"], "needs a value"),
    (["ls", "--limit", "--all"], "--limit needs a value"),
    (["ls", "--limit="], "--limit is empty"),
    (["ls", "--limit", ""], "--limit is empty"),
    (["--limit", "ls"], "no verb given"),
    (["--jsn", "ls"], "Did you mean '--json'?"),
    (["fid", "--device=cpu", "a", "b", "c"], "'c' is not expected"),
    (["ls", "--all=3"], "takes no value"),
    (["ls", "-aq"], "separately"),
    (["ls", "here"], "too many"),
    (["show"], "missing"),
    (["show", "a", "b"], "too many"),
    (["submit", "--t-lst", "0"], "--t-list"),
    (["submit", "--model", "digits", "--t-list", "0", "--split-t", "1", "--images", "many"], "images"),
    (["help", "sumbit"], "Did you mean 'submit'?"),
    (["help", "config"], "Did you mean 'configuration'?"),
    (["help", "configuraton"], "Did you mean 'configuration'?"),
    (["help", "xyzzy"], "no help about 'xyzzy'"),
    (["complet"], "Did you mean 'completion'?"),
    (["completion", "tcsh"], "bash"),
    (["ls", "--limit", "0"], "--limit"),
])
def test_usage(session, words, said):
    done = session.ddq(*words, code=2)
    assert said in done.stderr and done.stdout == ""


def test_help_and_version(session):
    verbs = "submit run ls show watch wait logs cancel hold release prio share quota top models recipes gpus fid refs doctor completion version help".split()
    text = session.ddq("help").stdout
    for verb in verbs:
        assert f"  {verb} " in text
        shown = session.ddq(verb, "--help").stdout
        assert shown.startswith(f"usage  ddq {verb}") and "--redis" in shown
        assert session.ddq("help", verb).stdout == shown
    assert session.ddq("--help").stdout == text
    assert "t_list" in session.ddq("submit", "--help").stdout
    assert session.ddq("version").stdout == session.ddq("--version").stdout
    assert session.json("version")["queue"] == 2
    assert session.ddq("ls", "--version").stdout == session.ddq("version").stdout
    assert session.ddq("--help", "ls").stdout == session.ddq("ls", "--help").stdout
    assert all(len(line) <= 80 for line in text.splitlines())
    assert max(len(line) for line in session.ddq("ls", "--help", COLUMNS="70").stdout.splitlines()) <= 70


def test_the_name_alone_lists_the_verbs(session):
    done = session.ddq(code=2)
    assert done.stdout == "" and done.stderr.startswith(session.ddq("help").stdout)
    assert "usage" not in session.ddq("--json", code=2).stderr


def test_no_line_of_help_is_cut_or_breaks_a_word(session):
    """At the width of the terminal, whatever it is."""
    words = sorted(session.ddq("help").stdout.split())
    for columns in (70, 80, 140):
        text, code = terminal(session, ["help", "--color", "never"], columns)
        assert code == 0 and max(map(len, text.replace("\r", "").splitlines())) <= columns and sorted(text.split()) == words, columns
        for verb in ("submit", "ls", "settings"):
            text, code = terminal(session, ["help", verb, "--color", "never"], columns)
            assert max(map(len, text.replace("\r", "").splitlines())) <= columns, (verb, columns)
            assert sorted(text.split()) == sorted(session.ddq("help", verb).stdout.split()), (verb, columns)


def test_flags_stand_anywhere(session):
    job = session.submit(name="a-name")
    listed = session.ddq("ls", "--json").stdout
    assert job in listed and session.ddq("--json", "ls").stdout == session.ddq("--limit", "5", "--json", "ls").stdout == listed
    assert session.ddq("-q", "ls").stdout == session.ddq("ls", "-q").stdout == job + "\n"
    other = session.ddq("--images=2", "-q", "submit", "--new", "digits-demo", "--name", "b-name").stdout.strip()
    spec = session.json("show", other)
    assert "b-name" in json.dumps(spec)
    assert "--inception is empty" in session.ddq("fid", "--inception=", "a", "b", code=2).stderr


def test_docs_are_what_the_program_says(session):
    assert session.ddq("help", "configuration").stdout == (ROOT / "docs/configuration.md").read_text(), \
        "ddq help configuration > docs/configuration.md"
    assert session.ddq("help", "--markdown").stdout == (ROOT / "docs/cli.md").read_text(), "ddq help --markdown > docs/cli.md"
    assert session.ddq("help", "glossary", "--markdown").stdout == (ROOT / "docs/glossary.md").read_text(), \
        "ddq help glossary --markdown > docs/glossary.md"


def test_summaries_are_short(session):
    rows = re.findall(r"^-  \[`(\w+)`\]\(#\w+\): (.*(?:\n   .*)*)", session.ddq("help", "--markdown").stdout, re.M)
    assert len(rows) >= 29
    for verb, summary in rows:
        assert len(" ".join(summary.split())) <= 72, verb


@pytest.mark.parametrize("words", [["help"], ["help", "submit"], ["help", "refs"], ["help", "glossary"], ["share", "--help"]])
def test_help_wraps_at_the_terminal(session, words):
    for width in (60, 100):
        lines = session.ddq(*words, COLUMNS=str(width)).stdout.splitlines()
        assert [line for line in lines if len(line) > width and " " in line.strip()] == []


def test_the_readme_names_every_verb(session):
    readme = (ROOT / "README.md").read_text()
    verbs = [verb for verb in session.ddq("completion", "words").stdout.split()]
    assert len(verbs) > 25 and [verb for verb in verbs if f"ddq {verb}" not in readme and f"`{verb}`" not in readme] == []


def test_json_on_every_verb(session):
    session.heartbeat()
    job = session.submit(images=1)
    for words in (["ls"], ["show", job], ["models"], ["recipes"], ["gpus"], ["version"], ["hold", job], ["release", job], ["why", job],
                  ["prio", job, "3"], ["share"], ["quota"], ["top"], ["ls", "-t"], ["ls", "--sweeps"], ["submit", "digits-demo", "--dry-run"],
                  ["submit", "digits-demo"]):
        assert isinstance(session.json(*words), dict), words
    checks = json.loads(session.ddq("doctor", "--json", code=1).stdout)["checks"]
    assert {c["status"] for c in checks} <= {"ok", "bad", "skipped"} and all(c["text"] for c in checks)
    session.complete(job)
    assert session.json("wait", job)["jobs"][0]["state"] == "done"
    assert json.loads(session.ddq("watch", job, "--json").stdout)["state"] == "done"


def test_doctor():
    session = Session("--appendonly", "yes", "--appendfsync", "always")
    try:
        checks = {c["name"]: c for c in json.loads(session.ddq("doctor", "--json", code=1).stdout)["checks"]}
        assert checks["daemons"]["status"] == "bad" and checks["output folder"]["status"] == "skipped"
        assert checks["persistence"]["status"] == "ok" and checks["queue library"]["status"] == "ok"
        session.heartbeat()
        text = session.ddq("doctor").stdout
        assert " bad " not in text and "1 alive, 1 worker\n" in text
        session.ddq("drain", "node1", "--reason", "new card")
        session.heartbeat()
        text = session.ddq("doctor").stdout  # somebody wanted it so: no fault
        assert " warn " in text and "ddq resume node1" in text and "1 of 1 worker is drained" in text and "new card" in text, text
        session.ddq("resume", "node1")
        session.heartbeat()
        session.redis("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        out = session.ddq("doctor", "--quiet", code=1).stdout
        assert "noeviction" in out and len(out.splitlines()) == 2
        conf = session.folder / "d.conf"
        conf.write_text("[model gone]\nstudent = nowhere.pt\ntokenizer = t.pt\n")
        assert "nowhere.pt" in session.ddq("doctor", "--conf", conf, code=1).stdout
        conf.write_text("[modle gone]\nstudent = nowhere.pt\n")
        assert "d.conf:2" in session.ddq("doctor", "--conf", conf, code=1).stdout
    finally:
        session.close()


def test_a_bad_configuration_stops_with_file_and_line(session):
    conf = session.folder / "ddq.conf"
    conf.write_text("[daemon]\nrediss = x\n")
    for words in (["ls"], ["submit", "digits-demo"], ["recipes"]):
        done = session.ddq(*words, "--conf", conf, code=2)
        assert f"{conf}:2" in done.stderr and "redis" in done.stderr
    assert session.ddq("version", "--conf", conf).stdout  # which needs none


def test_speed_of_1000_jobs(session):
    """Printed, not judged: the machine may be busy."""
    job = {"model": "digits", "t_list": [0, 20], "split_t": 20, "images": 10}
    session.ddq("submit", "-", "-q", "--new", stdin=json.dumps([job] * 1000))
    times = {"ls": [], "version": []}
    for verb in times:
        for _ in range(9):
            start = time.monotonic()
            out = session.ddq(verb).stdout
            times[verb].append(time.monotonic() - start)
    assert len(session.ddq("ls", "-q").stdout.split()) == 1000
    for verb, seconds in times.items():
        print(f"ddq {verb}: median {sorted(seconds)[4] * 1000:.1f} ms")

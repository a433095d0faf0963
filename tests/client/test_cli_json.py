"""Every --json is valid JSON, whatever bytes a path or a reason holds."""
import json
import os
import subprocess

import pytest

from session import DDQ, Session

PATH = b"/data/caf\xe9 \xff\xfe\"\\"
READABLE = "/data/caf\\xe9 \\xff\\xfe\"\\"


@pytest.fixture
def session():
    session = Session()
    yield session
    session.close()


def answers(session, *words, stdin=None, code=0):
    """One JSON object a line, decoded strictly."""
    done = subprocess.run([os.fsencode(DDQ), *words, b"--json"], capture_output=True, input=stdin, env=session.env, cwd=session.folder,
                          timeout=60)
    assert done.returncode == code, done.stderr
    return [json.loads(line.decode("utf-8", errors="strict")) for line in done.stdout.splitlines()]


def test_paths_in_every_verb(session):
    session.heartbeat()
    quoted = PATH.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    spec = b'{"kind": "evaluate", "images": "%s", "reference": "digits"}' % quoted
    plan = answers(session, b"submit", b"-", b"--new", b"--dry-run", stdin=spec)
    assert plan
    job = answers(session, b"submit", b"-", b"--new", stdin=spec)[0]
    text = json.dumps(job)
    ident = next(word for word in text.replace('"', " ").replace(",", " ").split() if len(word) == 10 and word.isalnum())
    shown = answers(session, b"show", ident.encode())[0]
    assert shown["spec"]["images"] == READABLE
    for verb in b"ls", b"top", b"gpus", b"models", b"refs":
        assert answers(session, verb)
    assert answers(session, b"why", ident.encode()) and answers(session, b"logs", ident.encode()) is not None
    answers(session, b"cancel", ident.encode())


def test_reasons_in_every_verb(session):
    """A worker's sentence, as a daemon of another version may send it."""
    job = session.submit(images=10, reference="digits")
    session.heartbeat()
    lease = session.claim()
    args = json.dumps({"token": lease["token"], "upto": 0, "ms": 5, "error": "E", "policy": "fail", "text": "TEXT"}).encode()
    args = args.replace(b"TEXT", b"/data/\xff.png is damaged").replace(b'"E"', b'"/data/\xff.png is damaged"')
    subprocess.run([b"redis-cli", b"-s", os.fsencode(session.socket), b"FCALL", b"ddq_fail", b"1", b"{ddq}", args], check=True,
                   capture_output=True)
    for words in (b"show", job.encode()), (b"ls", b"--all"), (b"why", job.encode()):
        assert answers(session, *words)

"""Every --json is valid JSON, whatever bytes a reason holds; specs that are no UTF-8 never come so far."""
import json
import os
import subprocess

import pytest

from session import DDQ, Session
from wait import DEADLINE

PATH = b"/data/caf\xe9 \xff\xfe\"\\"


@pytest.fixture
def session():
    session = Session()
    yield session
    session.close()


def answers(session, *words, stdin=None, code=0):
    """One JSON object a line, decoded strictly."""
    done = subprocess.run([os.fsencode(DDQ), *words, b"--json"], capture_output=True, input=stdin, env=session.env, cwd=session.folder,
                          timeout=DEADLINE)
    assert done.returncode == code, done.stderr
    return [json.loads(line.decode("utf-8", errors="strict")) for line in done.stdout.splitlines()]


def test_a_spec_that_is_no_utf8_is_refused(session):
    """The queue takes UTF-8 alone; the sentence is UTF-8 too."""
    session.heartbeat()
    quoted = PATH.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    spec = b'{"kind": "evaluate", "images": "%s", "reference": "digits"}' % quoted
    done = subprocess.run([os.fsencode(DDQ), b"submit", b"-", b"--new", b"--json"], capture_output=True, input=spec, env=session.env,
                          cwd=session.folder, timeout=DEADLINE)
    assert done.returncode == 2 and done.stdout == b"" and "in UTF-8" in done.stderr.decode("utf-8", errors="strict")


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

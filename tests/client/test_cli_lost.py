"""Ctrl-C, closed pipes, and a Redis that is away, frozen, strange or locked."""
import os
import signal
import socket
import subprocess

import pytest

from session import DDQ, Session
from wait import DEADLINE, catches, wait_for


WAITING = [["wait"], ["watch"], ["logs", "-f"]]


@pytest.mark.parametrize("words", WAITING + [["submit", "--wait"], ["submit", "--watch"]])
def test_ctrl_c_detaches_and_never_cancels(session, words):
    if words[0] == "submit":
        waiter = session.start_ddq(*words, "digits-demo")
        job = waiter.stdout.readline().strip()
    else:
        job = session.submit()
        waiter = session.start_ddq(*words, job)
    session.until_asked("logs") if words[0] == "logs" else session.until_heard()
    assert waiter.poll() is None
    waiter.send_signal(signal.SIGINT)
    _, err = waiter.communicate(timeout=DEADLINE)
    assert waiter.returncode == 130, err
    assert f"{job}" in err and "the job continues" in err and "ddq " in err
    assert session.json("show", job)["state"] == "queued"


def test_ctrl_c_while_redis_is_frozen(session):
    """Any verb, in the middle of a call that gets no answer."""
    session.ddq("ls")
    os.kill(session.server.pid, signal.SIGSTOP)
    try:
        for words in (["ls"], ["show", "abcdef"], ["submit", "digits-demo"], ["gpus"], ["cancel", "abcdef"], ["doctor"]):
            client = session.start_ddq(*words)
            wait_for(lambda: catches(client.pid, signal.SIGINT), "it catches Ctrl-C")
            assert client.poll() is None, words
            client.send_signal(signal.SIGINT)
            client.communicate(timeout=DEADLINE)
            assert client.returncode == 130, words
    finally:
        os.kill(session.server.pid, signal.SIGCONT)


def test_a_frozen_redis_is_said_after_five_seconds(session):
    session.ddq("ls")
    os.kill(session.server.pid, signal.SIGSTOP)
    try:
        done = session.ddq("ls", code=69)
    finally:
        os.kill(session.server.pid, signal.SIGCONT)
    assert "did not answer" in done.stderr


def test_a_closed_pipe_is_quiet(session):
    for _ in range(3):
        session.submit()
    for words in ("ls", "ls --json", "help --markdown", "recipes --json"):
        done = subprocess.run(["bash", "-c", f"for i in 1 2 3; do '{DDQ}' {words} | head -c 1; done >/dev/null"], env=session.env,
                              capture_output=True, text=True)
        assert done.stderr == ""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([DDQ, "ls"], env=session.env, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert done.returncode == -signal.SIGPIPE and done.stderr == ""
    with open("/dev/full", "w") as full:
        done = subprocess.run([DDQ, "ls"], env=session.env, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and "No space left" in done.stderr


EVERY_CALL = [["submit", "digits-demo"], ["ls"], ["show", "abcdef"], ["watch", "abcdef"], ["wait", "abcdef"], ["logs", "abcdef"],
              ["logs", "-f", "abcdef"], ["cancel", "abcdef"], ["hold", "abcdef"], ["release", "abcdef"], ["models"], ["gpus"],
              ["run", "digits-demo"], ["doctor"]]


def test_unreachable_in_every_verb(session):
    for url in (f"unix:{session.folder}/nobody.sock", "127.0.0.1:1", "redis://:secret@127.0.0.1:1/2"):
        for words in EVERY_CALL:
            done = session.ddq(*words, "--redis", url, code=69)
            text = done.stderr + (done.stdout if words == ["doctor"] else "")
            assert "cannot be reached" in text and "ddqd" in text and "secret" not in text, text
    assert "TLS" in session.ddq("ls", "--redis", "rediss://h", code=2).stderr


def test_waiting_survives_a_restart_of_redis():
    session = Session("--appendonly", "yes", "--appendfsync", "always")
    try:
        job = session.submit(images=1)
        waiting = [session.start_ddq(*words, job) for words in WAITING]
        session.until_heard(2)
        session.until_asked("logs")
        session.stop()
        for process in waiting:
            said = process.stderr.readline()
            while said and "waiting for it" not in said:
                said = process.stderr.readline()
            assert said, process.args
        assert all(process.poll() is None for process in waiting)
        session.start()
        session.complete(job)
        for process in waiting:
            out, err = process.communicate(timeout=DEADLINE)
            assert process.returncode == 0, err
    finally:
        session.close()


def test_a_lost_record_is_never_done(session):
    job = session.submit()
    waiter = session.start_ddq("wait", job)
    session.until_heard()
    session.redis("FLUSHALL")
    _, err = waiter.communicate(timeout=DEADLINE)
    assert waiter.returncode == 102 and "not found" in err


def test_passwords(session):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for setting in (["port", port], ["requirepass", "hu/sh"]):
        session.redis("CONFIG", "SET", *map(str, setting))
    assert session.ddq("ls", "--redis", f"redis://:hu%2Fsh@127.0.0.1:{port}/0").stdout == ""
    assert "password" in session.ddq("ls", "--redis", f"127.0.0.1:{port}", code=77).stderr
    done = session.ddq("ls", "--redis", f"redis://:guess@127.0.0.1:{port}", code=77)
    assert "wrong" in done.stderr and "guess" not in done.stderr
    waiter = session.start_ddq("submit", "digits-demo", "--wait", "--redis", f"redis://:hu%2Fsh@127.0.0.1:{port}")
    job = waiter.stdout.readline().strip()
    session.ddq("cancel", job, "--redis", f"redis://:hu%2Fsh@127.0.0.1:{port}")
    waiter.communicate(timeout=DEADLINE)
    assert waiter.returncode == 103


@pytest.mark.parametrize("answer, code, words", [
    (b"-ERR unknown command 'FCALL'\r\n", 69, ["7.0"]),
    (b"-LOADING Redis is loading the dataset in memory\r\n", 75, ["reads its files"]),
    (b"-BUSY Redis is busy running a script.\r\n", 75, ["FUNCTION KILL"]),
    (b"-MOVED 4137 10.0.0.7:6379\r\n", 69, ["10.0.0.7:6379"]),
    (b"-NOAUTH Authentication required.\r\n", 77, ["password"]),
    (b"-MISCONF Redis is configured to save RDB snapshots\r\n", 75, ["disk"]),
    (b"-OOM command not allowed\r\n", 75, ["memory"]),
    (b":7\r\n", 1, ["not text"]),
    (b"$5\r\nhello\r\n", 1, ["hello"]),
    (b"HTTP/1.1 400 Bad Request\r\n", 69, ["Redis at"]),
])
def test_strange_servers(session, answer, code, words):
    listener = socket.create_server(("127.0.0.1", 0))
    child = os.fork()
    if child == 0:
        while True:
            connection, _ = listener.accept()
            while connection.recv(65536):
                connection.sendall(answer)
    try:
        done = session.ddq("ls", "--redis", f"127.0.0.1:{listener.getsockname()[1]}", code=code)
        for word in words:
            assert word in done.stderr
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        listener.close()

"""Ctrl-C, closed pipes, and a Redis that is away, frozen, strange or locked."""
import os
import signal
import socket
import subprocess
import time

import pytest

from desk import DDQ, Desk


WAITING = [["wait"], ["watch"], ["logs", "-f"]]


@pytest.mark.parametrize("words", WAITING + [["submit", "--wait"], ["submit", "--watch"]])
def test_ctrl_c_detaches_and_never_cancels(desk, words):
    if words[0] == "submit":
        waiter = desk.start_ddq(*words, "digits-demo")
        job = waiter.stdout.readline().strip()
    else:
        job = desk.submit()
        waiter = desk.start_ddq(*words, job)
    desk.until_heard()
    time.sleep(0.1)
    assert waiter.poll() is None
    waiter.send_signal(signal.SIGINT)
    _, err = waiter.communicate(timeout=5)
    assert waiter.returncode == 130, err
    assert f"{job}" in err and "the job goes on" in err and "ddq " in err
    assert desk.json("show", job)["state"] == "queued"


def test_ctrl_c_while_redis_is_frozen(desk):
    """Any verb, in the middle of a call that gets no answer."""
    desk.ddq("ls")
    os.kill(desk.server.pid, signal.SIGSTOP)
    try:
        for words in (["ls"], ["show", "abcdef"], ["submit", "digits-demo"], ["gpus"], ["cancel", "abcdef"], ["doctor"]):
            client = desk.start_ddq(*words)
            time.sleep(0.5)
            assert client.poll() is None, words
            client.send_signal(signal.SIGINT)
            client.communicate(timeout=5)
            assert client.returncode == 130, words
    finally:
        os.kill(desk.server.pid, signal.SIGCONT)


def test_a_frozen_redis_is_said_after_five_seconds(desk):
    desk.ddq("ls")
    os.kill(desk.server.pid, signal.SIGSTOP)
    start = time.monotonic()
    try:
        done = desk.ddq("ls", code=69)
    finally:
        os.kill(desk.server.pid, signal.SIGCONT)
    assert "did not answer" in done.stderr and time.monotonic() - start < 8


def test_a_closed_pipe_is_quiet(desk):
    for _ in range(3):
        desk.submit()
    for words in ("ls", "ls --json", "help --markdown", "recipes --json"):
        done = subprocess.run(["bash", "-c", f"for i in 1 2 3; do '{DDQ}' {words} | head -c 1; done >/dev/null"], env=desk.env,
                              capture_output=True, text=True)
        assert done.stderr == ""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([DDQ, "ls"], env=desk.env, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert done.returncode == -signal.SIGPIPE and done.stderr == ""
    with open("/dev/full", "w") as full:
        done = subprocess.run([DDQ, "ls"], env=desk.env, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and "No space left" in done.stderr


EVERY_CALL = [["submit", "digits-demo"], ["ls"], ["show", "abcdef"], ["watch", "abcdef"], ["wait", "abcdef"], ["logs", "abcdef"],
              ["logs", "-f", "abcdef"], ["cancel", "abcdef"], ["hold", "abcdef"], ["release", "abcdef"], ["models"], ["gpus"],
              ["run", "digits-demo"], ["doctor"]]


def test_unreachable_in_every_verb(desk):
    for url in (f"unix:{desk.folder}/nobody.sock", "localhost:1", "redis://:secret@localhost:1/2"):
        for words in EVERY_CALL:
            done = desk.ddq(*words, "--redis", url, code=69)
            text = done.stderr + (done.stdout if words == ["doctor"] else "")
            assert "cannot be reached" in text and "ddqd" in text and "secret" not in text, text
    assert "TLS" in desk.ddq("ls", "--redis", "rediss://h", code=2).stderr


def test_waiting_survives_a_restart_of_redis():
    desk = Desk("--appendonly", "yes", "--appendfsync", "always")
    try:
        job = desk.submit(images=1)
        waiter = desk.start_ddq("wait", job)
        watcher = desk.start_ddq("watch", job)
        desk.until_heard(2)
        desk.stop()
        time.sleep(0.7)
        assert waiter.poll() is None and watcher.poll() is None
        desk.start()
        desk.complete(job)
        for process in (waiter, watcher):
            out, err = process.communicate(timeout=10)
            assert process.returncode == 0 and "waiting for it" in err, err
    finally:
        desk.close()


def test_a_lost_record_is_never_done(desk):
    job = desk.submit()
    waiter = desk.start_ddq("wait", job)
    desk.until_heard()
    desk.redis("FLUSHALL")
    _, err = waiter.communicate(timeout=5)
    assert waiter.returncode == 102 and "not found" in err


def test_passwords(desk):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for setting in (["port", port], ["requirepass", "hu/sh"]):
        desk.redis("CONFIG", "SET", *map(str, setting))
    assert desk.ddq("ls", "--redis", f"redis://:hu%2Fsh@localhost:{port}/0").stdout == ""
    assert "password" in desk.ddq("ls", "--redis", f"localhost:{port}", code=77).stderr
    done = desk.ddq("ls", "--redis", f"redis://:guess@localhost:{port}", code=77)
    assert "wrong" in done.stderr and "guess" not in done.stderr
    waiter = desk.start_ddq("submit", "digits-demo", "--wait", "--redis", f"redis://:hu%2Fsh@localhost:{port}")
    job = waiter.stdout.readline().strip()
    desk.ddq("cancel", job, "--redis", f"redis://:hu%2Fsh@localhost:{port}")
    waiter.communicate(timeout=10)
    assert waiter.returncode == 103


@pytest.mark.parametrize("answer, code, words", [
    (b"-ERR unknown command 'FCALL'\r\n", 69, ["7.0"]),
    (b"-LOADING Redis is loading the dataset in memory\r\n", 69, ["moment"]),
    (b"-NOAUTH Authentication required.\r\n", 77, ["password"]),
    (b"-MISCONF Redis is configured to save RDB snapshots\r\n", 75, ["disk"]),
    (b"-OOM command not allowed\r\n", 75, ["memory"]),
    (b":7\r\n", 1, ["not text"]),
    (b"$5\r\nhello\r\n", 1, ["hello"]),
    (b"HTTP/1.1 400 Bad Request\r\n", 69, ["Redis at"]),
])
def test_strange_servers(desk, answer, code, words):
    listener = socket.create_server(("127.0.0.1", 0))
    child = os.fork()
    if child == 0:
        while True:
            connection, _ = listener.accept()
            while connection.recv(65536):
                connection.sendall(answer)
    try:
        done = desk.ddq("ls", "--redis", f"127.0.0.1:{listener.getsockname()[1]}", code=code)
        for word in words:
            assert word in done.stderr
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        listener.close()

"""The client behind the gate: it finds the daemon's socket by itself, and users are who they are."""
import json
import os
import re
import shutil
import socket
import subprocess

import pytest

from fake_farm import BIN, start_redis
from resp import Redis
from test_gate import GateFarm
from users import ADA, BOB, as_user, needs_users
from wait import DEADLINE, wait_for


JOB = {"kind": "sample", "model": "m", "images": 64, "t_list": [0, 20], "split_t": 20}


class Lab(GateFarm):
    """A copy of the client lies where every user may run it, and everybody's ddq.conf names the daemon's socket."""

    def start(self):
        super().start()
        self.program = shutil.copy(BIN / "ddq", self.folder / "ddq")
        os.chmod(self.program, 0o755)
        self.users_conf = self.folder / "users.conf"
        self.users_conf.write_text(f"[daemon]\nsocket = {self.gate}\n")

    def spawn_ddq(self, uid, *words, **env):
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("DDQ_", "XDG_"))}
        return subprocess.Popen([self.program, *map(str, words)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, cwd="/", user=uid, group=uid, extra_groups=[],
                                env={**clean, "DDQ_CONF": str(self.users_conf), "HOME": str(self.folder), **env})

    def ddq(self, uid, *words, code=0, stdin=None, **env):
        process = self.spawn_ddq(uid, *words, **env)
        out, err = process.communicate(stdin, timeout=DEADLINE)
        done = subprocess.CompletedProcess(process.args, process.returncode, out, err)
        assert done.returncode == code, f"ddq {words} as {uid}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def submit(self, uid, *words, **how):
        return self.ddq(uid, "submit", "-", "-q", "--new", *words, stdin=json.dumps(JOB), **how).stdout.strip()


@pytest.fixture(scope="module")
def lab():
    with Lab() as lab:
        yield lab


@needs_users
def test_users_need_no_set_up_and_are_themselves(lab):
    job = lab.submit(ADA)
    assert lab.ddq(ADA, "wait", job).returncode == 0
    shown = json.loads(lab.ddq(BOB, "show", job, "--json").stdout)
    assert shown["user"] == f"uid{ADA}" and shown["state"] == "done"
    held = lab.submit(ADA, "--hold")
    said = lab.ddq(BOB, "cancel", held, code=77).stderr
    assert f"belongs to uid{ADA}, not to uid{BOB}" in said
    said = lab.ddq(BOB, "cancel", held, code=77, DDQ_AS="root").stderr
    assert f"uid{BOB} may not act for root" in said
    said = lab.ddq(BOB, "--as", f"uid{ADA}", "cancel", held, code=77).stderr
    assert f"uid{BOB} may not act for uid{ADA}" in said
    lab.ddq(0, "cancel", held)
    assert [row["id"] for row in json.loads(lab.ddq(ADA, "ls", "--json").stdout)["jobs"]] == [held, job]


@needs_users
def test_an_administrator_acts_for_a_user(lab):
    job = lab.submit(0, "--as", "eva", "--hold")
    assert json.loads(lab.ddq(BOB, "show", job, "--json").stdout)["user"] == "eva"
    lab.ddq(0, "--as", "eva", "cancel", job)


@needs_users
def test_what_only_administrators_may(lab):
    host = json.loads(lab.ddq(BOB, "gpus", "--json").stdout)["hosts"][0]["host"]
    for words in (["share", f"uid{BOB}", "100"], ["quota", f"uid{ADA}", "--gpus", "0"], ["settings", "slack", "1m"],
                  ["drain", host], ["resume", host]):
        said = lab.ddq(BOB, *words, code=77).stderr
        assert f"uid{BOB} may not" in said and "administrators" in said
    lab.ddq(0, "settings", "slack", "1m")


@needs_users
def test_doctor_of_a_user(lab):
    process = lab.spawn_ddq(ADA, "doctor")
    out, err = process.communicate(timeout=DEADLINE)
    assert "answers in" in out and "NOPERM" not in out + err, out


@needs_users
def test_a_socket_that_another_user_serves_is_not_trusted(lab):
    """In a folder where everybody may write, anybody could have put the socket there."""
    place = lab.folder / "open"
    place.mkdir(exist_ok=True)
    os.chmod(place, 0o777)
    conf = lab.folder / "trap.conf"
    conf.write_text(f"[daemon]\nsocket = {place}/ddq.sock\n")

    def serve():
        server = socket.socket(socket.AF_UNIX)
        server.bind(f"{place}/ddq.sock")
        os.chmod(f"{place}/ddq.sock", 0o666)
        server.listen()
        if os.fork() == 0:
            client, _ = server.accept()
            client.recv(1)
            os._exit(0)

    as_user(BOB, serve)
    said = lab.ddq(ADA, "ls", code=77, DDQ_CONF=str(conf)).stderr
    assert f"served by user id {BOB}" in said


def test_a_daemon_that_is_not_there(tmp_path):
    conf = tmp_path / "ddq.conf"
    conf.write_text(f"[daemon]\nsocket = {tmp_path}/ddq.sock\n")
    done = subprocess.run([BIN / "ddq", "ls"], capture_output=True, text=True, env={"DDQ_CONF": str(conf), "HOME": str(tmp_path)})
    assert done.returncode == 69 and f"ddqd at unix:{tmp_path}/ddq.sock cannot be reached" in done.stderr


@needs_users
def test_a_wait_lives_through_a_redis_that_goes_away_behind_the_gate(lab):
    (host,) = json.loads(lab.ddq(BOB, "gpus", "--json").stdout)["hosts"]
    lab.ddq(0, "drain", host["host"])
    job = lab.submit(ADA)
    waiter = lab.spawn_ddq(ADA, "wait", job)
    wait_for(lambda: any(n for n in lab.redis.call("PUBSUB", "NUMSUB", f"{{ddq}}:job:{job}:live")[1::2]), "it listens")
    os.kill(lab.redis_pid(), 9)
    assert "waiting for it" in waiter.stderr.readline()
    wait_for(lambda: lab.spawn_ddq(ADA, "ls").wait() == 0, "the private Redis is back behind the gate")
    lab.connect()
    lab.ddq(0, "resume", host["host"])
    assert waiter.wait(DEADLINE) == 0, waiter.stderr.read()


def test_the_key_user_is_gone(lab):
    conf = lab.folder / "old.conf"
    conf.write_text("[daemon]\nuser = ada\n")
    done = subprocess.run([BIN / "ddq", "ls", "--conf", conf], capture_output=True, text=True, env={"HOME": str(lab.folder)})
    assert done.returncode == 2 and re.search("old.conf.*2.*'user'.*gone.*--as", done.stderr), done.stderr



class LoginNode(Lab):
    """A host of its own name that runs no workers, beside `work`, whose Redis it uses."""

    def __init__(self, work, secret):
        super().__init__("--host", "login", workers="none", standalone=False)
        self.socket, self.root = work.socket, work.root
        self.write_conf(["m"], f"socket = {self.gate}\nredis_secret = {secret}\n")


@needs_users
def test_a_login_node_without_workers_and_a_password_that_only_daemons_read():
    work = GateFarm("--host", "work", standalone=False)
    secret = work.folder / "redis.secret"
    secret.write_text("sec/ret\n")
    os.chmod(secret, 0o644)
    work.write_conf(["m"], f"socket = {work.gate}\nredis_secret = {secret}\n")
    server = start_redis(work.folder)
    Redis(str(work.socket)).call("CONFIG", "SET", "requirepass", "sec/ret")
    try:
        daemon = work.spawn()
        assert daemon.wait(DEADLINE) == 77 and f"chmod 640 {secret}" in work.log()
        os.chmod(secret, 0o640)
        with work, LoginNode(work, secret) as login:
            job = login.submit(ADA)
            login.ddq(ADA, "wait", job)
            assert json.loads(login.ddq(ADA, "show", job, "--json").stdout)["state"] == "done"
            assert login.ddq(ADA, "ls", "--conf", login.conf, code=0).stdout  # the daemon's configuration, without the secret
            assert "sec/ret" not in work.log() + login.log()
            for pid in work.leftovers() + login.leftovers():
                for name in ("cmdline", "environ"):
                    assert b"sec/ret" not in open(f"/proc/{pid}/{name}", "rb").read()
    finally:
        server.kill()
        server.wait()

"""What Redis answers instead of doing what it is asked: each is a sentence with the right exit status, and no work is lost."""
import shutil
import subprocess

import pytest

from fake_farm import BIN, Farm, start_redis
from moody import Moody
from test_addresses import ask, free_port
from wait import DEADLINE, wait_for

LATER = {  # the server can do it later: 75
    "BUSY": "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.",
    "LOADING": "LOADING Redis is loading the dataset in memory",
    "CLUSTERDOWN": "CLUSTERDOWN Hash slot not served",
    "maxclients": "ERR max number of clients reached",
    "OOM": "OOM command not allowed when used memory > 'maxmemory'.",
    "MISCONF": "MISCONF Errors writing to the AOF file: No space left on device",
}
WRONG = {  # this server will never do: 69
    "MOVED": "MOVED 4137 10.0.0.7:6379",
    "READONLY": "READONLY You can't write against a read only replica.",
    "unknown": "ERR unknown command 'FCALL', with args beginning with: 'ddq_check' ",
}
FORBIDDEN = {  # 77
    "NOAUTH": "NOAUTH Authentication required.",
    "NOPERM": "NOPERM this user has no permissions to run the 'fcall' command",
    "inside": "ERR user_function:9: ERR The user executing the script can't run this command or subcommand",
}
CODES = {**dict.fromkeys(LATER, 75), **dict.fromkeys(WRONG, 69), **dict.fromkeys(FORBIDDEN, 77)}
REPLIES = {**LATER, **WRONG, **FORBIDDEN}
SAID = {"BUSY": "FUNCTION KILL", "LOADING": "reads its files", "CLUSTERDOWN": "cluster", "maxclients": "raise maxclients",
        "OOM": "raise maxmemory", "MISCONF": "free space", "MOVED": "10.0.0.7:6379", "READONLY": "primary", "unknown": "renamed",
        "NOAUTH": "password", "NOPERM": "ACL", "inside": "ACL"}


class Lab:
    """A farm whose daemon and clients reach its Redis through a moody proxy."""

    def __init__(self):
        self.farm = Farm(standalone=False)
        self.server = start_redis(self.farm.folder, socket="real.sock")
        self.moody = Moody(self.farm.socket, self.farm.folder / "real.sock")

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.moody.errors = {}
        self.farm.stop()
        self.moody.close()
        self.server.kill()
        self.server.wait()
        if failure[0]:
            print(self.farm.log()[-6000:])
        shutil.rmtree(self.farm.folder)

    def ddq(self, *words, code=0, check=True):
        done = subprocess.run([BIN / "ddq", *words], capture_output=True, text=True, timeout=DEADLINE,
                              env={**self.farm.env, "DDQ_REDIS": f"unix:{self.farm.socket}", "DDQ_USER": "ada"})
        assert not check or done.returncode == code, (words, done)
        return done.stdout + done.stderr

    def refuse(self, kind):
        self.moody.errors = {"connect" if kind == "maxclients" else "FCALL": REPLIES[kind]}


@pytest.fixture
def lab():
    with Lab() as lab:
        yield lab


@pytest.mark.parametrize("kind", REPLIES)
def test_clients_and_checks(lab, kind):
    lab.ddq("ls")
    lab.refuse(kind)
    told = lab.ddq("ls", code=CODES[kind])
    assert f"Redis at unix:{lab.farm.socket}: " in told and SAID[kind] in told, told
    doctor = lab.ddq("doctor", check=False)
    assert " bad " in doctor and SAID[kind] in doctor, doctor
    check = subprocess.run(lab.farm.command("--check"), capture_output=True, text=True, env=lab.farm.env, timeout=DEADLINE)
    assert check.returncode == CODES[kind] and "FAILED" in check.stdout and SAID[kind] in check.stdout, check
    assert not lab.farm.state.exists()


@pytest.mark.parametrize("kind", [*WRONG, *FORBIDDEN])
def test_a_start_ends(lab, kind):
    lab.refuse(kind)
    lab.farm.refused(code=CODES[kind], words=[f"redis unix:{lab.farm.socket}: ", SAID[kind]])


@pytest.mark.parametrize("command, reply, code, word", [
    ("INFO", "ERR unknown command 'INFO', with args beginning with: ", 69, "renamed"),
    ("INFO", "NOPERM this user has no permissions to run the 'info' command", 77, "ACL"),
    ("FUNCTION", "NOPERM this user has no permissions to run the 'function|list' command", 77, "ACL"),
    ("CLIENT", "NOPERM this user has no permissions to run the 'client|setname' command", 0, ""),
    ("CLIENT", "ERR unknown command 'CLIENT', with args beginning with: 'SETNAME' ", 0, ""),
    ("BGREWRITEAOF", "NOPERM this user has no permissions to run the 'bgrewriteaof' command", 0, ""),
    ("CONFIG", "ERR unknown command 'CONFIG', with args beginning with: 'GET' ", 0, ""),
])
def test_commands_that_are_switched_off(lab, command, reply, code, word):
    lab.moody.errors = {command: reply}
    if code:
        lab.farm.refused(code=code, words=[word])
    else:
        lab.farm.start()
        lab.farm.wait(lab.farm.submit(images=3))
        doctor = lab.ddq("doctor")
        assert " bad " not in doctor, doctor


@pytest.mark.parametrize("kind", LATER)
def test_a_start_waits(lab, kind):
    """A server that answers that it is busy is no wrong address."""
    lab.refuse(kind)
    lab.farm.daemon = lab.farm.spawn()
    wait_for(lambda: SAID[kind] in lab.farm.log(), "the reason is told")
    told = lab.moody.told
    wait_for(lambda: lab.moody.told > told + 2, "it is asked again")
    assert lab.farm.daemon.poll() is None
    lab.moody.errors = {}
    assert lab.farm.daemon.stdout.readline() == f"ready unix:{lab.farm.socket}\n"
    lab.farm.connect()
    lab.farm.wait(lab.farm.submit(images=3))


@pytest.mark.parametrize("kind", REPLIES)
def test_work_goes_on_and_no_report_is_lost(lab, kind):
    port = free_port()
    lab.farm.write_conf(["m"], f"http = {port}\n")
    lab.farm.conf.write_text(lab.farm.conf.read_text().replace("lease_ms = 1500", "lease_ms = 600000"))
    lab.farm.start()
    job = lab.farm.submit(images=30, how="ms=20")
    lab.farm.running(job, done=3)
    lab.refuse(kind)
    if kind == "maxclients":
        lab.farm.redis.close()
        subprocess.run(["redis-cli", "-s", lab.farm.folder / "real.sock", "CLIENT", "KILL", "TYPE", "normal"], check=True, capture_output=True)
    wait_for(lambda: SAID[kind] in lab.farm.log(), "the reason is told")
    wait_for(lambda: ask("127.0.0.1", port, "GET", "/healthz")[0] == 503, "health")
    assert lab.farm.daemon.poll() is None
    wait_for(lambda: '"report"' in (lab.farm.state / "journal").read_text(), "a report waits")
    lines = [line for line in lab.farm.log().splitlines() if SAID[kind] in line and " trace " not in line]
    assert len(lines) <= 3, lines  # told once, not at every try
    lab.moody.errors = {}
    lab.farm.connect()
    lab.farm.wait(job)
    lab.farm.check_output(job, 30)
    assert lab.farm.show(job)["errors"] in (0, None)
    wait_for(lambda: ask("127.0.0.1", port, "GET", "/healthz")[0] == 200, "health")


# docs/dev/queue.md tells administrators to allow these
ACL = "resetkeys resetchannels nocommands ~{ddq}* &{ddq}* +@connection +@read +@write +@pubsub +@transaction +fcall +function|list " \
      "+function|load +info +bgrewriteaof +time"


def acl(lab, *rules):
    done = subprocess.run(["redis-cli", "-s", lab.farm.folder / "real.sock", "ACL", "SETUSER", "default", *rules], capture_output=True,
                          text=True, check=True)
    assert done.stdout == "OK\n", done.stdout


def test_the_documented_acl_is_enough(lab):
    acl(lab, *ACL.split())
    lab.farm.start()
    lab.farm.wait(lab.farm.submit(images=3))
    assert "ACL" not in lab.farm.log()
    doctor = lab.ddq("doctor")
    assert " bad " not in doctor, doctor


@pytest.mark.parametrize("rules", [["-publish"], ["resetchannels"], ["-subscribe"]])
def test_hints_are_not_needed(lab, rules):
    acl(lab, *rules)
    lab.farm.start()
    lab.farm.wait(lab.farm.submit(images=3))
    assert "+publish +subscribe" in lab.farm.log()
    doctor = lab.ddq("doctor", code=1)
    assert "+publish +subscribe" in doctor, doctor
    job = lab.farm.submit(images=1000, how="ms=20")
    lab.farm.running(job)
    assert "cancel" in lab.ddq("cancel", job)
    lab.farm.wait(job, state="cancelled")


def test_a_full_redis_takes_no_jobs_and_finishes_those_that_run(lab):
    lab.farm.start()
    job = lab.farm.submit(images=20, how="ms=20")
    lab.farm.running(job)
    cli = lambda *words: subprocess.run(["redis-cli", "-s", lab.farm.folder / "real.sock", *words], check=True, capture_output=True)
    cli("CONFIG", "SET", "maxmemory", "1")
    assert "raise maxmemory" in lab.ddq("submit", "digits-demo", code=75)
    doctor = lab.ddq("doctor", code=1)
    assert "redis memory" in doctor and "Redis is full" in doctor and "raise maxmemory" in doctor, doctor
    check = subprocess.run(lab.farm.command("--check"), capture_output=True, text=True, env=lab.farm.env, timeout=DEADLINE)
    assert check.returncode == 75 and "raise maxmemory" in check.stdout, check
    wait_for(lambda: "raise maxmemory" in lab.farm.log(), "the daemon tells it")
    cli("CONFIG", "SET", "maxmemory", "0")
    lab.farm.wait(job)
    lab.farm.check_output(job, 20)

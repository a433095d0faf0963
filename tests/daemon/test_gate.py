"""The gate: who calls is what the kernel says, whatever the caller writes; only ddq's functions pass; no user can slow
another, or stop the daemon."""
import json
import os
import re
import socket
import threading
import time

import pytest

from fake_farm import Farm
from resp import Redis
from users import ADA, BOB, as_user, needs_users
from wait import DEADLINE, wait_for

SPEC = {"kind": "sample", "model": "m", "images": 64, "seed": 1}


class GateFarm(Farm):
    """A daemon whose socket every user of the host can reach, as the system service's."""

    def __init__(self, *flags, more="", **how):
        super().__init__(*flags, **how)
        os.chmod(self.folder, 0o755)
        self.gate = str(self.folder / "ddq.sock")
        self.write_conf(["m"], f"socket = {self.gate}\n{more}")


@pytest.fixture
def farm():
    with GateFarm() as farm:
        yield farm


def command(*words):
    words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


def call(path, name, args):
    redis = Redis(path)
    text = args if isinstance(args, str) else json.dumps(args)
    return json.loads(redis.call("FCALL", "ddq_" + name, 1, "{ddq}", text))


def submit(path, job, **more):
    return call(path, "submit", {"id": job, "user": "nobody", "kind": "sample", "images": 64, "spec": json.dumps(SPEC),
                                 "model": "m", "needs": ["model:m"], "hold": True, **more})


def refused(path, *words):
    try:
        Redis(path).call(*words)
    except RuntimeError as error:
        return str(error)
    raise AssertionError(f"{words} passed")


@needs_users
def test_the_caller_is_who_the_kernel_says(farm):
    assert as_user(ADA, submit, farm.gate, "aaaaaa0001")["status"] == "ok"
    assert farm.redis.fcall("show", id="aaaaaa0001")["job"]["user"] == f"uid{ADA}"
    for args in ({"id": "aaaaaa0001", "user": f"uid{ADA}"}, {"id": "aaaaaa0001", "user": "root"},
                 '{"id":"aaaaaa0001","User":"root","user":"root"}', '{"id":"aaaaaa0001","user":"root","user":"uid61001"}',
                 {"id": "aaaaaa0001"}):
        answer = as_user(BOB, call, farm.gate, "cancel", args)
        assert answer["status"] == "permission" and f"belongs to uid{ADA}, not to uid{BOB}" in answer["text"]
    assert as_user(ADA, call, farm.gate, "cancel", {"id": "aaaaaa0001"})["state"] == "cancelled"


@needs_users
@pytest.mark.parametrize("name, args", [
    ("share", {"user": "uid61002", "weight": 100}), ("quota", {"user": "uid61001", "workers": 0}),
    ("settings", {"slack_ms": 1000}), ("settings", {"admins": ["uid61002"]}),
    ("drain", {"host": "HOST"}), ("resume", {"host": "HOST"}),
])
def test_only_administrators_change_what_others_get(farm, name, args):
    (host,) = farm.redis.fcall("hosts")["hosts"]
    args = {key: host["host"] if value == "HOST" else value for key, value in args.items()}
    for claim in ({}, {"by": "root"}, {"user": args.get("user", "root"), "by": "root"}):
        answer = as_user(BOB, call, farm.gate, name, {**args, **claim})
        assert answer["status"] == "permission" and f"uid{BOB} may not" in answer["text"], answer
    assert call(farm.gate, name, args)["status"] == "ok"  # this process is root


@needs_users
def test_administrators_act_for_users(farm):
    assert submit(farm.gate, "aaaaaa0001", **{"as": "eva"})["status"] == "ok"
    assert farm.redis.fcall("show", id="aaaaaa0001")["job"]["user"] == "eva"
    answer = as_user(BOB, call, farm.gate, "cancel", {"id": "aaaaaa0001", "as": "eva"})
    assert answer["status"] == "permission" and "may not act for eva" in answer["text"]
    assert call(farm.gate, "cancel", {"id": "aaaaaa0001"})["state"] == "cancelled"


@needs_users
def test_a_group_of_the_host_names_administrators():
    import grp
    import pwd
    user = next(entry for entry in pwd.getpwall() if entry.pw_uid not in (0, os.geteuid()) and
                re.fullmatch("[A-Za-z0-9_][A-Za-z0-9._-]{0,31}", entry.pw_name))
    group = grp.getgrgid(user.pw_gid).gr_name
    with GateFarm(more=f"admin_group = {group}\n") as farm:
        assert as_user(user.pw_uid, call, farm.gate, "settings", {"slack_ms": 1000})["status"] == "ok"
        assert as_user(BOB, call, farm.gate, "settings", {"slack_ms": 1000})["status"] == "permission"
        assert as_user(user.pw_uid, submit, farm.gate, "aaaaaa0001")["status"] == "ok"
        assert farm.redis.fcall("show", id="aaaaaa0001")["job"]["user"] == user.pw_name


@pytest.mark.parametrize("words", [
    ["FLUSHALL"], ["SET", "a", "b"], ["GET", "{ddq}:settings"], ["EVAL", "return 1", "0"], ["MONITOR"],
    ["PUBLISH", "{ddq}:wake", "x"], ["FUNCTION", "DELETE", "ddq"], ["FUNCTION", "LOAD", "#!lua name=ddq"],
    ["CONFIG", "GET", "dir"], ["CONFIG", "SET", "maxmemory", "1"], ["CONFIG", "GET"], ["INFO"], ["INFO", "server", "all"],
    ["CLIENT", "KILL", "TYPE", "normal"], ["SUBSCRIBE", "{ddq}:wake"], ["SUBSCRIBE", "{ddq}:job:*:live"],
    ["SUBSCRIBE", "a", "b"], ["PSUBSCRIBE", "*"], ["FCALL_RO", "ddq_show", "1", "{ddq}", "{}"],
    ["FCALL", "ddq_claim", "1", "{ddq}", "{}"], ["FCALL", "ddq_beat", "1", "{ddq}", "{}"],
    ["FCALL", "ddq_log", "1", "{ddq}", "{}"], ["FCALL", "ddq_finish", "1", "{ddq}", "{}"],
    ["FCALL", "ddq_show", "1", "{ddq}", "{}", "root"], ["FCALL", "ddq_show", "1", "{ddq}", "{}", "root", "admin"],
    ["FCALL", "ddq_show", "0", "{ddq}", "{}"], ["FCALL", "ddq_show", "1", "other", "{}"], ["FCALL", "ddq_nothing", "1", "{ddq}", "{}"],
    ["AUTH", "secret"], ["HELLO", "3"], ["QUIT"], ["MULTI"], ["DEBUG", "SLEEP", "1"], ["SHUTDOWN"],
])
def test_nothing_else_passes(farm, words):
    said = refused(farm.gate, *words)
    assert said.startswith(("NOPERM", "ERR")) and "ddqd" in said, said


def test_questions_of_doctor_pass(farm):
    redis = Redis(farm.gate)
    assert redis.call("PING") == "PONG" and len(redis.call("time")) == 2
    assert "redis_version" in redis.call("INFO", "server")
    assert redis.call("CONFIG", "GET", "appendonly") == ["appendonly", "yes"]
    assert redis.call("SELECT", "0") == "OK"


def test_live_messages(farm):
    submit(farm.gate, "aaaaaa0001")
    listeners = [Redis(farm.gate) for _ in range(3)]
    for redis in listeners:
        assert redis.call("SUBSCRIBE", "{ddq}:job:aaaaaa0001:live") == ["subscribe", "{ddq}:job:aaaaaa0001:live", 1]
    wait_for(lambda: farm.redis.call("PUBSUB", "NUMSUB", "{ddq}:job:aaaaaa0001:live")[1] == 1, "one subscription for all")
    call(farm.gate, "cancel", {"id": "aaaaaa0001"})
    for redis in listeners:
        kind, channel, text = redis.read()
        assert kind == "message" and channel == "{ddq}:job:aaaaaa0001:live" and json.loads(text)["state"] == "cancelled"
        redis.close()
    wait_for(lambda: farm.redis.call("PUBSUB", "NUMSUB", "{ddq}:job:aaaaaa0001:live")[1] == 0, "the subscription ends")


@pytest.mark.parametrize("data, said", [
    (b"PING\r\n", "list of texts"), (b"*1\r\n+PING\r\n", "list of texts"), (b"*9\r\n", "at most 8 words"),
    (b"*0\r\n", "empty command"), (b"*-1\r\n", "list of texts"), (b"*1\r\n$3000000\r\n", "bytes"), (b"*99999999999999999999", "8 words"),
    (b"*1\r\n$4\r\nPINGxx", "longer than its length"), (b"A" * 1000000, "list of texts"), (b"*" + b"0" * 100000, "list of texts"),
    (b"\x16\x03\x01\x02\x00", "list of texts"),
], ids=range(11))
def test_what_is_no_command_ends_the_connection(farm, data, said):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(DEADLINE)
        client.connect(farm.gate)
        try:
            client.sendall(data)
        except BrokenPipeError:
            pass
        answer = b""
        try:
            while part := client.recv(65536):
                answer += part
        except ConnectionResetError:
            pass
        assert said.encode() in answer, answer
    assert Redis(farm.gate).call("PING") == "PONG"


def test_a_call_in_many_pieces_and_many_calls_in_one(farm):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(DEADLINE)
        client.connect(farm.gate)
        for byte in command("PING"):
            client.sendall(bytes([byte]))
            time.sleep(0.001)
        assert client.recv(100) == b"+PONG\r\n"
        client.sendall(command("PING") * 100)
        answer = b""
        while len(answer) < 700:
            answer += client.recv(1000)
        assert answer == b"+PONG\r\n" * 100
        client.sendall(command("FCALL", "ddq_list", "1", "{ddq}", json.dumps({"x": "y" * 2400000})))
        assert client.recv(10).startswith(b"$")


def test_connections_of_one_user_have_a_limit(farm):
    clients = []
    for _ in range(64):
        client = Redis(farm.gate)
        assert client.call("PING") == "PONG"
        clients.append(client)
    with pytest.raises(RuntimeError, match="too many connections"):
        Redis(farm.gate).read()
    if os.geteuid() == 0:
        assert as_user(ADA, lambda: Redis(farm.gate).call("PING")) == "PONG"
    clients.pop().close()
    wait_for(lambda: refused_or_pong(farm.gate) == "PONG", "a place is free again")


def refused_or_pong(path):
    try:
        return Redis(path).call("PING")
    except (RuntimeError, ConnectionError, BrokenPipeError, ConnectionResetError):
        return None


def test_redis_goes_away_behind_the_gate(farm):
    client = Redis(farm.gate)
    assert client.call("PING") == "PONG"

    def asked_meanwhile():
        """On a busy machine it may be back before the next call; then it is killed again."""
        try:
            os.kill(farm.redis_pid(), 9)
        except (AssertionError, ProcessLookupError):
            pass
        try:
            return client.call("PING") != "PONG"
        except RuntimeError as error:
            return str(error)

    said = wait_for(asked_meanwhile, "a call while Redis is away")
    assert said.startswith("NOREDIS") and "Redis" in said
    wait_for(lambda: refused_or_pong(farm.gate) == "PONG", "the private Redis is back behind the gate")


def test_every_change_is_in_the_log(farm):
    submit(farm.gate, "aaaaaa0001")
    call(farm.gate, "show", {"id": "aaaaaa0001"})
    call(farm.gate, "cancel", {"id": "aaaaaa0001"})
    call(farm.gate, "cancel", {"id": "aaaaaa0009"})
    wait_for(lambda: farm.log().count(" audit ") == 3, "three audit lines")
    lines = [line for line in farm.log().splitlines() if " audit " in line]
    assert f"uid={os.geteuid()} pid={os.getpid()}" in lines[0] and "call=ddq_submit status=ok job=aaaaaa0001" in lines[0]
    assert "call=ddq_cancel status=ok" in lines[1] and "call=ddq_cancel status=not_found job=-" in lines[2]


def test_a_socket_that_is_left_behind_and_one_that_is_in_use():
    farm = GateFarm()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(farm.gate)
    with farm:
        assert os.stat(farm.gate).st_mode & 0o777 == 0o666
        other = GateFarm()
        other.write_conf(["m"], f"socket = {farm.gate}\n")
        daemon = other.spawn()
        assert daemon.wait(DEADLINE) == 75 and "another ddqd answers" in other.log()
        assert Redis(farm.gate).call("PING") == "PONG"
    assert not os.path.exists(farm.gate)
    (farm.folder).mkdir(exist_ok=True)


@needs_users
def test_a_flood_of_one_user_leaves_the_turns_of_another(farm):
    """Of a user with 60 connections one call at a time is under way, so another's call waits for one, not for 60."""
    stop = threading.Event()

    def flood():
        client = Redis(farm.gate)
        while not stop.is_set():
            client.fcall("list")

    def calls():
        redis = Redis(farm.gate)
        start = time.monotonic()
        for _ in range(200):
            redis.fcall("list")
        return time.monotonic() - start

    threads = [threading.Thread(target=flood) for _ in range(60)]
    try:
        alone = as_user(ADA, calls)
        for thread in threads:
            thread.start()
        beside = as_user(ADA, calls)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    print(f"200 calls: alone {alone * 1000:.0f} ms, beside a flood {beside * 1000:.0f} ms")
    # 60 calls in front of each would be 60 times as long; the flood's own process takes a core from the others
    assert beside < 20 * alone

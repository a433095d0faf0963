"""Addresses of Redis and of the daemon's own HTTP: what is printed can be given again, and no password is shown."""
import contextlib
import http.client
import pathlib
import shutil
import signal
import socket
import subprocess

import pytest

from fake_farm import BIN, SERVER, Farm
from resp import Redis
from wait import DEADLINE, wait_for

SECRET = "hunter2"


def free_port(family=socket.AF_INET, host="127.0.0.1"):
    with socket.socket(family) as free:
        free.bind((host, 0))
        return free.getsockname()[1]


def has_v6():
    try:
        free_port(socket.AF_INET6, "::1")
        return True
    except OSError:
        return False


needs_v6 = pytest.mark.skipif(not has_v6(), reason="no IPv6 here")


@contextlib.contextmanager
def server_of(farm, *words):
    """A server with a password that listens on the farm's socket too."""
    server = subprocess.Popen([SERVER, "--unixsocket", farm.socket, "--requirepass", SECRET, "--appendonly", "yes", "--dir",
                               farm.folder, "--save", "", *map(str, words)], stdout=subprocess.DEVNULL)
    try:
        wait_for(farm.socket.exists, "the server")
        yield server
    finally:
        farm.stop()
        server.kill()
        server.wait()
        shutil.rmtree(farm.folder)


def ddq(farm, *words, code=0, **env):
    done = subprocess.run([BIN / "ddq", *words], capture_output=True, text=True, timeout=DEADLINE,
                          env={**farm.env, "DDQ_AS": "ada", **env})
    assert done.returncode == code, (words, done)
    assert SECRET not in done.stdout + done.stderr
    return done.stdout + done.stderr


def processes(farm):
    """Command line and environment of the daemon and of everything that it started."""
    for pid in [farm.daemon.pid, *farm.leftovers()]:
        folder = pathlib.Path(f"/proc/{pid}")
        yield pid, (folder / "cmdline").read_bytes().decode(), (folder / "environ").read_bytes().decode()


def with_password(url):
    kind, rest = url.split(":", 1)
    return f"unix://:{SECRET}@{rest}" if kind == "unix" else f"redis://:{SECRET}@{rest[2:]}"


@pytest.mark.parametrize("form, flags", [
    ("unix:{socket}", ["--port", "0"]),
    ("unix:{socket}?db=3", ["--port", "0"]),
    ("redis://127.0.0.1:{port}/2", ["--bind", "127.0.0.1", "--port", "{port}"]),
    pytest.param("redis://[::1]:{port}", ["--bind", "::1", "--port", "{port}"], marks=needs_v6),
])
def test_a_printed_address_can_be_given_again(form, flags):
    farm = Farm(standalone=False)
    port = free_port()
    url = form.format(socket=farm.socket, port=port)
    with server_of(farm, *(flag.format(port=port) for flag in flags)):
        farm.command = lambda *more: [BIN / "ddqd", "--redis", with_password(url), "--state", farm.state, "--output-root",
                                      farm.root, "--conf", farm.conf, "--workers", farm.workers, "--worker-program",
                                      pathlib.Path(__file__).with_name("fake_worker.py"), "--log-level", "trace", *more]
        farm.daemon = farm.spawn()
        assert farm.daemon.stdout.readline() == f"ready {url}\n", farm.log()
        text = ddq(farm, "doctor", "--redis", with_password(url))
        assert f"{url} answers" in text and "1 alive" in text, text
        farm.redis = Redis(str(farm.socket))
        farm.redis.call("AUTH", SECRET)
        if "db=3" in url or "/2" in url:
            assert farm.redis.call("DBSIZE") == 0
            farm.redis.call("SELECT", 3 if "db=3" in url else 2)
        farm.wait(farm.submit(images=3))
        said = ddq(farm, "ls", "--redis", url, code=77)
        assert f"Redis at {url}: it " in said and " a password" in said, said
        for pid, command, environment in processes(farm):
            assert SECRET not in command and SECRET not in environment, (pid, command)
        check = subprocess.run(farm.command("--check"), capture_output=True, text=True, env=farm.env)
        assert url in check.stdout and SECRET not in check.stdout + check.stderr, check
        printed = subprocess.run(farm.command("--print-config"), capture_output=True, text=True, env=farm.env).stdout
        assert "redis = " in printed and "***" in printed and SECRET not in printed, printed
        farm.daemon.send_signal(signal.SIGUSR1)
        wait_for(lambda: "dump worker=" in farm.log(), "the dump")
        farm.conf.write_text(farm.conf.read_text().replace("[daemon]\n", f"[daemon]\nredis = redis://:{SECRET}@other\n"))
        farm.daemon.send_signal(signal.SIGHUP)
        wait_for(lambda: "reload models=" in farm.log(), "the reload")
        assert farm.stop() == 0
        assert SECRET not in farm.log()


@pytest.mark.parametrize("standalone", [True, False])
def test_children_do_not_inherit_the_address(standalone):
    """ddqd gets the address from its environment; neither workers nor a private server need it."""
    farm = Farm(standalone=standalone, DDQ_REDIS=f"redis://:{SECRET}@nowhere.invalid")
    if standalone:
        with farm:
            assert len([1 for pid, _, environment in processes(farm) if SECRET in environment]) == 1  # the daemon itself
            assert all(SECRET not in command for _, command, _ in processes(farm))
            assert SECRET not in farm.log()
    else:
        with server_of(farm, "--port", "0"):
            farm.env["DDQ_REDIS"] = f"unix://:{SECRET}@{farm.socket}"
            words = farm.command()
            at = words.index("--redis")
            farm.command = lambda *more: [*words[:at], *words[at + 2:], *more]
            farm.daemon = farm.spawn()
            assert farm.daemon.stdout.readline() == f"ready unix:{farm.socket}\n", farm.log()
            assert all(SECRET not in environment for pid, _, environment in processes(farm) if pid != farm.daemon.pid)


@pytest.mark.parametrize("url", ["redis//:{}@h", "unix:{}@/run/r.sock", "redis://:{}", "redis://:{}@h:port", "redis:{}@h",
                                 "redis://ada:{}@h", "redis://h/{}", "redis://:{} x@h:", "rediss://:{}@h", "unix:/r?password={}"])
def test_a_malformed_address_is_not_repeated(url):
    farm = Farm(standalone=False)
    url = url.format(SECRET)
    for words in ([BIN / "ddqd", "--redis", url, "--state", farm.state], [BIN / "ddqd", "--redis", url, "--check"],
                  [BIN / "ddqd", "--redis", url, "--print-config"], [BIN / "ddq", "ls", "--redis", url],
                  [BIN / "ddq", "doctor", f"--redis={url}"]):
        done = subprocess.run(words, capture_output=True, text=True, env=farm.env, timeout=DEADLINE)
        assert SECRET not in done.stdout + done.stderr, done
        assert done.returncode in (0, 2) and ("Redis address" in done.stdout + done.stderr or "--print-config" in words), done
    conf = farm.folder / "bad.conf"
    conf.write_text(f"[daemon]\nredis = {url}\n")
    for words in ([BIN / "ddqd", "--conf", conf], [BIN / "ddq", "ls", "--conf", conf]):
        done = subprocess.run(words, capture_output=True, text=True, env=farm.env, timeout=DEADLINE)
        assert done.returncode == 2 and "bad.conf:2" in done.stderr and SECRET not in done.stdout + done.stderr, done
    shutil.rmtree(farm.folder)


def test_an_address_in_a_wrong_place_is_masked():
    farm = Farm(standalone=False)
    url = f"redis://:{SECRET}@h"
    for words in (["ls", url], ["show", url], [url], ["ls", f"--rediss={url}"], ["submit", "digits-demo", "--seed", url], ["ls", "-x" + url]):
        done = subprocess.run([BIN / "ddq", *words], capture_output=True, text=True, env=farm.env, timeout=DEADLINE)
        assert done.returncode != 0 and SECRET not in done.stdout + done.stderr, done
    for words in ([url], ["--workers", url, "--check"], ["--conf", url]):
        done = subprocess.run([BIN / "ddqd", *words], capture_output=True, text=True, env=farm.env, timeout=DEADLINE)
        assert done.returncode != 0 and SECRET not in done.stdout + done.stderr, done
    shutil.rmtree(farm.folder)


# --- http ---

def ask(host, port, method, path):
    connection = http.client.HTTPConnection(host, port, timeout=DEADLINE)
    connection.request(method, path)
    answer = connection.getresponse()
    found = answer.status, answer.getheader("Content-Length"), answer.read(), answer.getheader("Allow")
    connection.close()
    return found


@pytest.mark.parametrize("address, host", [
    ("localhost:{}", "127.0.0.1"), ("127.0.0.1:{}", "127.0.0.1"), ("{}", "127.0.0.1"), (":{}", "127.0.0.1"),
    ("0.0.0.0:{}", "127.0.0.1"), pytest.param("[::1]:{}", "::1", marks=needs_v6), pytest.param("[::]:{}", "::1", marks=needs_v6),
])
def test_http_addresses(address, host):
    port = free_port(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
    farm = Farm()
    farm.write_conf(["m"], f"http = {address.format(port)}\n")
    with farm:
        assert ask(host, port, "GET", "/healthz") == (200, "3", b"ok\n", None)
        assert ask(host, port, "HEAD", "/healthz") == (200, "3", b"", None)
        assert ask(host, port, "HEAD", "/metrics")[2] == b"" and ask(host, port, "HEAD", "/nothing")[0] == 404
        assert ask(host, port, "DELETE", "/healthz")[::3] == (405, "GET, HEAD")


@pytest.mark.parametrize("address, words", [
    ("here", ["wanted PORT"]), ("127.0.0.1:0", ["wanted PORT"]), ("127.0.0.1:99999", ["wanted PORT"]), ("::1:9102", ["wanted PORT"]),
    ("[::1]", ["wanted PORT"]), ("no-such-host.invalid:9102", ["no-such-host.invalid", "name or address"]),
])
def test_http_addresses_that_are_refused(address, words):
    farm = Farm()
    farm.write_conf(["m"], f"http = {address}\n")
    farm.refused(code=2, words=[f"http = {address}", *words])
    shutil.rmtree(farm.folder)

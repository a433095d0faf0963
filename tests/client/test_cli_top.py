"""ddq top: once, and on a terminal that it restores."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

import pytest

from session import DDQ
from wait import DEADLINE

ENTER, LEAVE = b"\033[?1049h\033[?25l\033[?7l", b"\033[?7h\033[?25h\033[?1049l"


def busy(session):
    """Two workers, one of which makes images."""
    job = session.submit(images=32)
    worker = {"name": "cpu:0", "device": "cpu", "state": "busy", "job": job, "pid": 8, "memory_mib": 2048, "about": "a processor"}
    session.heartbeat(workers=[worker, {**worker, "name": "cpu:1", "state": "idle", "job": ""}])
    session.renew(session.claim(), 4, rate=12.0)
    return job


def test_once(session):
    assert "no daemon is alive" in session.ddq("top", "--once").stdout
    job, other = busy(session), session.submit()
    session.ddq("hold", other, "--reason", "evil\033]0;title\007")
    done = session.ddq("top", "--once").stdout
    lines = [line.split() for line in done.splitlines()]
    assert "hosts 1  workers 2, busy 1  images 12/s" in done and "running 1" in done and "held 1" in done
    assert ["node1", "cpu:0", "busy", "2.0", "GiB", "-", "digits", job, "ada", "12/s", "12%", "sampling"] in lines
    assert "ada" in [line[0] for line in lines if len(line) > 5] and "100%" in done and "\033" not in done and "evil" in done
    told = session.json("top")
    assert told["working"][job]["leases"][0]["rate"] == 12 and [j["id"] for j in told["jobs"]] == [other, job]
    assert told["users"][0]["user"] == "ada" and len(told["hosts"][0]["workers"]) == 2


def test_what_workers_do_is_not_as_old_as_their_heartbeat(session):
    """A heartbeat comes every few seconds; the queue knows of a lease at once."""
    job = session.submit(images=32)
    worker = {"name": "cpu:0", "device": "cpu", "state": "idle", "job": "", "pid": 8, "memory_mib": 2048, "free_mib": 1024, "about": "a"}
    session.heartbeat(workers=[worker, {**worker, "name": "cpu:1", "free_mib": 0}])
    lease = session.claim()
    done = session.ddq("top", "--once").stdout
    assert "workers 2, busy 1" in done
    rows = {line.split()[1]: line.split() for line in session.ddq("gpus").stdout.splitlines()}
    assert rows["WORKER"][4:6] == ["MEMORY", "USABLE"]
    assert rows["cpu:0"][2:8] == ["busy", job, "2.0", "GiB", "1.0", "GiB"] and rows["cpu:1"][2:8] == ["idle", "-", "2.0", "GiB", "0.0", "GiB"]
    session.heartbeat(workers=[{**worker, "state": "busy", "job": job}])
    session.finish(lease)
    (host,) = session.json("gpus")["hosts"]
    assert host["workers"][0]["state"] == "idle" and host["workers"][0]["job"] == "" and "busy 0" in session.ddq("top", "--once").stdout
    session.claim()
    session.ddq("cancel", job)  # its worker stops later, but does nothing for it
    assert "busy 0" in session.ddq("top", "--once").stdout


def test_a_worker_without_a_process_has_no_pid(session):
    worker = {"name": "cuda:0", "device": "cuda", "uuid": "GPU-1", "state": "gone", "job": "", "pid": 0, "memory_mib": 81920, "about": "a"}
    session.heartbeat(workers=[worker])
    session.ddq("drain", "node1")
    row = session.ddq("gpus").stdout.splitlines()[1].split()
    assert row == ["node1", "cuda:0", "drained", "-", "80.0", "GiB", "-", "-", "a"]


class Screen:
    """ddq top on a terminal of its own."""

    def __init__(self, session, *words, columns=100, lines=24):
        self.text = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            while os.get_terminal_size(0).columns == 0:
                time.sleep(0.01)  # until the size is set
            os.execve(DDQ, ["ddq", "top", *words], {**session.env, "TERM": "xterm"})
        self.resize(columns, lines)
        self.before = termios.tcgetattr(self.fd)[3]

    def resize(self, columns, lines):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def until(self, wanted):
        end, start = time.monotonic() + DEADLINE, len(self.text)
        while not wanted(self.text[start:]):
            assert time.monotonic() < end, self.text[start:]
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    self.text += os.read(self.fd, 65536)
                except OSError:
                    break
        return self.text[start:]

    def end(self):
        """What is left to read, and the exit status."""
        try:
            while part := os.read(self.fd, 65536):
                self.text += part
        except OSError:
            pass
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


@pytest.mark.parametrize("how, code", [(b"q", 0), (b"\033", 0), (b"\003", 130), (signal.SIGTERM, 0), (signal.SIGHUP, 0)])
def test_the_terminal_is_given_back(session, how, code):
    job = busy(session)
    screen = Screen(session)
    text = screen.until(lambda text: job.encode() in text and b"sampling" in text)
    assert ENTER in text and LEAVE not in text
    assert not termios.tcgetattr(screen.fd)[3] & (termios.ICANON | termios.ECHO)
    if isinstance(how, bytes):
        os.write(screen.fd, how)
    else:
        os.kill(screen.pid, how)
    screen.until(lambda text: LEAVE in text and termios.tcgetattr(screen.fd)[3] == screen.before)
    assert screen.end() == code


def test_it_is_kept_fresh_and_fits_the_window(session):
    job = busy(session)
    screen = Screen(session, "--interval", "0.2", "--color", "never", columns=60, lines=9)
    screen.until(lambda text: b"12%" in text)
    lease = session.json("show", job)["leases"][0]
    session.renew(lease, 8, rate=10.0)
    page = screen.until(lambda text: b"25%" in text and text.count(b"\033[H") > 2).split(b"\033[H")[-2].decode()
    rows = re.sub(r"\033\[[?0-9]*[a-zA-Z]", "", page).split("\r\n")
    assert len(rows) <= 9 and all(len(row) <= 60 for row in rows[1:]), rows
    screen.resize(120, 40)
    screen.until(lambda text: b"REASON" in text)
    session.stop()  # a Redis that is away ends nothing
    screen.until(lambda text: b"Trying again" in text)
    session.start()
    screen.until(lambda text: b"no daemon is alive" in text)
    os.write(screen.fd, b"q")
    assert screen.end() == 0


def page_of(text):
    """The last whole page, as lines."""
    page = text.split(b"\033[H")[-2].decode()
    return re.sub(r"\033\[[?0-9;]*[a-zA-Z]|\r", "", page).rstrip("\n").split("\n")


class Keys:
    """ddq top whose pages are looked at as lines; each key is followed by a page that shows what it did."""

    def __init__(self, session, lines=24):
        self.screen = Screen(session, "--interval", "0.1", "--color", "never", columns=120, lines=lines)

    def shows(self, wanted, key=b""):
        if key:
            os.write(self.screen.fd, key)
        self.page = []

        def seen(text):
            if text.count(b"\033[H") > 2:
                self.page = page_of(text)
            return bool(self.page) and wanted(self)
        self.screen.until(seen)
        return self

    def selected(self):
        return [line.split()[1] for line in self.page if line.startswith(">")]

    def jobs(self):
        return [line.split()[-1] and line[1:].split()[0] for line in self.page if re.match(r"^[> ]  [0-9a-z]{10} ", line)]

    def end(self):
        os.write(self.screen.fd, b"q")
        assert self.screen.end() == 0


def test_keys_select_and_scroll(session):
    ids = [session.submit() for _ in range(30)][::-1]  # the newest first
    keys = Keys(session, lines=20)
    keys.shows(lambda k: k.selected() == ids[:1])
    rows = len(keys.jobs())
    assert 3 <= rows < 30 and keys.jobs() == ids[:rows] and "s sorts (now: newest)" in keys.page[-1] and len(keys.page) <= 20
    keys.shows(lambda k: k.selected() == [ids[2]], key=b"\033[Bj")
    keys.shows(lambda k: k.selected() == [ids[1]], key=b"\033[A")
    keys.shows(lambda k: k.selected() == [ids[29]] and k.jobs() == ids[30 - rows:], key=b"\033[F")
    keys.shows(lambda k: k.selected() == [ids[29]], key=b"\033[B")  # there is nothing below
    keys.shows(lambda k: k.selected() == [ids[29 - rows]], key=b"\033[5~")
    keys.shows(lambda k: k.selected() == [ids[0]] and k.jobs() == ids[:rows], key=b"\033[H")
    keys.shows(lambda k: k.selected() == [ids[rows]] and ids[0] not in k.jobs(), key=b"\033[6~\033[24~x")  # F12 and x mean nothing
    session.ddq("cancel", ids[rows])  # the one that stood there next is selected
    keys.shows(lambda k: k.selected() == [ids[rows + 1]])
    keys.end()


def test_keys_sort(session):
    first = session.submit(images=100)
    session.renew(session.claim(), 50)
    held = session.submit()
    session.ddq("hold", held)
    bobs = session.ddq("submit", "digits-demo", "-q", "--new", DDQ_AS="bob").stdout.strip()
    last = session.submit()
    keys = Keys(session)
    keys.shows(lambda k: k.jobs() == [last, bobs, held, first])  # whose images are 0, 0, 0 and 8% done
    keys.shows(lambda k: k.jobs() == [held, first, last, bobs] and "now: state" in k.page[-1], key=b"s")
    keys.shows(lambda k: k.jobs() == [last, held, first, bobs] and "now: user" in k.page[-1], key=b"s")
    keys.shows(lambda k: k.jobs() == [first, last, bobs, held] and "now: done" in k.page[-1], key=b"s")
    keys.shows(lambda k: k.jobs() == [first, last, bobs, held] and "now: ETA" in k.page[-1], key=b"s")
    keys.shows(lambda k: k.jobs() == [last, bobs, held, first] and "now: newest" in k.page[-1], key=b"s")
    keys.end()


def test_keys_cancel(session):
    bobs = session.ddq("submit", "digits-demo", "-q", DDQ_AS="bob").stdout.strip()
    mine = session.submit()
    keys = Keys(session)
    keys.shows(lambda k: k.selected() == [mine])
    keys.shows(lambda k: f"cancel job {mine} of ada, which is queued? y: yes" in k.page[-1], key=b"c")
    keys.shows(lambda k: "q ends" in k.page[-1], key=b"n")
    assert session.json("show", mine)["state"] == "queued"
    keys.shows(lambda k: "? y: yes" in k.page[-1], key=b"c")
    keys.shows(lambda k: f"job {mine} is cancelled" in k.page[-1] and k.jobs() == [bobs], key=b"y")
    assert session.json("show", mine)["state"] == "cancelled"
    keys.shows(lambda k: "belongs to bob" in k.page[-1] and k.jobs() == [bobs], key=b"cy")
    session.ddq("cancel", bobs, DDQ_AS="bob")
    keys.shows(lambda k: not k.jobs(), key=b"cyjks\033[F")  # nothing to select
    keys.end()


def test_many_workers_leave_room_for_jobs(session):
    worker = {"device": "cpu", "state": "idle", "job": "", "pid": 8, "memory_mib": 2048, "about": "a"}
    session.heartbeat(workers=[{**worker, "name": f"cpu:{i}"} for i in range(60)])
    job = session.submit()
    keys = Keys(session)
    keys.shows(lambda k: k.jobs() == [job] and "and 52 more; ddq gpus lists all" in k.page)
    keys.end()
    assert session.ddq("top", "--once").stdout.count("cpu:") == 60


def test_where_it_cannot_be_drawn(session):
    assert "--once" in session.ddq("top", code=2).stderr
    assert "--interval" in session.ddq("top", "--interval", "0", code=2).stderr
    session.stop()
    session.ddq("top", code=69)

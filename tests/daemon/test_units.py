"""What `cmake --install` puts for systemd, checked by systemd's tools."""
import os
import pathlib
import subprocess

import pytest

from fake_farm import BIN


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stage")
    install(folder)
    return folder


def install(folder):
    subprocess.run(["cmake", "--install", BIN.parent], env={**os.environ, "DESTDIR": str(folder)}, check=True,
                   stdout=subprocess.DEVNULL)


def run(*words):
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def find(stage, name):
    found = [p for p in stage.rglob(name) if p.is_file()]
    assert len(found) == 1, (name, found)
    return found[0]


def test_the_unit_is_sound(stage, tmp_path):
    unit = find(stage, "ddqd.service").read_text()
    program = unit.split("ExecStart=", 1)[1].split()[0]
    assert (stage / program.lstrip("/")).is_file(), f"{program} is not what was installed"
    copy = tmp_path / "ddqd.service"  # the same unit with its program where the test can look
    copy.write_text(unit.replace(f"ExecStart={program}", f"ExecStart={stage}{program}"))
    code, said = run("systemd-analyze", "verify", "--man=no", copy)
    assert code == 0 and "ddqd.service" not in said, said


def test_the_unit_is_hardened(stage):
    code, said = run("systemd-analyze", "security", "--offline=true", "--threshold=20", find(stage, "ddqd.service"))
    assert code == 0, said
    code, said = run("systemd-analyze", "security", "--offline=true", "--threshold=10", find(stage, "ddqd.service"))
    assert code != 0, "the threshold is ignored"


def test_the_relaxed_drop_in_is_sound(stage, tmp_path):
    unit = find(stage, "ddqd.service").read_text()
    program = unit.split("ExecStart=", 1)[1].split()[0]
    (tmp_path / "ddqd.service").write_text(unit.replace(f"ExecStart={program}", "ExecStart=/bin/true"))
    (tmp_path / "ddqd.service.d").mkdir()
    (tmp_path / "ddqd.service.d/relaxed-devices.conf").write_text(find(stage, "relaxed-devices.conf").read_text())
    code, said = run("systemd-analyze", "verify", "--man=no", tmp_path / "ddqd.service")
    assert code == 0 and "relaxed" not in said, said


def test_user_and_folders(stage):
    code, said = run("systemd-sysusers", f"--root={stage}")
    assert code == 0, said
    users = (stage / "etc/passwd").read_text()
    assert "\nddq:" in "\n" + users and "User=ddq\n" in find(stage, "ddqd.service").read_text()
    code, said = run("systemd-tmpfiles", f"--root={stage}", "--create", "ddq.conf")
    assert code == 0, said
    if os.geteuid() == 0:
        made = (stage / "srv/ddq").stat()
        ids = next(line for line in users.splitlines() if line.startswith("ddq:")).split(":")
        assert made.st_mode & 0o7777 == 0o755 and [str(made.st_uid), str(made.st_gid)] == ids[2:4]


def test_the_configuration_is_where_the_unit_looks_and_stays(stage):
    unit = find(stage, "ddqd.service").read_text()
    path = unit.split("--conf ", 1)[1].split()[0]
    conf = stage / path.lstrip("/")
    code, said = run(BIN / "ddqd", "--conf", conf, "--print-config")
    assert code == 0 and "output_root = /srv/ddq" in said and "state = /var/lib/ddq" in said, said
    text = conf.read_text() + "# mine\n"
    conf.write_text(text)
    install(stage)
    assert conf.read_text() == text


def test_the_unit_sees_who_its_callers_are(stage):
    """In a user namespace of its own every user of the host would have one and the same uid."""
    unit = find(stage, "ddqd.service").read_text()
    assert "PrivateUsers=no" in unit and "UMask=0022" in unit and "LimitCORE=0" in unit

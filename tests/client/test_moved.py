"""Programs find their files relative to themselves, so trees and installations can be moved."""
import os
import shutil
import subprocess

from session import BIN, ROOT


def recipes(program):
    return subprocess.run([program, "recipes", "--json"], capture_output=True, text=True,
                          env={"HOME": "/nonexistent", "PATH": os.environ["PATH"]})


def test_a_moved_tree(tmp_path):
    program = tmp_path / "tree/build/x/bin/ddq"
    program.parent.mkdir(parents=True)
    shutil.copy(BIN / "ddq", program)
    (tmp_path / "tree/core").mkdir()
    (tmp_path / "tree/core/datadir.c").touch()
    shutil.copytree(ROOT / "recipes", tmp_path / "tree/recipes")
    done = recipes(program)
    assert done.returncode == 0 and "digits-demo" in done.stdout, done.stderr


def test_a_moved_installation(tmp_path):
    program = tmp_path / "opt/bin/ddq"
    program.parent.mkdir(parents=True)
    shutil.copy(BIN / "ddq", program)
    shutil.copytree(ROOT / "recipes", tmp_path / "opt/share/ddq/recipes")
    done = recipes(program)
    assert done.returncode == 0 and "digits-demo" in done.stdout, done.stderr


def test_missing_files_are_an_error(tmp_path):
    program = tmp_path / "bin/ddq"
    program.parent.mkdir()
    shutil.copy(BIN / "ddq", program)
    done = recipes(program)
    assert done.returncode != 0 and done.stdout == ""
    assert "recipes that come with ddq" in done.stderr and "/share/ddq/recipes" in done.stderr, done.stderr


def test_an_empty_folder_is_an_error(tmp_path):
    program = tmp_path / "bin/ddq"
    program.parent.mkdir()
    shutil.copy(BIN / "ddq", program)
    (tmp_path / "share/ddq/recipes").mkdir(parents=True)
    done = recipes(program)
    assert done.returncode != 0 and f"{tmp_path}/share/ddq/recipes" in done.stderr, done.stderr

"""For all tests in Python: this folder is on their path (tests/wait.py), and a test that fails shows what the daemons said."""
import sys

import pytest


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport():
    outcome = yield
    report = outcome.get_result()
    for module in map(sys.modules.get, ("fake_farm", "harness")):
        for farm in list(module.Farm.live) if module and report.failed else ():
            path = farm.folder / "ddqd.log"
            if path.exists():
                report.sections.append((str(path), path.read_text(errors="replace")[-8000:]))

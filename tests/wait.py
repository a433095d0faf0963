"""Tests wait for events, never for time. A wait that fails is a fault of the program, not of a slow or busy machine, so all of
them share one deadline of minutes, and nothing asserts how long something took."""
import os
import pathlib
import re
import time

DEADLINE = float(os.environ.get("DDQ_TEST_DEADLINE", 300))  # seconds: for subprocess's timeout=, sockets and wait_for


def wait_for(condition, what):
    """Looks until condition() is true, and returns what it returned; `what` says what was awaited."""
    end = time.monotonic() + DEADLINE
    while True:
        late = time.monotonic() > end
        value = condition()
        if value:
            return value
        if late:
            raise AssertionError(f"not after {DEADLINE:.0f} s: {what}")
        time.sleep(0.01)


def catches(pid, number):
    """Whether a process handles a signal by now; before, the signal just ends it."""
    found = re.search(r"SigCgt:\s*(\w+)", pathlib.Path(f"/proc/{pid}/status").read_text())
    return int(found[1], 16) >> (number - 1) & 1

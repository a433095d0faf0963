"""Other users of this host, for tests that root runs: a function in a process of theirs."""
import os
import pickle
import traceback

import pytest

needs_users = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be other users")
ADA, BOB = 61001, 61002  # without entries in the user database: their names are uid61001 and uid61002


def as_user(uid, function, *args):
    """What function(*args) returns or raises in a process of this user, with no groups."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(read)
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            answer = (True, function(*args))
        except BaseException as error:
            answer = (False, f"{error}\n{traceback.format_exc()}")
        with os.fdopen(write, "wb") as out:
            pickle.dump(answer, out)
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as source:
        good, answer = pickle.load(source)
    os.waitpid(child, 0)
    if not good:
        raise AssertionError(answer)
    return answer

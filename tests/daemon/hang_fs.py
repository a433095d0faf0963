"""A file system that never answers: FUSE whose program reads no request. Every access waits until `heal`."""
import ctypes
import os
import struct

import pytest

LIBC = ctypes.CDLL(None, use_errno=True)
DETACH = 2


class Hang:
    """Over a folder, what lies in it is out of reach. Needs root and /dev/fuse; else the test is skipped."""

    def __init__(self, folder):
        self.folder = os.fspath(folder).encode()
        try:
            self.fuse = os.open("/dev/fuse", os.O_RDWR)
        except OSError as error:
            pytest.skip(f"FUSE is not there: {error}")
        options = f"fd={self.fuse},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}".encode()
        if LIBC.mount(b"ddq-hang", self.folder, b"fuse", 0, options) != 0:
            os.close(self.fuse)
            pytest.skip(f"FUSE cannot be mounted: {os.strerror(ctypes.get_errno())}")
        request = os.read(self.fuse, 65536)
        _, opcode, unique = struct.unpack_from("=IIQ", request)
        assert opcode == 26  # INIT: the only request that is read, so that a waiter can still be killed
        answer = struct.pack("=IIIIHHIIHH32x", 7, 31, 65536, 0, 16, 12, 65536, 1, 0, 0)
        os.write(self.fuse, struct.pack("=IiQ", 16 + len(answer), 0, unique) + answer)

    def heal(self):
        if self.fuse is not None:
            LIBC.umount2(self.folder, DETACH)
            os.close(self.fuse)  # who waits gets an error now
            self.fuse = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.heal()

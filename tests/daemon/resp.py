"""A Redis client in thirty lines, and a fake server."""
import json
import socket
import threading

from wait import DEADLINE


class Redis:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(DEADLINE)
        self.socket.connect(path)
        self.file = self.socket.makefile("rb")

    def close(self):
        self.file.close()
        self.socket.close()

    def call(self, *words):
        words = [str(w).encode() for w in words]
        self.socket.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
        return self.read()

    def read(self):
        line = self.file.readline()
        if not line:
            raise ConnectionError("the server closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2].decode()
        if kind == b"*":
            return [self.read() for _ in range(int(rest))]
        return rest.decode()

    def fcall(self, name, **args):
        return json.loads(self.call("FCALL", "ddq_" + name, 1, "{ddq}", json.dumps(args)))


class FakeServer:
    """Answers INFO with a given text, the commands in errors with their error, and everything else with +OK, or with the
    text of `default`; any number of clients. "*" in errors stands for every command, "connect" for a connection, which is
    closed then. Both may be changed while it runs."""

    def __init__(self, path, info, errors=None, default="+OK"):
        self.info = info.replace("\n", "\r\n").encode()
        self.errors = dict(errors or {})
        self.default = default
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(path)
        self.socket.listen(8)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.answer, args=(client,), daemon=True).start()

    def answer(self, client):
        if "connect" in self.errors:
            client.sendall(f"-{self.errors['connect']}\r\n".encode())
            client.close()
            return
        file = client.makefile("rb")
        while True:
            head = file.readline()
            if not head:
                return
            words = [file.read(int(file.readline()[1:]) + 2)[:-2] for _ in range(int(head[1:]))]
            error = self.errors.get(words[0].decode().upper()) or self.errors.get("*")
            if error:
                client.sendall(f"-{error}\r\n".encode())
            elif words[0].upper() == b"INFO":
                client.sendall(b"$%d\r\n%s\r\n" % (len(self.info), self.info))
            else:
                client.sendall(f"{self.default}\r\n".encode())

    def close(self):
        self.socket.close()

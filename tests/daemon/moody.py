"""A proxy before a Redis that answers chosen commands with an error of its own instead of passing them on."""
import os
import socket
import threading


def read_command(file):
    head = file.readline()
    if not head:
        return None, b""
    raw, words = head, []
    for _ in range(int(head[1:])):
        size = file.readline()
        word = file.read(int(size[1:]) + 2)
        raw += size + word
        words.append(word[:-2])
    return words, raw


def read_reply(file):
    line = file.readline()
    if not line:
        raise ConnectionError("the server closed the connection")
    if line[:1] == b"$" and line[1:2] != b"-":
        return line + file.read(int(line[1:]) + 2)
    if line[:1] in b"*%~>" and line[1:2] != b"-":
        return line + b"".join(read_reply(file) for _ in range(int(line[1:]) * (2 if line[:1] == b"%" else 1)))
    return line


class Moody:
    """errors: {"FCALL": "BUSY ...", "ddq_finish": ..., "*": ...}: by command, or by the function that FCALL calls; "connect":
    told to every connection, which is closed. Empty: everything passes. May be changed at any time."""

    def __init__(self, path, server):
        self.server, self.errors, self.told = os.fspath(server), {}, 0
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(os.fspath(path))
        self.socket.listen(64)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def error_for(self, words):
        names = [words[0].decode().upper(), *(word.decode() for word in words[1:2])]
        return next((self.errors[name] for name in [*names, "*"] if name in self.errors), None)

    def serve(self, client):
        try:
            if "connect" in self.errors:
                self.told += 1
                client.sendall(f"-{self.errors['connect']}\r\n".encode())
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self.server)
            self.pass_on(client, server)
        except OSError:
            pass
        finally:
            client.close()

    def pass_on(self, client, server):
        commands, replies = client.makefile("rb"), server.makefile("rb")
        listening = False
        while True:
            words, raw = read_command(commands)
            if words is None:
                server.shutdown(socket.SHUT_RDWR)
                return
            error = self.error_for(words)
            if error:
                self.told += 1
                client.sendall(f"-{error}\r\n".encode())
                continue
            server.sendall(raw)
            if words[0].upper() == b"SUBSCRIBE" and not listening:
                listening = True
                threading.Thread(target=self.copy, args=(replies, client), daemon=True).start()
            elif not listening:
                client.sendall(read_reply(replies))

    def copy(self, replies, client):
        try:
            while True:
                client.sendall(read_reply(replies))
        except OSError:
            client.close()

    def close(self):
        self.socket.close()

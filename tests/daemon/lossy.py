"""A proxy before a Redis that lets a command through and loses its answer, with the connection."""
import os
import socket
import threading


class Lossy:
    def __init__(self, path, server):
        self.server, self.lose, self.lost = os.fspath(server), None, 0
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(os.fspath(path))
        self.socket.listen(16)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.socket.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self.server)
            except OSError:
                return
            drop = threading.Event()
            for source, sink, up in ((client, server, True), (server, client, False)):
                threading.Thread(target=self.copy, args=(source, sink, up, drop), daemon=True).start()

    def copy(self, source, sink, up, drop):
        try:
            while data := source.recv(65536):
                if up and self.lose and self.lose in data:
                    self.lose = None
                    drop.set()
                if not up and drop.is_set():
                    self.lost += 1
                    break
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.socket.close()

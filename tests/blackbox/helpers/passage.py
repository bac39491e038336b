"""Between the server and its Redis: connections can be cut, and replies to a reader be held back."""

import socket
import threading

from .waiting import wait_until


class _Way:
    """One connection, in both directions."""

    def __init__(self, passage, client):
        self.passage = passage
        self.client = client
        self.redis = socket.socket(socket.AF_UNIX)
        self.redis.connect(str(passage.server.socket))
        self.reads_streams = False
        for run in (self._requests, self._replies):
            threading.Thread(target=run, daemon=True).start()

    def _requests(self):
        try:
            while data := self.client.recv(65536):
                self.reads_streams |= b"XREAD" in data
                self.redis.sendall(data)
        except OSError:
            pass
        self.close()

    def _replies(self):
        try:
            while data := self.redis.recv(65536):
                if self.reads_streams:
                    self.passage.wait_while_closed(data)
                self.client.sendall(data)
        except OSError:
            pass
        self.close()

    def close(self):
        for sock in (self.client, self.redis):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Passage:
    def __init__(self, server, directory):
        self.server = server
        self.path = directory / "passage.sock"
        self.held = b""
        self.opened = threading.Event()
        self.opened.set()
        self.ways = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return f"unix:{self.path}"

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.ways.append(_Way(self, client))

    def wait_while_closed(self, data):
        if not self.opened.is_set():
            self.held += data
        self.opened.wait()

    def hold_what_is_read(self):
        """What XREAD answers from now on stays here until let_through()."""
        self.opened.clear()

    def wait_for_held(self, text):
        wait_until(lambda: text.encode() in self.held, f"{text} in what is held")

    def let_through(self):
        self.opened.set()

    def cut(self):
        """All connections end; new ones can be made."""
        ways, self.ways = self.ways, []
        for way in ways:
            way.close()

    def close(self):
        self.let_through()
        self.listener.close()
        self.cut()

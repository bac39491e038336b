"""A redis-server of the test's own, which it can stop, kill and freeze; and a minimal client."""

import os
import signal
import socket
import subprocess

from .waiting import wait_until


class RedisClient:
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(str(path))
        self.file = self.sock.makefile("rb")

    def __call__(self, *words):
        words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        lines = [b"*%d" % len(words)]
        for word in words:
            lines += [b"$%d" % len(word), word]
        self.sock.sendall(b"\r\n".join(lines) + b"\r\n")
        return self._read()

    def _read(self):
        line = self.file.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind == b"+":
            return rest.decode()
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self._read() for _ in range(int(rest))]
        raise ConnectionError(f"not a reply: {line!r}")

    def close(self):
        self.file.close()
        self.sock.close()

    def everything(self):
        """All keys with their values, as one run of bytes to search in."""
        readers = {"string": ("GET",), "hash": ("HGETALL",), "set": ("SMEMBERS",),
                   "zset": ("ZRANGE", 0, -1), "stream": ("XRANGE", "-", "+"), "list": ("LRANGE", 0, -1)}
        found = []
        for key in self("KEYS", "*"):
            kind = self("TYPE", key)
            if kind == "none":  # gone since it was listed
                continue
            command, *arguments = readers[kind]
            found.append(repr((key, self(command, key, *arguments))))
        return "\n".join(found)


class RedisServer:
    def __init__(self, directory, *options):
        self.directory = directory
        self.socket = directory / "r.sock"
        self.options = options
        self.process = None

    @property
    def url(self):
        return f"unix:{self.socket}"

    def start(self):
        self.process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", self.socket, "--dir", self.directory,
             "--appendonly", "yes", "--appendfsync", "everysec", "--save", "",
             "--maxmemory-policy", "noeviction", "--daemonize", "no", *self.options],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self._answers, "Redis")
        return self

    def _answers(self):
        try:
            client = self.client()
            try:
                return client("PING") == "PONG"
            finally:
                client.close()
        except (OSError, RuntimeError):
            return False

    def client(self):
        return RedisClient(self.socket)

    def stop(self):
        """As an administrator would: what was written is kept."""
        if self.process:
            self.thaw()
            self.process.terminate()
            self.process.wait(20)
            self.process = None

    def kill(self):
        self.process.kill()
        self.process.wait(20)
        self.process = None

    def freeze(self):
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self):
        os.kill(self.process.pid, signal.SIGCONT)

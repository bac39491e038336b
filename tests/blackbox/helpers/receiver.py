"""
A callback receiver that does what a test tells it to, per path:

    receiver.answers(503, then=200)             the first request gets 503, all others 200
    receiver.answers(Hang(), path="/slow")      no answer at all
    gate = receiver.holds("/x"); gate.open()    answers when the test says so

Every request is recorded before it is answered. An answer is a status, one of the classes here, or
a function that gets the request and returns one of those.

Each receiver listens on a loopback address of its own: retries for a receiver that is gone never
reach another test's.
"""

import itertools
import json
import os
import socket
import ssl
import struct
import threading
import time
from http.client import parse_headers
from io import BytesIO

from .waiting import PATIENCE


_numbers = itertools.count(os.getpid() * 64)


def new_loopback_address():
    number = next(_numbers)
    return f"127.{16 + number // 62500 % 200}.{number // 250 % 250}.{number % 250 + 1}"


class Answer:
    def __init__(self, status=200, headers=(), body=b"ok", delay=0.0, closes=False, before=b""):
        self.status = status
        self.headers = dict(headers)
        self.body = body
        self.delay = delay  # seconds before the status line
        self.closes = closes
        self.before = before  # bytes that go out first

    def give(self, connection):
        if connection.receiver.closing.wait(self.delay):
            return False
        headers = {"Content-Length": str(len(self.body)), **self.headers}
        if self.closes:
            headers["Connection"] = "close"
        head = f"HTTP/1.1 {self.status} Told\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        connection.sock.sendall(self.before + head.encode() + b"\r\n" + self.body)
        return not self.closes


class Raw:
    """These bytes, and then the connection is closed (or left open)."""

    def __init__(self, data, stays_open=False):
        self.data = data
        self.stays_open = stays_open

    def give(self, connection):
        connection.sock.sendall(self.data)
        if self.stays_open:
            connection.receiver.closing.wait()
        return False


class Hang:
    def give(self, connection):
        connection.receiver.closing.wait()
        return False


class Reset:
    """Closes with RST instead of an answer."""

    def give(self, connection):
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False


class EndlessBody:
    """200 at once, then a body without end."""

    def __init__(self, pause=0.0):
        self.pause = pause

    def give(self, connection):
        connection.sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not connection.receiver.closing.wait(self.pause):
            connection.sock.sendall(b"400\r\n" + b"x" * 1024 + b"\r\n")
        return False


class DrippingHeader:
    """A byte of a header now and then: never quite silent, never done."""

    def give(self, connection):
        connection.sock.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not connection.receiver.closing.wait(0.05):
            connection.sock.sendall(b"x")
        return False


class Gate:
    """Holds answers back until it is opened."""

    def __init__(self, status=200):
        self.answer = Answer(status)
        self.opened = threading.Event()

    def open(self):
        self.opened.set()

    def give(self, connection):
        while not self.opened.wait(0.05):
            if connection.receiver.closing.is_set():
                return False
        return self.answer.give(connection)


class Request:
    def __init__(self, method, path, headers, body, connection):
        self.method = method
        self.path = path  # with the query, as sent
        self.headers = headers
        self.body = body
        self.connection = connection  # number of the connection it came over
        self.peer = None  # the client's address
        self.client_certificate = None  # DER; what the client showed
        self.arrived = time.monotonic()

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def notify_id(self):
        return self.headers["X-Notify-Id"]

    def __repr__(self):
        return f"<{self.method} {self.path} {self.body[:300]!r}>"


class _Connection:
    def __init__(self, receiver, sock, number):
        self.receiver = receiver
        self.sock = sock
        self.number = number
        self.buffer = b""

    def _receive(self):
        data = self.sock.recv(65536)
        self.buffer += data
        return bool(data)

    def _read_request(self):
        self.sock.settimeout(self.receiver.idle_limit)
        while b"\r\n\r\n" not in self.buffer:
            if not self._receive():
                return None
        self.sock.settimeout(None)
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        request_line, _, fields = head.partition(b"\r\n")
        method, path, _ = request_line.decode().split(" ", 2)
        headers = parse_headers(BytesIO(fields + b"\r\n\r\n"))
        length = int(headers.get("Content-Length", 0))
        while len(self.buffer) < length:
            if not self._receive():
                return None
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        request = Request(method, path, headers, body, self.number)
        request.peer = self.sock.getpeername()[0]
        if self.receiver.tls:
            request.client_certificate = self.sock.getpeercert(binary_form=True)
        return request

    def run(self):
        try:
            if self.receiver.tls:
                self.sock = self.receiver.tls.wrap_socket(self.sock, server_side=True)
            if self.receiver.reads_nothing:
                self.receiver.closing.wait()
                return
            while True:
                request = self._read_request()
                if request is None:
                    return
                answer = self.receiver.take(request)
                try:
                    if not answer.give(self):
                        return
                finally:
                    self.receiver.answered()
        except (OSError, ssl.SSLError):
            pass  # the other side went away, or was idle for too long
        finally:
            self.sock.close()


class _Script:
    """The answers of one path: a list, and what comes when it is used up."""

    def __init__(self, answers, then):
        self.waiting = list(answers)
        self.then = then

    def next(self):
        return self.waiting.pop(0) if self.waiting else self.then


class Receiver:
    def __init__(self, tls=None, host=None, port=0, backlog=512):
        self.tls = tls
        self.idle_limit = None  # seconds after which an idle connection is closed
        self.reads_nothing = False
        self.closing = threading.Event()
        self._changed = threading.Condition()
        self._requests = []
        self._scripts = {None: _Script([], 200)}
        self._open = {}
        self.connections = 0
        self.in_flight = self.most_in_flight = 0
        host = host or new_loopback_address()
        self._listener = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=backlog)
        self.host, self.port = self._listener.getsockname()[:2]
        threading.Thread(target=self._accept, daemon=True).start()

    # --- what tests say

    def url(self, path="/", host=None):
        host = host or (f"[{self.host}]" if ":" in self.host else self.host)
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}{path}"

    def answers(self, *answers, then=200, path=None):
        """path None: every path that has no answers of its own."""
        with self._changed:
            self._scripts[path] = _Script(answers, then)

    def holds(self, path=None, status=200):
        gate = Gate(status)
        self.answers(then=gate, path=path)
        return gate

    def never_reads(self):
        self.reads_nothing = True

    def closes_idle_connections_after(self, seconds):
        self.idle_limit = seconds

    # --- what tests see

    def requests(self, path=None):
        with self._changed:
            return [r for r in self._requests if path is None or r.path == path]

    def wait_for(self, count, path=None, timeout=PATIENCE):
        """The first `count` requests, as soon as there are so many."""
        self.wait_until(lambda: len(self._matching(path)) >= count,
                        f"{count} requests for {path or 'any path'}", timeout)
        return self.requests(path)[:count]

    def wait_for_one(self, path=None, timeout=PATIENCE):
        return self.wait_for(1, path, timeout)[0]

    def wait_for_match(self, matches, timeout=PATIENCE):
        """The first request that matches, of those that came and those that will."""
        found = []

        def look():
            found[:] = [r for r in self._requests if matches(r)][:1]
            return found
        self.wait_until(look, "a request that matches", timeout)
        return found[0]

    def wait_until(self, condition, what="the condition", timeout=PATIENCE):
        with self._changed:
            if not self._changed.wait_for(condition, timeout):
                seen = [f"{r.path} {r.body[:120]!r}" for r in self._requests[-20:]]
                raise AssertionError(f"{what} did not come within {timeout} s; "
                                     f"{len(self._requests)} requests, the last: {seen}")

    def wait_until_all_connections_are_closed(self, timeout=PATIENCE):
        self.wait_until(lambda: not self._open, "the end of all connections", timeout)

    def wait_for_connections(self, count, timeout=PATIENCE):
        self.wait_until(lambda: self.connections >= count, f"{count} connections", timeout)

    def _matching(self, path):
        return [r for r in self._requests if path is None or r.path == path]

    # --- the machinery

    def take(self, request):
        with self._changed:
            self._requests.append(request)
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            script = self._scripts.get(request.path) or self._scripts[None]
            answer = script.next()
            self._changed.notify_all()
        if callable(answer):
            answer = answer(request)
        return Answer(answer) if isinstance(answer, int) else answer

    def answered(self):
        with self._changed:
            self.in_flight -= 1
            self._changed.notify_all()

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._changed:
                self.connections += 1
                connection = _Connection(self, sock, self.connections)
                self._open[connection.number] = connection
                self._changed.notify_all()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            connection.run()
        finally:
            with self._changed:
                self._open.pop(connection.number, None)
                self._changed.notify_all()

    def close(self):
        """Ends at once; connections are cut."""
        self.closing.set()
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        with self._changed:
            connections = list(self._open.values())
        for connection in connections:
            try:
                connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

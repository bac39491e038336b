"""
Talking HTTP to the server: ordinary requests through http.client, and raw bytes where the point is
what an ordinary client never sends.

An address is "127.0.0.1:41234", or the path of a unix socket.
"""

import http.client
import io
import json
import socket

TIMEOUT = 15.0


def connect(address, tls=None, timeout=TIMEOUT, server_name="localhost"):
    if address.startswith("unix:"):
        address = address[len("unix:"):]
    if address.startswith("/"):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(timeout)
        sock.connect(address)
        return sock
    host, port = address.rsplit(":", 1)
    sock = socket.create_connection((host.strip("[]"), int(port)), timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return tls.wrap_socket(sock, server_hostname=server_name) if tls else sock


class Response:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


class Client:
    """One keep-alive connection; a new one is made when there is none. Errors are the caller's."""

    def __init__(self, address, tls=None, timeout=TIMEOUT):
        self.address = address
        self.tls = tls
        self.timeout = timeout
        self.connection = None

    def request(self, method, target, body=None, headers=None):
        if self.connection is None:
            self.connection = http.client.HTTPConnection("localhost", timeout=self.timeout)
            self.connection.sock = connect(self.address, self.tls, self.timeout)
        try:
            self.connection.request(method, target, body, headers or {})
            answer = self.connection.getresponse()
            response = Response(answer.status, answer.headers, answer.read())
        except BaseException:
            self.close()
            raise
        if self.connection.sock is None:  # the server said Connection: close
            self.close()
        return response

    def close(self):
        if self.connection:
            self.connection.close()
            self.connection = None

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()


def request(address, method, target, body=None, headers=None, tls=None, timeout=TIMEOUT):
    """One request on a connection of its own. A dict or list as body is sent as JSON."""
    headers = dict(headers or {})
    if isinstance(body, (dict, list)):
        body = json.dumps(body)
        headers.setdefault("Content-Type", "application/json")
    if isinstance(body, str):
        body = body.encode()
    with Client(address, tls, timeout) as client:
        return client.request(method, target, body, headers)


class RawConnection:
    """Sends any bytes, reads answers one by one, sees when the server closes."""

    def __init__(self, address, tls=None, timeout=TIMEOUT):
        self.sock = connect(address, tls, timeout)
        self.received = b""

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode())
        return self

    def try_to_send(self, data):
        """For bytes that the server may refuse before it has read them all."""
        try:
            self.send(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return self

    def _receive(self):
        try:
            data = self.sock.recv(65536)
        except ConnectionResetError:
            data = b""
        self.received += data
        return bool(data)

    def read_response(self, to_head=False):
        while b"\r\n\r\n" not in self.received:
            if not self._receive():
                raise ConnectionError(f"closed in the head of an answer: {self.received!r}")
        head, self.received = self.received.split(b"\r\n\r\n", 1)
        status_line, _, fields = head.partition(b"\r\n")
        status = int(status_line.split(b" ")[1])
        headers = http.client.parse_headers(io.BytesIO(fields + b"\r\n\r\n"))
        if to_head or status in (204, 304) or status < 200:
            length = 0
        elif "Content-Length" in headers:
            length = int(headers["Content-Length"])
        else:  # HTTP/1.0: the end of the connection is the end of the body
            while self._receive():
                pass
            length = len(self.received)
        while len(self.received) < length:
            if not self._receive():
                raise ConnectionError("closed in the body of an answer")
        body, self.received = self.received[:length], self.received[length:]
        return Response(status, headers, body)

    def read_to_end(self):
        """What still comes until the server closes the connection."""
        while self._receive():
            pass
        data, self.received = self.received, b""
        return data

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

"""A small MQTT 3.1.1 client, that can also do what clients should not."""

import json
import socket
import ssl
import struct
import time

from .nouns import device_password
from .waiting import PATIENCE

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC = 1, 2, 3, 4, 5
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK = 8, 9, 10, 11
PINGREQ, PINGRESP, DISCONNECT = 12, 13, 14

ACCEPTED, BAD_VERSION, BAD_CLIENT_ID, UNAVAILABLE, BAD_LOGIN, NOT_AUTHORIZED = range(6)

TIMESTAMP = "2025041401"


def text(value):
    value = value.encode() if isinstance(value, str) else value
    return struct.pack("!H", len(value)) + value


def packet(kind, body=b"", flags=0):
    length, head = len(body), bytearray([kind << 4 | flags])
    while True:
        head.append(length & 127 | (128 if length > 127 else 0))
        length >>= 7
        if not length:
            return bytes(head) + body


def connect_packet(client_id, user=None, password=None, keep_alive=120, clean=True, name="MQTT", level=4,
                   will=None):
    flags = (2 if clean else 0) | (0x80 if user is not None else 0) | \
        (0x40 if password is not None else 0) | (0x2c if will else 0)
    body = text(name) + bytes([level, flags]) + struct.pack("!H", keep_alive) + text(client_id)
    if will:
        body += text(will[0]) + text(will[1])
    for part in (user, password):
        if part is not None:
            body += text(part)
    return packet(CONNECT, body)


def publish_packet(topic, payload=b"", qos=0, packet_id=1, dup=False, retain=False):
    body = text(topic) + (struct.pack("!H", packet_id) if qos else b"")
    return packet(PUBLISH, body + payload, qos << 1 | (8 if dup else 0) | (1 if retain else 0))


class Packet:
    def __init__(self, kind, flags, body):
        self.kind, self.flags, self.body = kind, flags, body

    def __repr__(self):
        return f"Packet({self.kind}, {self.flags}, {self.body!r})"


class Message:
    def __init__(self, read):
        assert not read.flags & 9, "nothing is retained, and nothing repeated on one connection"
        (length,) = struct.unpack_from("!H", read.body)
        self.topic = read.body[2:2 + length].decode()
        self.qos = read.flags >> 1 & 3
        rest = read.body[2 + length:]
        self.id = struct.unpack_from("!H", rest)[0] if self.qos else 0
        self.payload = rest[2:] if self.qos else rest

    @property
    def json(self):
        return json.loads(self.payload)


class Client:
    """A connection. What comes in is read when it is waited for; what is not waited for is kept."""

    def __init__(self, address, tls=None):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            context = ssl.create_default_context(cafile=str(tls))
            self.socket = context.wrap_socket(self.socket, server_hostname=host)
        self.bytes = b""
        self.kept = []
        self.last_id = 0

    def close(self):
        self.socket.close()

    def reset(self):
        """Without a goodbye."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def is_open(self):
        """As far as the server has said; what else has come is kept."""
        self.socket.settimeout(0)
        try:
            more = self.socket.recv(65536)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            return False
        finally:
            self.socket.settimeout(PATIENCE)
        self.bytes += more
        return bool(more)

    def send(self, data):
        self.socket.sendall(data)

    # --- reading

    def _next(self, timeout):
        """The next packet; None: the server has closed."""
        deadline = time.monotonic() + timeout
        while True:
            read = self._cut()
            if read:
                return read
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssertionError(f"nothing came within {timeout} s; kept: {self.kept}")
            self.socket.settimeout(left)
            try:
                more = self.socket.recv(65536)
            except socket.timeout:
                continue
            except ConnectionResetError:
                return None
            if not more:
                return None
            self.bytes += more

    def _cut(self):
        length = shift = 0
        for at in range(1, min(len(self.bytes), 5)):
            byte = self.bytes[at]
            length |= (byte & 127) << shift
            shift += 7
            if not byte & 128:
                end = at + 1 + length
                if len(self.bytes) < end:
                    return None
                read = Packet(self.bytes[0] >> 4, self.bytes[0] & 15, self.bytes[at + 1:end])
                self.bytes = self.bytes[end:]
                return read
        return None

    def wait_for(self, kind, timeout=PATIENCE):
        for one in self.kept:
            if one.kind == kind:
                self.kept.remove(one)
                return one
        while True:
            read = self._next(timeout)
            assert read is not None, f"closed while waiting for {kind}; kept: {self.kept}"
            if read.kind == kind:
                return read
            self.kept.append(read)

    def wait_for_close(self, timeout=PATIENCE):
        """What came before the end."""
        while True:
            read = self._next(timeout)
            if read is None:
                return self.kept
            self.kept.append(read)

    # --- the protocol

    def connect(self, *arguments, **how):
        self.send(connect_packet(*arguments, **how))
        return self.wait_for_connack()

    def wait_for_connack(self):
        answer = self.wait_for(CONNACK)
        assert answer.body[0] == 0
        return answer.body[1]

    def new_id(self):
        self.last_id = self.last_id % 65535 + 1
        return self.last_id

    def send_publish(self, topic, payload, qos=1, **how):
        """Returns the packet id."""
        if not isinstance(payload, bytes):
            payload = json.dumps(payload).encode()
        packet_id = self.new_id()
        self.send(publish_packet(topic, payload, qos, packet_id, **how))
        return packet_id

    def publish(self, topic, payload, qos=1, **how):
        packet_id = self.send_publish(topic, payload, qos, **how)
        if qos:
            assert self.wait_for_puback() == packet_id

    def wait_for_puback(self, timeout=PATIENCE):
        return struct.unpack("!H", self.wait_for(PUBACK, timeout).body)[0]

    def subscribe(self, *filters, qos=1):
        """The codes of the SUBACK."""
        packet_id = self.new_id()
        body = b"".join(text(one) + bytes([qos]) for one in filters)
        self.send(packet(SUBSCRIBE, struct.pack("!H", packet_id) + body, 2))
        answer = self.wait_for(SUBACK)
        assert struct.unpack_from("!H", answer.body)[0] == packet_id
        return list(answer.body[2:])

    def unsubscribe(self, *filters):
        packet_id = self.new_id()
        self.send(packet(UNSUBSCRIBE, struct.pack("!H", packet_id) + b"".join(map(text, filters)), 2))
        assert struct.unpack("!H", self.wait_for(UNSUBACK).body)[0] == packet_id

    def ping(self):
        self.send(packet(PINGREQ))
        assert self.wait_for(PINGRESP).body == b""

    def disconnect(self):
        self.send(packet(DISCONNECT))
        self.wait_for_close()
        self.close()

    def wait_for_message(self, acknowledge=True):
        message = Message(self.wait_for(PUBLISH))
        if message.qos and acknowledge:
            self.acknowledge(message)
        return message

    def acknowledge(self, message):
        self.send(packet(PUBACK, struct.pack("!H", message.id)))


class MqttDevice(Client):
    """A registered device's connection, as device-side libraries make it."""

    def __init__(self, device, platform=None, listener="mqtt", tls=None):
        self.device = device
        self.platform = platform or device.platform
        super().__init__(self.platform.address(listener), tls)

    def login(self, timestamp=TIMESTAMP, sign=0, kind=0, **how):
        """The CONNACK's code."""
        name = self.device.node_id if kind == 2 else self.device.id
        how.setdefault("user", name)
        how.setdefault("password", device_password(self.device.secret, timestamp))
        return self.connect(f"{name}_{kind}_{sign}_{timestamp}", **how)

    def topic(self, rest):
        return f"$oc/devices/{self.device.id}/sys/{rest}"

    def report(self, properties, service="Meter", qos=1):
        self.publish(self.topic("properties/report"),
                     {"services": [{"service_id": service, "properties": properties}]}, qos)


def connected(device, platform=None, **how):
    client = MqttDevice(device, platform, **how)
    assert client.login() == ACCEPTED
    return client

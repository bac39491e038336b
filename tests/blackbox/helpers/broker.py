"""A broker for clients that are tested: it does what its test says, and remembers what came."""

import socket
import struct
import threading

from . import mqtt

LONG = 60  # a connection that says nothing for so long has been forgotten


class Connection(mqtt.Client):
    """The broker's side of one."""

    def __init__(self, accepted):  # pylint: disable=super-init-not-called
        self.socket = accepted
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.bytes = b""
        self.kept = []
        self.last_id = 0

    def next(self):
        return self._next(LONG)


class Broker:
    """
    code: of the CONNACKs; None: there are none. on_publish(connection, message, count): what to do with a
    connection's count-th, which is else acknowledged. on_connect(connection), on_subscribe(connection): when
    that is answered.
    """

    def __init__(self, code=mqtt.ACCEPTED, on_publish=None, on_connect=None, on_subscribe=None,
                 answers_pings=True):
        self.code = code
        self.on_publish = on_publish or acknowledge
        self.on_connect = on_connect
        self.on_subscribe = on_subscribe
        self.answers_pings = answers_pings
        self.packets = []  # of all connections, in the order of their coming
        self.connections = 0
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.url = f"mqtt://{self.address}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # accept() would keep it open
        self.listener.close()

    def of_kind(self, kind):
        with self.lock:
            return [packet for packet in self.packets if packet.kind == kind]

    def _accept(self):
        while True:
            try:
                accepted, _ = self.listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._serve, args=(Connection(accepted),), daemon=True).start()

    def _serve(self, connection):
        with self.lock:
            self.connections += 1
        try:
            self._talk(connection)
        except (AssertionError, OSError):
            pass
        connection.close()

    def _talk(self, connection):
        count = 0
        while True:
            packet = connection.next()
            if packet is None:
                return
            with self.lock:
                self.packets.append(packet)
            if packet.kind == mqtt.CONNECT:
                if self.code is not None:
                    connection.send(mqtt.packet(mqtt.CONNACK, bytes([0, self.code])))
                if self.on_connect:
                    self.on_connect(connection)
            elif packet.kind == mqtt.SUBSCRIBE:
                connection.send(mqtt.packet(mqtt.SUBACK, packet.body[:2] + b"\x01"))
                if self.on_subscribe:
                    self.on_subscribe(connection)
            elif packet.kind == mqtt.PUBLISH:
                count += 1
                self.on_publish(connection, mqtt.Message(packet), count)
            elif packet.kind == mqtt.PINGREQ and self.answers_pings:
                connection.send(mqtt.packet(mqtt.PINGRESP))


def acknowledge(connection, message, _count=0):
    connection.send(mqtt.packet(mqtt.PUBACK, struct.pack("!H", message.id)))

"""
A name server of the test's own. The server under test asks those of /etc/resolv.conf, so it runs where
it sees another file of that name: in a mount namespace, where the machine lets us make one.
"""

import functools
import socket
import struct
import subprocess
import threading

TYPES = {1: socket.AF_INET, 28: socket.AF_INET6}  # A and AAAA
NAME_UNKNOWN = 3


@functools.cache
def _unshare():
    """The command that makes a mount namespace, or None where none may be made."""
    for options in (["--mount"], ["--mount", "--map-root-user"]):
        command = ["unshare", *options]
        try:
            if subprocess.run([*command, "true"], capture_output=True).returncode == 0:
                return command
        except OSError:
            return None
    return None


def is_possible():
    return _unshare() is not None


class NameServer:
    """Answers with what `names` has at that moment: a name to its addresses, in this order; they may be
    kept for `life` seconds."""

    def __init__(self, directory):
        self.names = {}
        self.life = 60
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.address = self.sock.getsockname()
        self.resolv_conf = directory / "resolv.conf"
        self.resolv_conf.write_text("nameserver %s:%d\n" % self.address)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    @property
    def wrapper(self):
        """The command that runs another one with this name server."""
        return [*_unshare(), "sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"',
                str(self.resolv_conf)]

    def _serve(self):
        while True:
            query, client = self.sock.recvfrom(4096)
            if not query:  # see close
                return
            self.sock.sendto(self._answer(query), client)

    def _answer(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        question = query[12:at + 5]
        family = TYPES.get(struct.unpack(">H", query[at + 1:at + 3])[0])
        addresses = self.names.get(".".join(labels).lower())
        records = [_record(question[-4:-2], family, address, self.life) for address in addresses or ()
                   if family == (socket.AF_INET6 if ":" in address else socket.AF_INET)]
        code = 0 if addresses else NAME_UNKNOWN
        return query[:2] + struct.pack(">5H", 0x8180 | code, 1, len(records), 0, 0) + question + \
            b"".join(records)

    def close(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller:
            caller.sendto(b"", self.address)
        self.thread.join()
        self.sock.close()


def _record(kind, family, address, life):
    data = socket.inet_pton(family, address)
    # The name is the question's, by a pointer; class IN.
    return b"\xc0\x0c" + kind + struct.pack(">HIH", 1, life, len(data)) + data

"""
A device's connection, played by a test: it writes the session into the device's record, and takes, acknowledges
and answers commands by the script with which the server does the same for devices of its own.
"""

import itertools
import json
import os
import time
import zlib
from pathlib import Path

from .cluster import PARTITIONS
from .redis import RedisClient

SCRIPT = Path(__file__).resolve().parents[3] / "src/store/lua/command.lua"
_numbers = itertools.count(1)


class Link:
    def __init__(self, device, client=None):
        self.device = device
        self.redis = client or RedisClient(device.platform.directory / "data" / "redis.sock")
        self.partition = zlib.crc32(device.id.encode()) % PARTITIONS
        self.session = f"test:{os.getpid()}-{next(_numbers)}"
        self.redis("HSET", self.key("d"), "session", self.session, "status", "ONLINE")

    def close(self):
        self.redis("HDEL", self.key("d"), "session")

    def key(self, kind):
        return f"{{p{self.partition}}}:{kind}:{self.device.id}"

    def _step(self, step, *arguments):
        tag = f"{{p{self.partition}}}"
        keys = [self.key("d"), self.key("cmd"), self.key("cmdo"), self.key("cmdq"), self.key("cmdt"),
                f"{tag}:cmds", f"{tag}:q", f"{tag}:t", f"{tag}:own"]
        return self.redis("EVAL", SCRIPT.read_text(), len(keys), *keys, step, self.device.id,
                          int(time.time() * 1000), *arguments)

    def take(self, acknowledge_ms=60000):
        """The next command as the device would get it, or None."""
        reply = self._step("take", self.session, acknowledge_ms, 0, self.device.gateway_id,
                           f"{self.session}/{next(_numbers)}")
        if not reply:
            return None
        taken = json.loads(reply[4])
        taken["id"] = reply[0].decode()
        return taken

    def acknowledge(self, command_id, answer_ms=60000):
        assert self._step("delivered", command_id, answer_ms) == [b"OK"]

    def answer(self, command_id, body=None, code=0, members=""):
        members = f',"answered":true,"code":{code}{members}'
        assert self._step("answered", command_id, "", "FAILED" if code else "SUCCESSFUL",
                          "" if body is None else json.dumps(body, separators=(",", ":")),
                          members, self.device.id) == [b"OK"]

    def carry_out(self, body=None, code=0):
        """Takes the next one, acknowledges and answers it; its id."""
        taken = self.take()
        self.acknowledge(taken["id"])
        self.answer(taken["id"], body, code)
        return taken["id"]

"""Several instances on one Redis."""

import random
import signal

from .nouns import Application
from .waiting import wait_until

PARTITIONS = 16  # partition.count

# Short leases, so that taking over takes a moment only.
SETTINGS = {
    "partition__lease": "1s",
    "partition__heartbeat": "100ms",
    "cache__life": "200ms",
}


class Cluster:
    """Instances behind something like a load balancer: each new connection goes to any live one."""

    def __init__(self, start_platform, redis, size, **settings):
        self.redis = redis
        self.members = [start_platform(redis=redis, **{**SETTINGS, **settings}) for _ in range(size)]
        self.alive = list(self.members)
        self.frozen = []
        self.wait_until_shared()

    @property
    def device_address(self):
        return random.choice(self.alive).device_address

    # --- who owns what

    def owned(self):
        return [int(one.metric("partitions_owned")) for one in self.alive]

    def wait_until_shared(self):
        """All partitions have an owner, and each live instance has some."""
        wait_until(lambda: sum(self.owned()) == PARTITIONS and min(self.owned()) > 0,
                   "the partitions to be shared out")

    def wait_until_owned(self):
        wait_until(lambda: sum(self.owned()) == PARTITIONS, "an owner of each partition")

    def owner_of(self, partition):
        """The member that owns a partition; None between two owners."""
        response = self.alive[0].admin("GET", "/admin/v1/partitions")
        assert response.status == 200, response
        name = response.json["partitions"][partition]["owner"]
        return next((one for one in self.alive if one.status()["instance"] == name), None)

    def wait_until_acknowledged(self):
        """Nothing is left to be delivered, and Redis knows it."""
        def streams_are_empty():
            client = self.redis.client()
            try:
                return not any(client("XLEN", f"{{p{n}}}:q") for n in range(PARTITIONS))
            finally:
                client.close()
        wait_until(streams_are_empty, "the last acknowledgement")

    def wait_until_leases_are_over(self):
        def nobody_owns_anything():
            client = self.redis.client()
            try:
                return not any(client("EXISTS", f"{{p{n}}}:own") for n in range(PARTITIONS))
            finally:
                client.close()
        wait_until(nobody_owns_anything, "the end of all leases")

    # --- their lives

    def kill(self, *members):
        for member in members:
            self.alive.remove(member)
            member.process.kill()
        for member in members:
            member.wait_for_exit()

    def start(self, member):
        member.start()
        self.alive.append(member)

    def restart(self, member):
        self.alive.remove(member)
        assert member.stop() == 0
        self.start(member)

    def stop(self, *members):
        """All of them at once, cleanly."""
        for member in members:
            self.alive.remove(member)
            member.process.terminate()
        for member in members:
            assert member.wait_for_exit() == 0

    def freeze(self, member):
        self.alive.remove(member)
        self.frozen.append(member)
        member.process.send_signal(signal.SIGSTOP)

    def thaw(self, member):
        member.process.send_signal(signal.SIGCONT)
        self.frozen.remove(member)
        self.alive.append(member)

    def thaw_all(self):
        """Also of a test that failed: what is frozen cannot stop."""
        for member in list(self.frozen):
            self.thaw(member)


def at(application, platform):
    """The same application, spoken to at another instance with its token: a login ends the one before."""
    there = Application(platform, {"appId": application.id, "secret": application.secret,
                                   "name": application.name})
    there._token = application.token
    return there

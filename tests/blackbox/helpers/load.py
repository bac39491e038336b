"""Reports under way while things break."""

import itertools
import threading
import time

from .http import Client
from .ledger import Ledger


class Load:
    """
    Devices that report 0, 1, 2 ... each, over a few client threads. A report that was not
    acknowledged is sent again, as real devices do, until it is. The ledger has what was. With
    reports=None they go on until enough().
    """

    def __init__(self, platform, application, receiver, devices=20, reports=100, threads=4,
                 paths=None, pause=0.0):
        """
        paths: of the receiver, to the notification type that each gets.
        pause: of each thread between two reports, in seconds.
        """
        paths = paths or {"/data": "deviceDataChanged"}
        self.platform = platform
        self.ledger = Ledger(receiver, *paths)
        self.reports = reports
        self.pause = pause
        self.has_enough = threading.Event()
        # Before the first event: other instances learn of a subscription within cache.life only.
        for path, notify_type in paths.items():
            application.subscribe(notify_type, receiver.url(path))
        self.devices = [application.register_device() for _ in range(devices)]
        for device in self.devices:
            device.login()
        self.acknowledged = 0
        self.refusals = set()
        self.faults = []
        self.changed = threading.Condition()
        self.threads = [
            threading.Thread(target=self._run, args=(self.devices[n::threads],), daemon=True)
            for n in range(threads)]

    def start(self):
        for thread in self.threads:
            thread.start()
        return self

    def _run(self, devices):
        try:
            client = None
            for n in itertools.count() if self.reports is None else range(self.reports):
                if self.has_enough.is_set():
                    return
                for device in devices:
                    client = self._report_until_acknowledged(client, device, n)
                    time.sleep(self.pause)
        except Exception as fault:  # told by finish()
            self.faults.append(fault)
            with self.changed:
                self.changed.notify_all()

    def _report_until_acknowledged(self, client, device, n):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if client is None:
                    client = Client(self.platform.device_address, timeout=15)
                response = device.try_report({"n": n}, client=client)
            except (OSError, AssertionError, KeyError, ValueError):
                client = None  # it is being killed, or has just started
                time.sleep(0.02)
                continue
            except Exception:  # half an answer: http.client has many words for it
                client = None
                continue
            if response.status == 200:
                self.ledger.promise(device.id, n)
                with self.changed:
                    self.acknowledged += 1
                    self.changed.notify_all()
                return client
            self.refusals.add((response.status, response.json["error_code"]))
            time.sleep(0.02)
        raise AssertionError("a report was not acknowledged within a minute")

    def enough(self):
        """Each device ends with the report it is at."""
        self.has_enough.set()

    def wait_for_acknowledged(self, count):
        with self.changed:
            assert self.changed.wait_for(lambda: self.acknowledged >= count or self.faults, 60)

    def finish(self):
        for thread in self.threads:
            thread.join(120)
            assert not thread.is_alive()
        assert not self.faults, self.faults
        if self.reports is not None:
            assert self.acknowledged == self.reports * len(self.devices)

    def expect_everything_in_order(self):
        self.ledger.expect_everything_in_order()

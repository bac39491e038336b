"""What devices were promised, held against what a receiver got."""

import threading
from collections import Counter

from .waiting import wait_until


class Ledger:
    """
    Of one receiver, where the reports 0, 1, 2 ... of devices arrive as {"n": 0} and so on. The promise
    is kept per path: each path is one subscription.
    """

    def __init__(self, receiver, *paths):
        self.receiver = receiver
        self.paths = paths or ("/data",)
        self.lock = threading.Lock()
        self.promised = set()

    def promise(self, device_id, n):
        """The device has its 200 for report n."""
        with self.lock:
            self.promised.add((device_id, n))

    # --- what came

    def arrivals(self, path=None):
        """(device id, n, notification id) of each request, in the order of arrival."""
        return [(*told(request), request.notify_id)
                for request in self.receiver.requests(path or self.paths[0])]

    def repeated(self):
        """Notification id to the number of its arrivals, of those that arrived more than once."""
        times = Counter(r.notify_id for path in self.paths for r in self.receiver.requests(path))
        return {name: count for name, count in times.items() if count > 1}

    # --- what must be so

    def wait_until_kept(self, timeout=60):
        """Everything that was promised until now has arrived, at each path."""
        with self.lock:
            missing = {(path, *promise) for path in self.paths for promise in self.promised}
        seen = dict.fromkeys(self.paths, 0)

        def nothing_is_missing():
            for path in self.paths:
                requests = self.receiver.requests(path)
                missing.difference_update((path, *told(r)) for r in requests[seen[path]:])
                seen[path] = len(requests)
            return not missing
        try:
            wait_until(nothing_is_missing, "every acknowledged report", timeout)
        except AssertionError as late:
            raise AssertionError(f"{late}; {len(missing)} are missing: {sorted(missing)[:10]}") from None

    def expect_order(self):
        """
        Per device and path: what arrived for the first time came in the order of its numbers, and of
        its place in the stream (a report that was stored but not answered is in there twice).
        """
        for path in self.paths:
            numbers, places = {}, {}
            for device, n, name in self.arrivals(path):
                numbers.setdefault(device, {}).setdefault(n)  # a dict keeps the first ones' order
                places.setdefault(device, {}).setdefault(place_in_stream(name))
            for device, found in [*numbers.items(), *places.items()]:
                assert list(found) == sorted(found), f"{path}, device {device}: {list(found)}"

    def expect_no_repetition(self):
        repeated = self.repeated()
        assert not repeated, repeated

    def expect_repetitions_of_faults_only(self, faults):
        """A fault can make a delivery be repeated once: nobody else repeats what was answered 2xx."""
        repeated = self.repeated()
        assert all(count <= 1 + faults for count in repeated.values()), repeated

    def expect_everything_in_order(self):
        self.wait_until_kept()
        self.expect_order()


def told(request):
    """Device and number, of the bodies with one service and of those with a list."""
    body = request.json
    service = body["service"] if "service" in body else body["services"][0]
    return body["deviceId"], service["data"]["n"]


def place_in_stream(notify_id):
    """Of "<partition>-<milliseconds>-<sequence number>[.<part>]-<subscription>"."""
    _, milliseconds, sequence, _ = notify_id.split("-")
    return int(milliseconds), int(sequence.partition(".")[0])

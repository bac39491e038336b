"""iotpushctl device watch: the events of one device as they are stored; and the admin API below it."""

import json
import signal
import subprocess
import threading
import zlib

import pytest

from helpers.cluster import PARTITIONS, at
from helpers.mqtt import connected
from helpers.platform import CTL, clean_environment
from helpers.waiting import wait_until
from test_commands import meter_of
from test_mqtt_commands import answer as answer_command, next_command
from test_mqtt_downlink import answer as answer_desired, wait_for_set
from test_shadow import write


class Watcher:
    """A running iotpushctl; it watches as soon as it has said so."""

    def __init__(self, platform, device, *options):
        self.process = subprocess.Popen(
            [str(CTL), "-s", str(platform.admin_socket), "--json", "device", "watch", device.id, *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=clean_environment(), cwd=platform.directory)
        self.lines, self.remarks = [], []
        self.readers = [threading.Thread(target=lambda s=stream, o=out: [o.append(line) for line in s])
                        for stream, out in ((self.process.stdout, self.lines),
                                            (self.process.stderr, self.remarks))]
        for reader in self.readers:
            reader.start()
        self.wait_for_remark("watching")

    @property
    def events(self):
        return [json.loads(line) for line in list(self.lines)]

    def kinds(self):
        return [event["kind"] for event in self.events]

    def wait_for_kinds(self, *kinds):
        wait_until(lambda: self.kinds() == list(kinds), f"{kinds}")
        return self.events

    def reported(self):
        """The numbers that the device has reported."""
        return [event["facts"]["services"][0]["data"]["n"] for event in self.events
                if event["kind"] == "property.reported"]

    def wait_for_remark(self, text):
        wait_until(lambda: any(text in line for line in list(self.remarks)), f"the remark {text!r}")

    def wait_for_exit(self):
        code = self.process.wait(20)
        for reader in self.readers:
            reader.join()
        return code

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.wait_for_exit()


@pytest.fixture
def watch():
    mine = []

    def start(platform, device, *options):
        mine.append(Watcher(platform, device, *options))
        return mine[-1]
    yield start
    for one in mine:
        one.end()


def ctl(platform, *arguments, code=0):
    done = platform.ctl(*arguments)
    assert done.returncode == code, done
    return done


def begin(platform, device):
    response = platform.admin("POST", f"/admin/v1/devices/{device.id}/watches")
    assert response.status == 201, response
    return response.json["watch"]


def news(platform, watch_id, wait=10):
    response = platform.admin("GET", f"/admin/v1/watches/{watch_id}?wait={wait}")
    assert response.status == 200, response
    return response.json


def wait_for_events(platform, watch_id, count):
    """The answers, until they have told of so many events."""
    answers = []
    wait_until(lambda: answers.append(news(platform, watch_id)) or
               sum(len(a["events"]) + a["dropped"] for a in answers) >= count, f"{count} events")
    return answers


# --- what is seen


def test_reports_and_changes_of_a_device_over_https(platform, application, device, watch):
    other = application.register_device()
    device.report({"n": 0})  # before
    watcher = watch(platform, device)
    other.report({"n": 9})
    device.report({"n": 1})
    device.modify(name="hall")
    device.try_message({"hello": True})
    device.delete()
    events = watcher.wait_for_kinds("property.reported", "device.updated", "message.reported",
                                    "device.deleted")
    assert events[0]["facts"]["services"][0]["data"] == {"n": 1}
    assert events[1]["facts"]["info"]["name"] == "hall"
    assert {(e["device"], e["application"], e["gateway"]) for e in events} == \
        {(device.id, application.id, device.id)}
    assert [e["time"] for e in events] == sorted(e["time"] for e in events)
    assert len({e["event"] for e in events}) == 4


def test_the_first_report_activates_a_device_and_makes_it_online(platform, application, watch):
    device = application.register_device()
    watcher = watch(platform, device)
    device.report({"n": 1})
    wait_until(lambda: "property.reported" in watcher.kinds(), "the report")
    assert {"device.bound", "device.status"} < set(watcher.kinds())


def test_presence_desired_values_and_commands_over_mqtt(platform, application, watch):
    meter = meter_of(application)
    watcher = watch(platform, meter)
    client = connected(meter)
    wait_until(lambda: "device.status" in watcher.kinds(), "the device online")
    before = len(watcher.events)

    write(meter, Valve={"position": 75})
    answer_desired(client, wait_for_set(client)[0])
    wait_until(lambda: watcher.kinds()[before:] == ["desired.sent", "desired.status"], "the desired value")
    sent, answered = watcher.events[before:]
    assert sent["facts"] == {"service": "Valve", "properties": {"position": 75}}
    assert answered["facts"] == {**sent["facts"], "status": "DELIVERED"}

    made = application.command(meter)
    answer_command(client, next_command(client)[0], result_code=0, paras={"result": 1})
    states = wait_until(lambda: (s := [e["facts"]["status"] for e in watcher.events
                                       if e["kind"] == "command.status"]) and s[-1] == "SUCCESSFUL" and s,
                        "the command's end")
    assert states[-2:] == ["DELIVERED", "SUCCESSFUL"]
    assert watcher.events[-1]["facts"]["id"] == made["commandId"]

    client.disconnect()
    wait_until(lambda: watcher.kinds()[-1] == "device.status", "the device offline")
    assert watcher.events[-1]["facts"]["info"]["status"] == "OFFLINE"


def test_desired_values_are_events_only_while_somebody_watches(start_platform):
    platform = start_platform()
    meter = meter_of(platform.application())
    client = connected(meter)
    write(meter, Valve={"position": 75})
    answer_desired(client, wait_for_set(client)[0])
    platform.wait_for_metric("events_total", 1, kind="desired.status")
    assert platform.metric("events_total", kind="desired.sent") == 0


def test_a_watcher_and_a_subscriber_both_get_an_event_and_two_watchers_too(platform, application, device,
                                                                         receiver, watch):
    application.subscribe("deviceDataChanged", receiver.url("/data"))
    watchers = [watch(platform, device), watch(platform, device)]
    device.report({"n": 1})
    receiver.wait_for_one("/data")
    for watcher in watchers:
        wait_until(lambda: watcher.reported() == [1], "the report")


def test_what_is_tried_again_for_a_subscriber_is_no_news(start_platform, receiver, watch):
    platform = start_platform()
    application = platform.application()
    device = application.register_device()
    application.subscribe("deviceDataChanged", receiver.url("/data"))
    receiver.answers(400, 400, 400)
    watcher = watch(platform, device)
    device.report({"n": 1})
    wait_until(lambda: platform.ctl("deadletter", "replay", "--all").stdout.startswith("1 "), "the replay")
    receiver.wait_for(4)
    device.report({"n": 2})
    wait_until(lambda: watcher.reported()[-1:] == [2], "the report")
    assert watcher.reported() == [1, 2]


def test_lines_for_people(platform, application, device):
    device.report({"n": 0})
    watch_id = begin(platform, device)
    asked = subprocess.Popen([str(CTL), "-s", str(platform.admin_socket), "device", "watch", device.id,
                              "--count", "2"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert "watching" in asked.stderr.readline()
    device.report({"n": 1, "text": "two words"}, service="Flow")
    device.modify(name="x\u009b1m")
    out, _ = asked.communicate(timeout=20)
    first, second = out.splitlines()
    day, time, rest = first.split(maxsplit=2)
    assert (len(day), len(time)) == (10, 12)
    assert rest == 'property.reported  Flow n=1 text="two words"'
    assert second.split(maxsplit=2)[2] == f"device.updated     name=x?1m nodeId={device.node_id}"
    assert asked.returncode == 0
    assert platform.admin("DELETE", f"/admin/v1/watches/{watch_id}").status == 204


# --- its end, and its limits


def test_a_device_that_does_not_exist_is_refused(platform):
    for name in ("nobody", "../x", "x" * 200):
        done = ctl(platform, "device", "watch", name, code=1)
        assert "no such device" in done.stderr and not done.stdout


def test_a_count_or_a_time_ends_it(platform, device):
    device.report({"n": 0})
    done = ctl(platform, "--json", "device", "watch", device.id, "--count", "1", "--timeout", "1", code=1)
    assert "0 of 1 events" in done.stderr
    ctl(platform, "device", "watch", device.id, "--timeout", "1")
    for wrong in (["--count", "0"], ["--count", "x"], ["--timeout", "0"]):
        assert wrong[0] in ctl(platform, "device", "watch", device.id, *wrong, code=2).stderr


def test_ctrl_c_ends_the_watch_at_once(start_platform, start_redis, watch):
    redis = start_redis()
    platform = start_platform(redis=redis, watch__life="1h")
    device = platform.application().register_device()
    watcher = watch(platform, device)
    assert platform.metric("watches") == 1
    assert watcher.end() == 0
    wait_until(lambda: platform.metric("watches") == 0, "the end of the watch")
    client = redis.client()
    wait_until(lambda: not client("KEYS", "{p*}:w*"), "its end in Redis")
    client.close()


def test_a_watch_whose_ctl_was_killed_ends_and_makes_room(start_platform, start_redis, watch):
    redis = start_redis()
    platform = start_platform(redis=redis, watch__life="1s", watch__max_open="1")
    device = platform.application().register_device()
    watcher = watch(platform, device)
    done = ctl(platform, "device", "watch", device.id, code=1)
    assert "watch.max_open" in done.stderr
    watcher.process.kill()
    wait_until(lambda: platform.metric("watches") == 0, "the end of the watch", 30)
    client = redis.client()
    wait_until(lambda: not client("KEYS", "{p*}:w*"), "its end in Redis")
    client.close()
    device.report({"n": 1})  # nobody is there to have a copy
    again = watch(platform, device)
    device.report({"n": 2})
    wait_until(lambda: again.reported() == [2], "the report")


def test_no_watches_at_all(start_platform):
    platform = start_platform(watch__max_open="0")
    device = platform.application().register_device()
    assert platform.admin("POST", f"/admin/v1/devices/{device.id}/watches").status == 429


def test_what_comes_too_fast_is_dropped_and_counted(start_platform):
    platform = start_platform(watch__events="3")
    device = platform.application().register_device()
    device.report({"n": 0})
    watch_id = begin(platform, device)
    for n in range(1, 8):
        device.report({"n": n})
    platform.wait_for_metric("watch_events_total", 7, result="copied")
    answer = news(platform, watch_id)
    assert answer["dropped"] == 4
    assert [e["facts"]["services"][0]["data"]["n"] for e in answer["events"]] == [5, 6, 7]
    assert platform.metric("watch_events_total", result="dropped") == 4
    device.report({"n": 8})
    answer = news(platform, watch_id)
    assert (answer["dropped"], len(answer["events"])) == (0, 1)
    assert platform.metric("watch_events_total", result="shown") == 4


def test_large_events_leave_room_for_few(start_platform):
    platform = start_platform(watch__bytes="8k")
    device = platform.application().register_device()
    device.report({"n": 0})
    watch_id = begin(platform, device)
    for n in range(10):
        device.report({"text": "x" * 3000, "n": n})
    platform.wait_for_metric("watch_events_total", 10, result="copied")
    answer = news(platform, watch_id)
    assert (answer["dropped"], len(answer["events"])) == (8, 2)


def test_many_events_are_shown_in_their_order(platform, device):
    device.report({"n": 0})
    watch_id = begin(platform, device)
    for n in range(250):
        device.report({"n": n})
    events = [e for a in wait_for_events(platform, watch_id, 250) for e in a["events"]]
    assert [e["facts"]["services"][0]["data"]["n"] for e in events] == list(range(250))


def test_one_waits_for_a_watch_and_nobody_for_one_that_has_ended(platform, device):
    watch_id = begin(platform, device)
    waiting = threading.Thread(target=lambda: statuses.append(
        platform.admin("GET", f"/admin/v1/watches/{watch_id}?wait=60").status))
    statuses = []
    waiting.start()
    platform.wait_for_metric("http_requests_in_flight", 2)  # that of the metrics is one
    assert platform.admin("GET", f"/admin/v1/watches/{watch_id}").status == 409
    assert platform.admin("DELETE", f"/admin/v1/watches/{watch_id}").status == 204
    waiting.join()
    assert statuses == [404]
    for method in ("GET", "DELETE"):
        assert platform.admin(method, f"/admin/v1/watches/{watch_id}").status == 404
    for wait in ("x", "61", "-1"):
        assert platform.admin("GET", f"/admin/v1/watches/{watch_id}?wait={wait}").status == 400


def test_a_server_that_stops_ends_its_watches(start_platform, watch):
    platform = start_platform()
    watcher = watch(platform, platform.application().register_device())
    assert platform.stop() == 0
    assert watcher.wait_for_exit() in (1, 3)


# --- several instances, and trouble


def placed(cluster, application):
    """A device, who owns its partition, and another member."""
    device = application.register_device()
    owner = cluster.owner_of(zlib.crc32(device.id.encode()) % PARTITIONS)
    return device, owner, next(one for one in cluster.alive if one is not owner)


def test_it_does_not_matter_who_owns_the_partition(cluster, watch):
    both = cluster()
    application = both.members[0].application()
    device, owner, other = placed(both, application)
    watchers = [watch(owner, device), watch(other, device)]
    client = connected(device, owner)
    client.report({"n": 1})
    for watcher in watchers:
        wait_until(lambda: watcher.reported() == [1], "the report")
    assert owner.metric("watch_events_total", result="copied") > 0
    assert other.metric("watch_events_total", result="copied") == 0


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_a_change_of_the_owner_loses_nothing(cluster, watch, how):
    both = cluster()
    device, owner, other = placed(both, both.members[0].application())
    client = connected(device, other)
    watcher = watch(other, device)
    for n in range(50):
        client.report({"n": n})
        if n == 20 and how == "killed":
            both.kill(owner)
        elif n == 20:
            both.alive.remove(owner)
            assert owner.stop() == 0
    wait_until(lambda: len(watcher.reported()) >= 50, "all reports", 30)
    assert watcher.reported() == list(range(50))
    if how == "killed":
        both.start(owner)
        both.wait_until_shared()
        client.report({"n": 50})
        wait_until(lambda: watcher.reported() == list(range(51)), "a report after its return")


def test_a_restart_of_redis_is_survived(start_redis, start_platform, watch):
    redis = start_redis()
    platform = start_platform(redis=redis)
    device = platform.application().register_device()
    device.report({"n": 0})
    watcher = watch(platform, device)
    device.report({"n": 1})
    wait_until(lambda: watcher.reported() == [1], "the report")
    redis.stop()
    watcher.wait_for_remark("Redis does not answer")
    redis.start()
    platform.wait_until_ready()
    watcher.wait_for_remark("it goes on")
    device.report({"n": 2})
    wait_until(lambda: watcher.reported() == [1, 2], "the report")
    assert "dropped" not in watcher.kinds()


def test_a_watch_that_redis_has_lost_is_begun_again_and_says_so(start_redis, start_platform, watch):
    redis = start_redis()
    platform = start_platform(redis=redis)
    device = platform.application().register_device()
    device.report({"n": 0})
    watcher = watch(platform, device)
    client = redis.client()
    name, = client("KEYS", "{p*}:w:*")
    client("DEL", name)
    watcher.wait_for_remark("events are missing")
    device.report({"n": 2})
    wait_until(lambda: watcher.reported() == [2], "the report")
    client("FLUSHALL")
    client.close()
    assert watcher.wait_for_exit() == 1
    assert "no such device" in watcher.remarks[-1]


def test_a_pause_of_all_deliveries_is_told_and_ends(start_platform, watch):
    platform = start_platform()
    device = platform.application().register_device()
    device.report({"n": 0})
    assert platform.admin("POST", "/admin/v1/delivery/pause").status == 204
    platform.wait_for_log("deliveries=paused")
    watcher = watch(platform, device)
    watcher.wait_for_remark("paused")
    device.report({"n": 1})
    assert platform.admin("POST", "/admin/v1/delivery/resume").status == 204
    wait_until(lambda: watcher.reported() == [1], "the report")


def test_a_partition_without_an_owner_is_told(start_redis, start_platform, watch):
    redis = start_redis()
    platform = start_platform(redis=redis, partition__heartbeat="1m", partition__lease="10m")
    device = platform.application().register_device()
    watcher = watch(platform, device)
    client = redis.client()
    for number in range(PARTITIONS):  # claimed by another one, which has given it back
        client("INCR", f"{{p{number}}}:epoch")
        client("DEL", f"{{p{number}}}:own")
    client.close()
    watcher.wait_for_remark("nobody owns")

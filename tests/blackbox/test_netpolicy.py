"""
Where callbacks may lie. What a subscription may say is in test_subscriptions; here are deliveries: each
connection is judged by the address it goes to, whatever the name was, and whatever was allowed when
the subscription was made.
"""

import socket

import pytest

from helpers.dns import NameServer, is_possible
from helpers.errors import CALLBACK_ILLEGAL, expect_refusal
from helpers.http import request
from helpers.receiver import Answer
from helpers.waiting import wait_until

NOT_ALLOWED = r'WARN push url=.*state=invalid.*reason="?address not allowed'


def has_ipv6():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")


# --- what changes after the subscription


@pytest.mark.parametrize("settings", [
    {"push__allow_networks": ""},
    {"push__allow_networks": "private, linklocal, multicast"},
    {"push__deny_networks": "127.0.0.0/8"},
    {"push__allow_networks": "any", "push__deny_networks": "loopback"}],
    ids=["nothing allowed", "others allowed", "denied", "denied of any"])
def test_a_callback_that_is_no_longer_allowed_gets_nothing(start_redis, start_platform, receiver,
                                                           settings):
    redis = start_redis()
    before = start_platform(redis=redis)
    application = before.application()
    application.subscribe("deviceDataChanged", receiver.url("/data"))
    device = application.register_device()
    device.login()
    assert before.stop() == 0
    after = start_platform(redis=redis, push__fail_limit="1", **settings)
    device.platform = after
    device.report({"n": 1})
    after.wait_for_log(NOT_ALLOWED)
    assert receiver.connections == 0
    assert after.metric("push_requests_total", result="fail") >= 1


def test_a_callback_that_becomes_allowed_gets_what_waited(start_redis, start_platform, receiver):
    redis = start_redis()
    before = start_platform(redis=redis)
    application = before.application()
    application.subscribe("deviceDataChanged", receiver.url("/data"))
    device = application.register_device()
    device.login()
    before.stop()
    strict = start_platform(redis=redis, push__fail_limit="1", push__allow_networks="")
    device.platform = strict
    device.report({"n": 1})
    strict.wait_for_log(NOT_ALLOWED)
    assert strict.stop() == 0
    start_platform(redis=redis)
    assert receiver.wait_for_one("/data").json["service"]["data"] == {"n": 1}


# --- addresses


@needs_ipv6
def test_a_callback_over_ipv6_is_served_when_allowed(platform, application, start_receiver, device):
    receiver = start_receiver(host="::1")
    application.subscribe("deviceDataChanged", receiver.url("/data"))
    device.report({"n": 1})
    arrived = receiver.wait_for_one("/data")
    assert arrived.headers["Host"] == f"[::1]:{receiver.port}"


def test_ipv4_inside_ipv6_is_judged_as_ipv4(start_platform):
    application = start_platform(push__allow_networks="::/0").application()
    for host in ("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:10.0.0.1]", "[64:ff9b::a9fe:a9fe]"):
        expect_refusal(application.try_subscribe("deviceAdded", f"http://{host}:9/x"),
                       CALLBACK_ILLEGAL)


@pytest.mark.parametrize("host", [
    "2130706433", "0x7f000001", "017700000001", "127.1", "127.0.1", "0x7f.1", "0x7f.0.0.1",
    "0177.0.0.1", "127.0.0.01", "127.0.0.1.", "0", "0x0", "0.0.0.0x0", "1.2.3.4.5", "[::1%25lo]"])
def test_hosts_that_are_numbers_in_disguise_are_refused(application, host):
    """Also where loopback is allowed: nobody means well who writes it so."""
    expect_refusal(application.try_subscribe("deviceAdded", f"http://{host}:9/x"), CALLBACK_ILLEGAL)


# --- the server's own listeners


def listeners_of(platform):
    return {one["name"]: one["address"] for one in platform.status()["listeners"]
            if not one["address"].startswith("unix:")}


@pytest.fixture
def listening_everywhere(start_platform, authority, workdir):
    def start(address, **settings):
        (workdir / "token").write_text("token of the administrator\n")
        certificate = authority.issue("own")
        listen = {name: address for name in (
            "api__listen_http", "api__listen_https", "device__listen_http", "device__listen_https",
            "device__listen_mqtt", "device__listen_mqtts", "admin__listen_http",
            "metrics__listen_http")}
        # The admin listener takes loopback addresses only.
        listen["admin__listen_http"] = "127.0.0.1:0"
        return start_platform(push__allow_networks="any", api__tls_certificate=certificate.file,
                              api__tls_key=certificate.key, admin__token_file=workdir / "token",
                              **listen, **settings)
    return start


def test_none_of_the_own_listeners_is_called_back_whatever_is_allowed(listening_everywhere):
    platform = listening_everywhere("127.0.0.1:0")
    application = platform.application()
    listeners = listeners_of(platform)
    assert len(listeners) == 8
    for name, address in listeners.items():
        for scheme in ("http", "https"):
            expect_refusal(application.try_subscribe("deviceAdded", f"{scheme}://{address}/x"),
                           CALLBACK_ILLEGAL)
    application.subscribe("deviceAdded", "http://127.0.0.1:9/x")  # it is the port that matters


def test_a_listener_on_all_addresses_is_an_own_one_at_each_of_them(listening_everywhere):
    platform = listening_everywhere("0.0.0.0:0")
    application = platform.application()
    for name, address in listeners_of(platform).items():
        port = address.rpartition(":")[2]
        hosts = ["127.0.0.1", "[::ffff:127.0.0.1]"]
        if name != "admin-http":
            hosts += ["127.9.8.7", "0.0.0.0", *own_addresses()]
        for host in hosts:
            expect_refusal(application.try_subscribe("deviceAdded", f"http://{host}:{port}/x"),
                           CALLBACK_ILLEGAL)


def own_addresses():
    """Of this machine towards the world, if it has any; no packet is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return [probe.getsockname()[0]]
        except OSError:
            return []


# --- names


@pytest.fixture
def names(workdir):
    if not is_possible():
        pytest.skip("no mount namespace can be made here (unshare --mount)")
    server = NameServer(workdir)
    yield server
    server.close()


@pytest.fixture
def start_with_names(names, start_platform):
    return lambda **settings: start_platform(wrapper=names.wrapper, **settings)


def test_a_name_is_resolved(start_with_names, names, receiver):
    names.names["app.example.test"] = [receiver.host]
    application = start_with_names().application()
    application.subscribe("deviceDataChanged", receiver.url("/data", host="app.example.test"))
    application.register_device().report({"n": 1})
    assert receiver.wait_for_one("/data").headers["Host"] == f"app.example.test:{receiver.port}"


def test_a_name_that_moves_is_followed_when_its_life_is_over(start_with_names, names, start_receiver):
    before = start_receiver()
    after = start_receiver(port=before.port)
    before.answers(then=Answer(closes=True))  # so that each push connects
    names.names["app.example.test"] = [before.host]
    names.life = 1
    application = start_with_names().application()
    application.subscribe("deviceDataChanged", before.url("/data", host="app.example.test"))
    device = application.register_device()
    device.report({"n": 1})
    before.wait_for_one("/data")
    names.names["app.example.test"] = [after.host]

    def arrives():
        device.report({"n": 2})
        return after.requests("/data")
    wait_until(arrives, "a push to the new address")


@pytest.mark.parametrize("address", ["169.254.169.254", "10.1.2.3", "100.64.0.1", "0.0.0.0",
                                     "::1", "fe80::1", "fd00::1", "::ffff:10.1.2.3"])
def test_a_public_name_with_a_private_address_is_refused(start_with_names, names, address):
    names.names["app.example.test"] = [address]
    platform = start_with_names(push__fail_limit="1", push__allow_networks="")
    application = platform.application()
    application.subscribe("deviceDataChanged", "http://app.example.test:9/data")
    application.register_device().report({"n": 1})
    platform.wait_for_log(NOT_ALLOWED)


@pytest.mark.parametrize("order", [1, -1], ids=["bad one first", "good one first"])
def test_of_a_name_with_a_good_and_a_bad_address_the_good_one_is_used(start_with_names, names,
                                                                      start_receiver, order):
    good = start_receiver()
    bad = start_receiver(port=good.port)
    names.names["app.example.test"] = [bad.host, good.host][::order]
    application = start_with_names(push__deny_networks=bad.host).application()
    application.subscribe("deviceDataChanged", good.url("/data", host="app.example.test"))
    for _ in range(5):
        application.register_device().report({"n": 1})
    good.wait_for(5, "/data")
    assert bad.connections == 0


@needs_ipv6
def test_of_a_name_with_both_families_the_allowed_one_is_used(start_with_names, names, start_receiver):
    good = start_receiver(host="::1")
    bad = start_receiver(port=good.port)
    names.names["app.example.test"] = [bad.host, "::1"]
    application = start_with_names(push__allow_networks="::1").application()
    application.subscribe("deviceDataChanged", good.url("/data", host="app.example.test"))
    application.register_device().report({"n": 1})
    good.wait_for_one("/data")
    assert bad.connections == 0


def test_a_name_that_moves_to_a_forbidden_address_is_followed_no_further(start_with_names, names,
                                                                         start_receiver):
    """The check at the subscription, or at the first connection, is not enough."""
    good = start_receiver()
    good.answers(then=Answer(200, closes=True))  # so that each push connects anew
    bad = start_receiver(port=good.port)
    names.names["app.example.test"] = [good.host]
    platform = start_with_names(push__deny_networks=bad.host, push__fail_limit="1")
    application = platform.application()
    application.subscribe("deviceDataChanged", good.url("/data", host="app.example.test"))
    device = application.register_device()
    device.report({"n": 1})
    good.wait_for_one("/data")
    names.names["app.example.test"] = [bad.host]
    platform.reload()  # the cache of names is emptied
    platform.wait_for_log("reload state=done")
    device.report({"n": 2})
    platform.wait_for_log(NOT_ALLOWED)
    assert bad.connections == 0


def test_a_name_of_an_own_listener_is_refused(start_with_names, names):
    names.names["app.example.test"] = ["127.0.0.1"]
    platform = start_with_names(push__fail_limit="1", push__allow_networks="any",
                                metrics__listen_http="127.0.0.1:0")
    port = platform.address("metrics").rpartition(":")[2]
    application = platform.application()
    application.subscribe("deviceDataChanged", f"http://app.example.test:{port}/data")
    application.register_device().report({"n": 1})
    platform.wait_for_log(NOT_ALLOWED)
    assert platform.metric("http_requests_total", listener="metrics") == 0


def test_a_name_that_is_unknown_is_a_failure_with_its_reason(start_with_names, names):
    platform = start_with_names(push__fail_limit="1")
    application = platform.application()
    application.subscribe("deviceDataChanged", "http://unknown.example.test:9/data")
    application.register_device().report({"n": 1})
    platform.wait_for_log(r"WARN push url=http://unknown.example.test:9/data state=invalid.*name not found")


# --- redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_an_own_listener_reaches_nobody(start_platform, receiver, status):
    """Nor does one to anywhere else: test_delivery has those."""
    platform = start_platform(metrics__listen_http="127.0.0.1:0")
    address = platform.address("metrics")
    receiver.answers(then=Answer(status, {"Location": f"http://{address}/metrics"}))
    application = platform.application()
    application.subscribe("deviceDataChanged", receiver.url("/data"))
    application.register_device().report({"n": 1})
    platform.wait_for_metric("dropped_total", 1, reason="refused")
    assert platform.metric("http_requests_total", listener="metrics") == 0
    assert request(address, "GET", "/healthz").status == 200  # it would have been counted
    platform.wait_for_metric("http_requests_total", 1, listener="metrics")

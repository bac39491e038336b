"""Callbacks over HTTPS: whose certificates are trusted, and what is said of the others."""

import ssl

import pytest

from helpers.certificates import Authority


@pytest.fixture
def trusting(start_platform, authority):
    """A server whose callbacks are verified against the test CA."""
    return start_platform(push__ca_file=authority.file, push__probe_interval="100ms",
                          push__timeout="1s", push__connect_timeout="1s")


def report_to(platform, url):
    application = platform.application()
    application.subscribe("deviceDataChanged", url)
    device = application.register_device()
    device.report({"n": 0})
    return device


def test_a_callback_with_a_good_certificate_is_served_over_one_connection(trusting, start_receiver,
                                                                          authority):
    tls = authority.issue("good").server_context()
    receiver = start_receiver(tls=tls, host="127.0.0.1")
    device = report_to(trusting, receiver.url("/data"))
    for n in range(5):
        device.report({"n": n + 1})
        receiver.wait_for(n + 2)
    assert [r.json["service"]["data"]["n"] for r in receiver.requests()] == [0, 1, 2, 3, 4, 5]
    assert receiver.connections == 1
    assert trusting.metric("push_requests_total", result="fail") == 0


def test_a_name_is_verified_too(trusting, start_receiver, authority):
    tls = authority.issue("named", hosts=["DNS:localhost"]).server_context()
    receiver = start_receiver(tls=tls, host="127.0.0.1")
    report_to(trusting, receiver.url("/data", host="localhost"))
    request = receiver.wait_for_one("/data")
    assert request.headers["Host"] == f"localhost:{receiver.port}"


def expect_no_push(platform, receiver, device, reason):
    platform.wait_for_metric("push_requests_total", 10, result="fail")
    device.report({"n": 1})
    platform.wait_for_log(reason)
    assert receiver.requests() == []
    assert receiver.connections >= 10


def test_a_certificate_of_another_authority_is_refused(trusting, start_receiver, workdir):
    tls = Authority(workdir, "stranger").issue("stranger-server").server_context()
    receiver = start_receiver(tls=tls, host="127.0.0.1")
    device = report_to(trusting, receiver.url("/data"))
    expect_no_push(trusting, receiver, device, "unable to get local issuer certificate")


@pytest.mark.parametrize("hosts, url_host", [(["DNS:other.test"], "127.0.0.1"),
                                             (["IP:127.0.0.2"], "127.0.0.1"),
                                             (["IP:127.0.0.1", "DNS:other.test"], "localhost")])
def test_a_certificate_for_another_name_is_refused(trusting, start_receiver, authority, hosts, url_host):
    tls = authority.issue("misnamed", hosts=hosts).server_context()
    receiver = start_receiver(tls=tls, host="127.0.0.1")
    device = report_to(trusting, receiver.url("/data", host=url_host))
    expect_no_push(trusting, receiver, device, "(?i)mismatch")


def test_an_expired_certificate_is_refused(trusting, start_receiver, authority):
    tls = authority.issue("expired", days=-1).server_context()
    receiver = start_receiver(tls=tls, host="127.0.0.1")
    device = report_to(trusting, receiver.url("/data"))
    expect_no_push(trusting, receiver, device, "(?i)expired")


def test_without_a_ca_file_the_test_authority_is_a_stranger(start_platform, start_receiver, authority):
    platform = start_platform(push__probe_interval="100ms")
    tls = authority.issue("unknown").server_context()
    receiver = start_receiver(tls=tls, host="127.0.0.1")
    device = report_to(platform, receiver.url("/data"))
    expect_no_push(platform, receiver, device, "unable to get local issuer certificate")


def test_without_a_ca_file_the_systems_authorities_count(start_platform, start_receiver, authority):
    # SSL_CERT_FILE names the file of the system's CAs to OpenSSL.
    platform = start_platform(wrapper=["env", f"SSL_CERT_FILE={authority.file}"])
    receiver = start_receiver(tls=authority.issue("public").server_context(), host="127.0.0.1")
    report_to(platform, receiver.url("/data"))
    assert receiver.wait_for_one("/data").json["service"]["data"] == {"n": 0}


@pytest.mark.parametrize("oldest, is_served", [("1.2", True), ("1.3", False)])
def test_older_versions_of_tls_than_the_setting_says_are_refused(start_platform, start_receiver, authority,
                                                                 oldest, is_served):
    platform = start_platform(push__ca_file=authority.file, push__tls_min_version=oldest)
    tls = authority.issue("old").server_context()
    tls.maximum_version = ssl.TLSVersion.TLSv1_2
    receiver = start_receiver(tls=tls, host="127.0.0.1")
    device = report_to(platform, receiver.url("/data"))
    if is_served:
        receiver.wait_for_one("/data")
    else:
        expect_no_push(platform, receiver, device, "handshake: ")


def test_an_https_callback_that_speaks_plain_http_fails(trusting, receiver):
    report_to(trusting, receiver.url("/data").replace("http:", "https:"))
    trusting.wait_for_metric("push_requests_total", 2, result="fail")
    assert receiver.requests() == []


def test_a_repaired_certificate_brings_the_callback_back(trusting, start_receiver, authority):
    tls = authority.issue("to-repair", hosts=["DNS:other.test"]).server_context()
    receiver = start_receiver(tls=tls, host="127.0.0.1")
    report_to(trusting, receiver.url("/data"))
    trusting.wait_for_log("state=invalid")
    receiver.tls = authority.issue("repaired").server_context()
    assert receiver.wait_for_one("/data").json["service"]["data"] == {"n": 0}


def test_an_attempt_ends_at_its_timeout_however_long_connecting_may_take(start_platform, receiver):
    platform = start_platform(push__timeout="200ms", push__connect_timeout="1h")
    receiver.never_reads()  # so the handshake never ends
    report_to(platform, f"https://{receiver.host}:{receiver.port}/data")
    receiver.wait_for_connections(3)
    assert platform.metric("push_requests_total", result="fail") >= 2

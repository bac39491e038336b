"""Listeners over TLS: versions, client certificates, and certificates that are replaced."""

import shutil
import ssl
import warnings

import pytest

from helpers.errors import REPORT_TOO_LARGE, expect_refusal
from helpers.http import RawConnection, request
from helpers.nouns import LOGIN, device_password
from helpers.waiting import wait_until


@pytest.fixture
def start_tls_platform(start_platform, authority):
    def start(certificate=None, **settings):
        certificate = certificate or authority.issue("server")
        return start_platform(api__listen_https="127.0.0.1:0", device__listen_https="127.0.0.1:0",
                              api__tls_certificate=certificate.file, api__tls_key=certificate.key,
                              **settings)
    return start


def ask(address, context):
    return request(address, "POST", LOGIN, "appId=x&secret=y", tls=context)


def test_a_device_reports_over_https_and_the_application_asks_over_https(start_tls_platform, authority,
                                                                         receiver):
    platform = start_tls_platform()
    context = authority.client_context()
    application = platform.application()
    application.subscribe("deviceDataChanged", receiver.url("/data"))
    device = application.register_device()
    address = platform.address("device-tls")
    login = request(address, "POST", "/v5/device-auth", {
        "device_id": device.id, "sign_type": 0, "timestamp": "2025041401",
        "password": device_password(device.secret, "2025041401")}, tls=context)
    assert login.status == 200, login
    headers = {"access_token": login.json["access_token"]}
    path = f"/v5/devices/{device.id}/sys/properties/report"
    body = {"services": [{"service_id": "Flow", "properties": {"litres": 1}}]}
    assert request(address, "POST", path, body, headers, tls=context).status == 200
    assert receiver.wait_for_one("/data").json["service"]["data"] == {"litres": 1}
    body["services"][0]["properties"]["text"] = "x" * 1024 * 1024
    expect_refusal(request(address, "POST", path, body, headers, tls=context), REPORT_TOO_LARGE)
    shown = request(platform.address("api-tls"), "GET", f"/iocm/app/dm/v1.4.0/devices/{device.id}",
                    None, application.headers, tls=context)
    assert shown.json["services"][0]["data"] == {"litres": 1}


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_current_versions_are_spoken(start_tls_platform, authority, version):
    platform = start_tls_platform()
    context = authority.client_context()
    context.minimum_version = context.maximum_version = version
    for listener in ("api-tls", "device-tls"):
        with RawConnection(platform.address(listener), tls=context) as connection:
            assert connection.sock.version() == version.name.replace("_", ".")


def old_context(authority):
    context = authority.client_context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


def test_older_versions_are_not_spoken(start_tls_platform, authority):
    platform = start_tls_platform()
    for listener in ("api-tls", "device-tls"):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            ask(platform.address(listener), old_context(authority))
    platform.wait_for_metric("tls_handshakes_total", 1, result="failed")


def test_the_oldest_version_is_a_setting(start_tls_platform, authority):
    platform = start_tls_platform(api__tls_min_version="1.3")
    context = authority.client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        ask(platform.address("api-tls"), context)
    assert ask(platform.address("api-tls"), authority.client_context()).status == 401


def test_client_certificates_are_demanded_of_applications_and_not_of_devices(start_tls_platform,
                                                                             authority):
    platform = start_tls_platform(api__tls_client_ca=authority.file, api__tls_client_required="on")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        ask(platform.address("api-tls"), authority.client_context())
    client = authority.issue("client")
    context = authority.client_context()
    context.load_cert_chain(client.file, client.key)
    # Issued for servers only: a certificate for another purpose is none.
    with pytest.raises((ssl.SSLError, ConnectionError)):
        ask(platform.address("api-tls"), context)
    client = authority.issue("real-client", usage="clientAuth")
    context.load_cert_chain(client.file, client.key)
    assert ask(platform.address("api-tls"), context).status == 401
    assert request(platform.address("device-tls"), "POST", "/v5/device-auth", {},
                   tls=authority.client_context()).status == 400


def test_client_certificates_may_be_optional(start_tls_platform, authority):
    platform = start_tls_platform(api__tls_client_ca=authority.file)
    assert ask(platform.address("api-tls"), authority.client_context()).status == 401


def serial_of(address, context):
    with RawConnection(address, tls=context) as connection:
        return connection.sock.getpeercert()["serialNumber"].lstrip("0")


def test_a_reload_takes_new_certificates_and_keeps_connections(start_platform, authority, workdir):
    old, new = authority.issue("before"), authority.issue("after")
    for source, target in ((old.file, "server.pem"), (old.key, "server.key")):
        shutil.copy(source, workdir / target)
    platform = start_platform(api__listen_https="127.0.0.1:0", api__tls_key=workdir / "server.key",
                              api__tls_certificate=workdir / "server.pem")
    address, context = platform.address("api-tls"), authority.client_context()
    assert serial_of(address, context) == old.serial.lstrip("0")
    with RawConnection(address, tls=context) as kept:
        for source, target in ((new.file, "server.pem"), (new.key, "server.key")):
            shutil.copy(source, workdir / target)
        platform.reload()
        wait_until(lambda: serial_of(address, context) == new.serial.lstrip("0"), "the new certificate")
        kept.send("GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert kept.read_response().status == 404


def test_a_reload_with_a_broken_certificate_keeps_the_old_one(start_platform, authority, workdir):
    certificate = authority.issue("kept")
    for source, target in ((certificate.file, "server.pem"), (certificate.key, "server.key")):
        shutil.copy(source, workdir / target)
    platform = start_platform(api__listen_https="127.0.0.1:0", api__tls_key=workdir / "server.key",
                              api__tls_certificate=workdir / "server.pem")
    address, context = platform.address("api-tls"), authority.client_context()
    (workdir / "server.pem").write_text("no certificate\n")
    platform.reload()
    platform.wait_for_log(r"ERROR.*server\.pem|server\.pem.*\n")
    assert serial_of(address, context) == certificate.serial.lstrip("0")


def test_key_and_certificate_belong_together(start_platform, authority):
    one, other = authority.issue("one"), authority.issue("other")
    platform = start_platform(wait=False, api__listen_https="127.0.0.1:0",
                              api__tls_certificate=one.file, api__tls_key=other.key)
    assert platform.wait_for_exit() in (1, 3)
    assert other.key in platform.log or one.file in platform.log


def test_plain_http_on_a_tls_port_is_cut_off(start_tls_platform, authority):
    platform = start_tls_platform()
    address = platform.address("api-tls")
    with RawConnection(address) as connection:
        connection.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert not connection.read_to_end().startswith(b"HTTP")
    assert ask(address, authority.client_context()).status == 401


def test_a_handshake_that_stalls_is_ended(start_tls_platform, authority):
    platform = start_tls_platform(limits__header_timeout="300ms")
    with RawConnection(platform.address("api-tls")) as connection:
        connection.send(b"\x16\x03\x01")
        assert connection.read_to_end() == b""
    assert ask(platform.address("api-tls"), authority.client_context()).status == 401

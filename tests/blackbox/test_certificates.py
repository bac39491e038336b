"""
Certificate entries: callbacks checked by what their application's owner uploaded, by the rules given
with it; the platform's own certificate; and what is said before certificates end.
"""

import base64
import json
import ssl
import threading

import pytest

from helpers.certificates import Authority, self_signed
from helpers.receiver import Answer
from helpers.waiting import wait_until

QUICK = {"push__retry_first": "5ms", "push__retry_max": "10ms", "push__probe_interval": "1h",
         "push__allow_networks": "127.0.0.0/8", "push__timeout": "5s"}


@pytest.fixture
def quick(start_platform):
    """Probes only when something makes it."""
    return lambda **more: start_platform(**QUICK, **more)


@pytest.fixture
def start_https(start_receiver):
    return lambda certificate, **how: start_receiver(tls=certificate.server_context(**how),
                                                     host="127.0.0.1")


def path_of(application, receiver_or_host):
    host = getattr(receiver_or_host, "port", None)
    host = f"127.0.0.1:{host}" if host else receiver_or_host
    return f"/admin/v1/apps/{application.id}/certificates/{host}"


def upload(platform, application, receiver, ca, **rules):
    """ca: text as it is, bytes as Base64, or something that has a file."""
    if not isinstance(ca, (str, bytes)):
        ca = ca.pem
    body = {"ca": ca} if isinstance(ca, str) else {"caBase64": base64.b64encode(ca).decode()}
    response = platform.admin("PUT", path_of(application, receiver), {**body, **rules})
    assert response.status == 200, response
    return response.json


def report_to(application, receiver, path="/data", host=None):
    application.subscribe("deviceDataChanged", receiver.url(path, host))
    device = application.register_device()
    device.report({"n": 0})
    return device


def expect_failure(platform, receiver, reason):
    platform.wait_for_log("state=invalid")
    platform.wait_for_log(reason)
    assert receiver.requests() == []


# ---- what is checked


def test_a_callback_is_checked_by_the_uploaded_authority(quick, start_https, workdir):
    platform, owner = quick(), Authority(workdir, "owner-ca")
    receiver = start_https(owner.issue("server"))
    application = platform.application()
    upload(platform, application, receiver, owner)
    report_to(application, receiver)
    assert receiver.wait_for_one().json["service"]["data"] == {"n": 0}


def test_without_an_entry_the_owners_authority_is_unknown(quick, start_https, workdir):
    platform = quick()
    receiver = start_https(Authority(workdir, "owner-ca").issue("server"))
    report_to(platform.application(), receiver)
    expect_failure(platform, receiver, "unknown CA: unable to get local issuer certificate")


def test_one_applications_entry_is_nothing_to_another(quick, start_https, workdir):
    platform, owner = quick(), Authority(workdir, "owner-ca")
    receiver = start_https(owner.issue("server"))
    mine, other = platform.application("mine"), platform.application("other")
    upload(platform, mine, receiver, owner)
    report_to(other, receiver, "/other")
    expect_failure(platform, receiver, "unknown CA")
    report_to(mine, receiver, "/mine")
    receiver.wait_for_one("/mine")
    assert receiver.requests("/other") == []


def test_the_certificate_of_another_authority_is_refused(quick, start_https, workdir):
    platform = quick()
    receiver = start_https(Authority(workdir, "stranger").issue("server"))
    application = platform.application()
    upload(platform, application, receiver, Authority(workdir, "owner-ca"))
    report_to(application, receiver)
    expect_failure(platform, receiver, "unknown CA")


def test_an_expired_certificate_is_refused(quick, start_https, workdir):
    platform, owner = quick(), Authority(workdir, "owner-ca")
    receiver = start_https(owner.issue("server", days=-1))
    application = platform.application()
    upload(platform, application, receiver, owner)
    report_to(application, receiver)
    expect_failure(platform, receiver, "expired: certificate has expired")


def test_a_certificate_for_clients_only_is_refused(quick, start_https, workdir):
    platform, owner = quick(), Authority(workdir, "owner-ca")
    receiver = start_https(owner.issue("server", usage="clientAuth"))
    application = platform.application()
    upload(platform, application, receiver, owner)
    report_to(application, receiver)
    expect_failure(platform, receiver, "certificate: unsuitable certificate purpose")


def test_an_expired_anchor_fails_unless_it_is_excused(quick, start_https, workdir):
    platform, owner = quick(), Authority(workdir, "owner-ca", days=-1)
    receiver = start_https(owner.issue("server"))
    application = platform.application()
    upload(platform, application, receiver, owner)
    report_to(application, receiver)
    expect_failure(platform, receiver, "expired: certificate has expired")
    upload(platform, application, receiver, owner, ignoreAnchorExpiry=True)
    receiver.wait_for_one()


@pytest.mark.parametrize("rules, is_refused", [
    ({}, True), ({"checkCn": True, "cn": "other.test"}, True),
    ({"checkCn": True, "cn": "named.test"}, False), ({"nameCheck": False}, False)])
def test_names(quick, start_https, workdir, rules, is_refused):
    platform, owner = quick(), Authority(workdir, "owner-ca")
    receiver = start_https(owner.issue("server", hosts=["DNS:named.test"]))
    application = platform.application()
    upload(platform, application, receiver, owner, **rules)
    report_to(application, receiver)
    if is_refused:
        expect_failure(platform, receiver, "name mismatch: ")
    else:
        receiver.wait_for_one()


def test_the_subjects_common_name_counts_too(quick, start_https, workdir):
    platform, owner = quick(), Authority(workdir, "owner-ca")
    receiver = start_https(owner.issue("server", hosts=["DNS:named.test"], subject="My Server"))
    application = platform.application()
    upload(platform, application, receiver, owner, checkCn=True, cn="My Server")
    report_to(application, receiver)
    receiver.wait_for_one()


def test_no_name_check_is_logged(quick, start_https, workdir):
    platform, owner = quick(), Authority(workdir, "owner-ca")
    receiver = start_https(owner.issue("server", hosts=["DNS:named.test"]))
    application = platform.application()
    assert "no name is checked" in upload(platform, application, receiver, owner,
                                          nameCheck=False)["warnings"]
    report_to(application, receiver)
    receiver.wait_for_one()
    platform.wait_for_log(f"WARN push .*endpoint=127.0.0.1:{receiver.port} name_check=none")


@pytest.mark.parametrize("is_on", [True, False])
def test_the_server_name_is_sent_when_the_entry_says_so(quick, start_https, workdir, is_on):
    platform, owner = quick(), Authority(workdir, "owner-ca")
    receiver = start_https(owner.issue("default", hosts=["DNS:default.test"]))
    named = owner.issue("named", hosts=["DNS:named.test"]).server_context()
    names = []

    def choose(connection, name, context):
        names.append(name)
        if name == "named.test":
            connection.context = named
    receiver.tls.sni_callback = choose
    application = platform.application()
    upload(platform, application, receiver, owner, checkCn=True, cn="named.test", sni=is_on)
    report_to(application, receiver)
    if is_on:
        receiver.wait_for_one()
    else:
        expect_failure(platform, receiver, "name mismatch")
    assert set(names) == {"named.test" if is_on else None}


# ---- chains


@pytest.fixture
def chain(workdir):
    """root, intermediate, a server's certificate signed by the intermediate."""
    root = Authority(workdir, "root")
    intermediate = Authority(workdir, "intermediate", issuer=root)
    return root, intermediate, intermediate.issue("server")


def test_a_chain_that_misses_an_intermediate_fails_and_an_uploaded_one_works(quick, start_https,
                                                                             chain):
    root, intermediate, server = chain
    platform = quick()
    receiver = start_https(server)  # without the intermediate
    application = platform.application()
    upload(platform, application, receiver, root)
    report_to(application, receiver)
    expect_failure(platform, receiver, "unknown CA")
    upload(platform, application, receiver, root.pem + intermediate.pem)
    receiver.wait_for_one()  # at once: the next probe would be in an hour


def test_the_root_alone_is_enough_when_the_server_sends_its_chain(quick, start_https, chain):
    root, intermediate, server = chain
    platform = quick()
    receiver = start_https(server.followed_by(intermediate))
    application = platform.application()
    upload(platform, application, receiver, root)
    report_to(application, receiver)
    receiver.wait_for_one()


FORMS = {
    "joined without line breaks": lambda root, middle, leaf:
        leaf.pem.strip() + middle.pem.strip() + root.pem.strip(),
    "root first": lambda root, middle, leaf: root.pem + middle.pem,
    "CRLF": lambda root, middle, leaf: (middle.pem + root.pem).replace("\n", "\r\n"),
    "BOM": lambda root, middle, leaf: "\ufeff" + middle.pem + root.pem,
    "text around": lambda root, middle, leaf: f"this is\n{middle.pem}and that\n{root.pem}was it",
    "no final newline": lambda root, middle, leaf: (middle.pem + root.pem).strip(),
    "leaf only": lambda root, middle, leaf: leaf.pem,
    "intermediate only": lambda root, middle, leaf: middle.pem,
    "DER": lambda root, middle, leaf: middle.der,
    "twice the same": lambda root, middle, leaf: middle.pem + middle.pem + root.pem,
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_file_works(quick, start_https, chain, form):
    root, intermediate, server = chain
    platform = quick()
    receiver = start_https(server)
    application = platform.application()
    upload(platform, application, receiver, FORMS[form](*chain))
    report_to(application, receiver)
    receiver.wait_for_one()


def test_a_self_signed_certificate_for_debugging_works(quick, start_https, workdir):
    platform = quick()
    certificate = self_signed(workdir, "debugging")
    receiver = start_https(certificate)
    application = platform.application()
    upload(platform, application, receiver, certificate, checkCn=True, cn="debugging")
    report_to(application, receiver)
    receiver.wait_for_one()


def test_default_trust_can_be_none(quick, start_https, authority):
    platform = quick(push__ca_file=authority.file, push__https_default_trust="none")
    receiver = start_https(authority.issue("no-default"))
    application = platform.application()
    report_to(application, receiver)
    expect_failure(platform, receiver, "no certificate entry")
    upload(platform, application, receiver, authority)
    receiver.wait_for_one()


# ---- the platform's own certificate


@pytest.fixture
def platform_identity(workdir):
    authority = Authority(workdir, "platform-ca")
    return authority, authority.issue("platform", usage="clientAuth")


@pytest.mark.parametrize("is_on", [True, False])
def test_the_platform_shows_its_certificate_when_the_entry_says_so(quick, start_https, workdir,
                                                                   platform_identity, is_on):
    its_authority, identity = platform_identity
    platform = quick(push__platform_certificate=identity.file, push__platform_key=identity.key)
    owner = Authority(workdir, "owner-ca")
    receiver = start_https(owner.issue("server"), asks_for=its_authority, requires=True)
    application = platform.application()
    upload(platform, application, receiver, owner, platformCertificate=is_on)
    report_to(application, receiver)
    if is_on:
        receiver.wait_for_one()
    else:
        expect_failure(platform, receiver, "certificate required|handshake|closed")


@pytest.mark.parametrize("is_on", [True, False])
def test_to_whom_it_is_optional_the_platform_shows_a_certificate_only_if_the_entry_says_so(
        quick, start_https, workdir, platform_identity, is_on):
    its_authority, identity = platform_identity
    platform = quick(push__platform_certificate=identity.file, push__platform_key=identity.key)
    owner = Authority(workdir, "owner-ca")
    receiver = start_https(owner.issue("server"), asks_for=its_authority)
    application = platform.application()
    upload(platform, application, receiver, owner, platformCertificate=is_on)
    report_to(application, receiver)
    assert receiver.wait_for_one().client_certificate == (identity.der if is_on else None)


def test_what_receivers_should_trust_can_be_printed(quick, workdir, platform_identity):
    its_authority, identity = platform_identity
    platform = quick(push__platform_certificate=identity.followed_by(its_authority).file,
                     push__platform_key=identity.key)
    shown = platform.ctl("cert", "platform")
    assert "CN=platform-ca" in shown.stdout
    assert platform.ctl("-q", "cert", "platform").stdout == identity.pem + its_authority.pem
    context = ssl.create_default_context(cadata=shown.stdout)  # as a file it can be used as it is
    assert len(context.get_ca_certs()) == 1
    facts = json.loads(platform.ctl("cert", "platform", "--json").stdout)
    assert [one["subject"] for one in facts["certificates"]] == ["CN=platform", "CN=platform-ca"]


def test_without_a_platform_certificate_this_is_said(platform, application):
    result = platform.ctl("cert", "platform")
    assert result.returncode == 1 and "push.platform_certificate is empty" in result.stderr


def test_a_renewed_platform_certificate_is_used_after_a_reload(quick, start_https, workdir,
                                                               platform_identity):
    its_authority, identity = platform_identity
    file, key = workdir / "used.pem", workdir / "used.key"

    def install(one):
        file.write_text(one.pem)
        key.write_bytes(open(one.key, "rb").read())
    install(identity)
    platform = quick(push__platform_certificate=file, push__platform_key=key)
    owner = Authority(workdir, "owner-ca")
    new_authority = Authority(workdir, "new-ca")
    receiver = start_https(owner.issue("server"), asks_for=new_authority, requires=True)
    application = platform.application()
    upload(platform, application, receiver, owner, platformCertificate=True)
    report_to(application, receiver)
    platform.wait_for_log("state=invalid")
    install(new_authority.issue("renewed", usage="clientAuth"))
    platform.reload()
    platform.wait_for_log("reload")
    assert platform.ctl("endpoint", "probe", receiver.url("/data")).returncode == 0
    receiver.wait_for_one()


# ---- changes


def test_a_replaced_entry_counts_for_new_connections_on_all_instances(cluster, start_https, workdir):
    both = cluster(2, **QUICK)
    first_ca, second_ca = Authority(workdir, "first"), Authority(workdir, "second")
    first, second = first_ca.issue("server-1"), second_ca.issue("server-2")
    receiver = start_https(first)
    one = both.members[0]
    application = one.application()
    upload(one, application, receiver, first_ca)
    application.subscribe("deviceDataChanged", receiver.url("/data"))
    devices = [application.register_device() for _ in range(16)]
    for n in range(4):
        for device in devices:
            device.report({"n": n})
    receiver.wait_for(64)
    before = receiver.connections
    receiver.tls = second.server_context()
    upload(one, application, receiver, second_ca)
    stop = threading.Event()

    def flow():
        n = 4
        while not stop.is_set():
            for device in devices:
                device.report({"n": n})
            n += 1
    thread = threading.Thread(target=flow)
    thread.start()
    try:
        for member in both.members:
            member.wait_for_log("push .*certificate=[0-9a-f]{32}")
        wait_until(lambda: receiver.connections > before, "new connections")
    finally:
        stop.set()
        thread.join()
    both.wait_until_acknowledged()
    for device in devices:
        values = [r.json["service"]["data"]["n"] for r in receiver.requests()
                  if r.json["deviceId"] == device.id]
        assert values == sorted(set(values))


@pytest.mark.parametrize("scope", ["url", "host"])
def test_a_new_authority_uploaded_while_the_callback_is_invalid_makes_a_probe_at_once(
        quick, start_https, workdir, scope):
    # The next probe would be in an hour.
    platform, owner = quick(push__breaker_scope_v1=scope), Authority(workdir, "owner-ca")
    receiver = start_https(owner.issue("server"))
    application = platform.application()
    upload(platform, application, receiver, Authority(workdir, "not-its-ca"))
    device = report_to(application, receiver)
    expect_failure(platform, receiver, "unknown CA")
    device.report({"n": 1})
    application.subscribe("deviceAdded", receiver.url("/added"))
    application.register_device()
    upload(platform, application, receiver, owner)
    data = receiver.wait_for(2, "/data")
    assert [r.json["service"]["data"]["n"] for r in data] == [0, 1]
    receiver.wait_for(1, "/added")
    platform.wait_for_metric("endpoints", 2, state="valid")


def test_a_deleted_entry_counts_no_more(quick, start_https, workdir):
    platform, owner = quick(), Authority(workdir, "owner-ca")
    receiver = start_https(owner.issue("server"))
    application = platform.application()
    upload(platform, application, receiver, owner)
    device = report_to(application, receiver)
    receiver.wait_for_one()
    assert platform.admin("DELETE", path_of(application, receiver)).status == 204
    receiver.wait_until_all_connections_are_closed()
    device.report({"n": 1})
    platform.wait_for_log("unknown CA")
    assert len(receiver.requests()) == 1


def test_entries_survive_a_restart_and_go_with_their_application(quick, workdir):
    platform, application = (p := quick()), p.application()
    upload(platform, application, "a.example.test:443", Authority(workdir, "owner-ca"))
    platform.restart()
    assert platform.admin("GET", path_of(application, "a.example.test:443")).status == 200
    assert platform.ctl("app", "delete", application.id, "--yes").returncode == 0
    assert platform.admin("GET", path_of(application, "a.example.test:443")).status == 404


def test_sessions_are_resumed(quick, start_https, workdir):
    platform, owner = quick(), Authority(workdir, "owner-ca")
    receiver = start_https(owner.issue("server"))
    receiver.answers(then=Answer(closes=True))
    application = platform.application()
    upload(platform, application, receiver, owner)
    device = report_to(application, receiver)
    for n in range(1, 6):
        receiver.wait_for(n)
        device.report({"n": n})
    receiver.wait_for(6)
    assert receiver.tls.session_stats()["hits"] >= 3


def test_sessions_of_other_rules_are_not_resumed(quick, start_https, workdir):
    platform, owner = quick(), Authority(workdir, "owner-ca")
    receiver = start_https(owner.issue("server"))
    receiver.answers(then=Answer(closes=True))
    application = platform.application()
    upload(platform, application, receiver, owner)
    device = report_to(application, receiver)
    receiver.wait_for_one()
    upload(platform, application, receiver, Authority(workdir, "other-ca"))
    platform.wait_for_log("push .*certificate=[0-9a-f]{32}")
    device.report({"n": 1})
    platform.wait_for_log("unknown CA")
    assert len(receiver.requests()) == 1


# ---- administration: what is refused


def key_of(workdir):
    return open(Authority(workdir, "with-key").key).read()


BAD_FILES = {
    "nothing in it": (lambda w: "no certificate at all", "no certificate is in the file"),
    "empty": (lambda w: "", "no certificate is in the file"),
    "broken": (lambda w: Authority(w, "x").pem.replace("MII", "MIJ", 1), "cannot be read"),
    "cut": (lambda w: Authority(w, "x").pem[:200], "no END line"),
    "a private key": (key_of, "a private key is in the file"),
    "certificate and key": (lambda w: Authority(w, "x").pem + key_of(w), "a private key is in the file"),
    "other bytes": (lambda w: b"\x30\x03\x02\x01\x05", "neither PEM nor one certificate as DER"),
    "too large": (lambda w: "x" * 65537, "more than 65536 bytes"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_files_are_refused_and_change_nothing(platform, application, workdir, case):
    make, reason = BAD_FILES[case]
    host = "a.example.test:8443"
    good = upload(platform, application, host, Authority(workdir, "good"))
    content = make(workdir)
    body = {"ca": content} if isinstance(content, str) else {
        "caBase64": base64.b64encode(content).decode()}
    response = platform.admin("PUT", path_of(application, host), body)
    assert response.status == 400 and reason in response.text, response
    assert platform.admin("GET", path_of(application, host)).json["version"] == good["version"]


def test_too_many_certificates_are_refused(start_platform, workdir):
    platform = start_platform(certificate__max_count="2")
    application = platform.application()
    three = "".join(Authority(workdir, f"ca-{n}").pem for n in range(3))
    response = platform.admin("PUT", path_of(application, "a.example.test:443"), {"ca": three})
    assert response.status == 400 and "more than 2 certificates" in response.text


def test_an_application_has_so_many_entries_and_no_more(start_platform, workdir):
    platform = start_platform(certificate__max_entries="2")
    application, ca = platform.application(), Authority(workdir, "ca").pem
    for port in (1, 2, 2):
        upload(platform, application, f"a.example.test:{port}", ca)
    response = platform.admin("PUT", path_of(application, "a.example.test:3"), {"ca": ca})
    assert response.status == 409 and "certificate.max_entries" in response.text


@pytest.mark.parametrize("rules, reason", [
    ({"checkCn": "yes"}, "true or false"), ({"checkCn": True}, "cn: is needed"),
    ({"sni": True}, "cn: is needed"), ({"cn": "a.test"}, "cn: goes with"),
    ({"cn": "", "sni": True}, "cn: 1 to 253"), ({"cn": "a" * 254, "sni": True}, "cn: 1 to 253"),
    ({"cn": "10.0.0.1", "sni": True}, "cn is an address"),
    ({"cn": "a.test", "checkCn": True, "nameCheck": False}, "contradict")])
def test_rules_that_cannot_be_are_refused(platform, application, authority, rules, reason):
    response = platform.admin("PUT", path_of(application, "a.example.test:443"),
                              {"ca": authority.pem, **rules})
    assert response.status == 400 and reason in response.text, response


@pytest.mark.parametrize("body", [{}, {"ca": "x", "caBase64": "eA=="}, {"caBase64": "!"}, [], {"ca": 5}])
def test_bodies_without_one_file_are_refused(platform, application, body):
    assert platform.admin("PUT", path_of(application, "a.example.test:443"), body).status == 400


@pytest.mark.parametrize("host", ["a.example.test", "a.example.test:0", "a.example.test:70000", ":443",
                                  "a%20b:443", "https:%2F%2Fa:443"])
def test_hosts_that_no_callback_can_have_are_refused(platform, application, authority, host):
    response = platform.admin("PUT", path_of(application, host), {"ca": authority.pem})
    assert response.status == 400 and "host and port are needed" in response.text, response


def test_an_unknown_application_or_entry_is_not_found(platform, application, authority):
    class Nobody:
        id = "nobody"
    assert platform.admin("PUT", path_of(Nobody, "a.example.test:443"),
                          {"ca": authority.pem}).status == 404
    assert platform.admin("GET", "/admin/v1/apps/nobody/certificates").status == 404
    for method in ("GET", "DELETE"):
        assert platform.admin(method, path_of(application, "a.example.test:443")).status == 404


# ---- the command line


def cert(platform, *arguments):
    result = platform.ctl("cert", *arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_an_entry_by_the_command_line(quick, start_https, workdir):
    platform, owner = quick(), Authority(workdir, "owner-ca")
    receiver = start_https(owner.issue("server"))
    application = platform.application("warehouse")
    host = f"127.0.0.1:{receiver.port}"
    which = ["--app", "warehouse", "--host", host]
    assert "no certificate entries" in cert(platform, "list")
    added = platform.ctl("cert", "add", *which, "--ca", owner.file)
    assert added.returncode == 0 and f"{host} is checked by 1 certificates" in added.stdout
    assert "warning: expires in 29 days" in added.stderr
    report_to(application, receiver)
    receiver.wait_for_one()

    rows = cert(platform, "list").splitlines()
    assert len(rows) == 2 and "warehouse" in rows[1] and host in rows[1]
    assert cert(platform, "-q", "list", "--app", application.id) == f"{host}\n"
    listed = json.loads(cert(platform, "list", "--json"))
    assert listed["usedBy"][0]["callbackUrl"] == receiver.url("/data")

    shown = cert(platform, "show", *which)
    for word in ("CN=owner-ca", receiver.url("/data"), "days left", "sha256"):
        assert word in shown
    assert cert(platform, "-q", "show", *which) == owner.pem
    assert json.loads(cert(platform, "show", *which, "--json"))["pem"] == owner.pem

    assert platform.ctl("cert", "delete", *which).returncode == 1  # nobody to ask
    cert(platform, "delete", *which, "--yes")
    assert platform.ctl("cert", "show", *which).returncode == 1


def test_all_rules_can_be_given_on_the_command_line(platform, application, workdir):
    which = ["--app", application.id, "--host", "a.example.test:8443"]
    ca = Authority(workdir, "owner-ca").file
    entry = json.loads(cert(platform, "add", *which, "--ca", ca, "--cn", "b.test", "--check-cn", "--sni",
                            "--platform-certificate", "--ignore-anchor-expiry", "--json"))
    assert {key: entry[key] for key in ("checkCn", "cn", "sni", "nameCheck", "platformCertificate",
                                        "ignoreAnchorExpiry")} == {
        "checkCn": True, "cn": "b.test", "sni": True, "nameCheck": True, "platformCertificate": True,
        "ignoreAnchorExpiry": True}
    entry = json.loads(cert(platform, "add", *which, "--ca", ca, "--no-name-check", "--json"))
    assert (entry["checkCn"], entry["cn"], entry["nameCheck"]) == (False, None, False)


@pytest.mark.parametrize("arguments, reason", [
    (["--host", "a.test:1", "--ca", "x"], "--app APP is needed"),
    (["--app", "x", "--ca", "x"], "--host HOST:PORT is needed"),
    (["--app", "x", "--host", "a.test:1"], "--ca FILE is needed"),
    (["--app", "x", "--host", "a.test:1", "--ca", "/nowhere"], "No such file"),
    (["--app", "x", "--host", "a.test:1", "--ca", "/dev/null"], "is empty"),
    (["--app", "x", "--host", "a.test:1", "--ca", "/dev/zero"], "larger than any CA file")])
def test_mistakes_on_the_command_line_are_told(platform, arguments, reason):
    result = platform.ctl("cert", "add", *arguments)
    assert result.returncode == 2 and reason in result.stderr, result.stderr


# ---- before they end


def test_certificates_that_end_soon_are_warned_of(quick, workdir, authority):
    listener = authority.issue("listener", days=20)
    ours = authority.issue("ours", days=10, usage="clientAuth")
    platform = quick(certificate__check_interval="100ms", api__listen_https="127.0.0.1:0",
                     api__tls_certificate=listener.file, api__tls_key=listener.key,
                     push__platform_certificate=ours.file, push__platform_key=ours.key)
    platform.wait_for_log("WARN certificate use=api state=expires days_left=19")
    platform.wait_for_log("WARN certificate use=platform state=expires days_left=9")
    application = platform.application()
    assert "NaN" in [line.split()[1] for line in platform.metrics().splitlines()
                     if line.startswith('iotpush_certificate_expiry_seconds{use="callback"}')]
    soon = upload(platform, application, "soon.test:443", Authority(workdir, "soon", days=5))
    late = upload(platform, application, "late.test:443", Authority(workdir, "late", days=300))
    over = upload(platform, application, "over.test:443", Authority(workdir, "over", days=-1))
    assert soon["warnings"] == ["expires in 4 days"]
    assert late["warnings"] == []
    assert over["warnings"] == ["expired"]
    platform.wait_for_log("use=callback .*endpoint=soon.test:443 state=expires days_left=4")
    platform.wait_for_log("use=callback .*endpoint=over.test:443 state=expired")
    wait_until(lambda: platform.metric("certificate_expiry_seconds", use="callback") < 0,
               "the metric")
    assert 0 < platform.metric("certificate_expiry_seconds", use="api") < 20 * 86400 + 1
    assert 0 < platform.metric("certificate_expiry_seconds", use="platform") < 10 * 86400 + 1
    assert "endpoint=late.test:443 state=expire" not in platform.log
    listed = cert(platform, "list")
    assert "expires in 4 days" in listed and "expired" in listed

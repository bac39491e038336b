"""What operators can have written: a line per request, and the audit file."""

import json
import re

import pytest

from helpers import http
from helpers.nouns import DEVICES, LOGIN, SUBSCRIPTIONS
from helpers.receiver import Answer
from helpers.waiting import wait_until


def requests_in(log):
    """The lines of requests in the JSON form of the log."""
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    return [line for line in lines if line["area"] == "request"]


def wait_for_request(platform, **members):
    def find():
        return [r for r in requests_in(platform.log) if members.items() <= r.items()]
    return wait_until(find, f"a request line with {members}")[0]


# --- requests


def test_requests_are_not_logged_by_default(platform, application):
    application.get(f"{SUBSCRIPTIONS}?pageNo=0")
    assert " request " not in platform.log


def test_a_request_is_a_line_with_what_operators_ask_for(start_platform):
    platform = start_platform(log__requests="on", log__format="json", log__level="warn")
    application = platform.application()
    device = application.register_device()
    response = application.get(f"{DEVICES}/{device.id}?appId={application.id}")
    line = wait_for_request(platform, path=f"{DEVICES}/{device.id}")
    assert (line["listener"], line["peer"], line["method"]) == ("api", "127.0.0.1", "GET")
    assert line["route"].startswith(DEVICES) and line["route"].endswith("}")
    assert (line["status"], line["bytes"]) == (200, len(response.body))
    assert line["app"] == application.id and line["ms"] >= 0
    admin = wait_for_request(platform, listener="admin", method="POST", path="/admin/v1/apps")
    assert admin["peer"] == "unix" and admin["app"] == application.id


def test_requests_that_are_refused_are_lines_too(start_platform):
    platform = start_platform(log__requests="on", log__format="json")
    platform.api("GET", "/nowhere?x=1")
    line = wait_for_request(platform, path="/nowhere")
    assert (line["status"], line["route"], line["app"]) == (404, "-", "-")
    bad = http.RawConnection(platform.api_address).send("GET /bad HTTP/1.1\r\nHost : x\r\n\r\n")
    assert bad.read_response().status == 400
    assert wait_for_request(platform, status=400)["method"] == "-"


def test_request_lines_are_never_held_back(start_platform):
    platform = start_platform(log__requests="on", log__format="json")
    for n in range(50):
        platform.api("GET", f"/nowhere/{n}")
    wait_until(lambda: len([r for r in requests_in(platform.log)
                            if r["path"].startswith("/nowhere/")]) == 50, "50 lines")


def ruin_callbacks(platform, application, device, receiver):
    """Everything that is logged of a callback: paused, resumed, invalid, valid again, a drop."""
    url = receiver.url("/data?token=of-the-callback")
    assert platform.ctl("delivery", "pause", url).returncode == 0
    assert platform.ctl("delivery", "resume", url).returncode == 0
    platform.wait_for_log("url=.* deliveries=resumed")
    receiver.answers(*[500] * 10)
    device.report({"n": 1})
    platform.wait_for_log("url=.* state=invalid")
    platform.wait_for_log("url=.* state=(valid|draining)")
    receiver.answers(then=Answer(302, {"Location": "https://u:of-the-location@other.example/login"
                                                   "?x=of-the-location"}))
    device.report({"n": 2})
    platform.wait_for_log(rf"url={receiver.url('/data')} dropped=1 reason=refused "
                          'error="?status 302 to https://other.example/login"?$')
    shown = platform.ctl("endpoint", "show", url, "--app", application.id)
    assert "status 302 to https://other.example/login\n" in shown.stdout


def test_request_lines_show_no_secret(start_platform, receiver):
    platform = start_platform(log__requests="on", log__level="debug")
    application = platform.application()
    application.login()
    application.subscribe("deviceDataChanged", receiver.url("/data?token=of-the-callback"))
    device = application.register_device()
    device.report({"text": "of-the-body"})
    receiver.wait_for(1)
    platform.api("GET", f"{SUBSCRIPTIONS}?secret=of-the-query")
    ruin_callbacks(platform, application, device, receiver)
    wait_until(lambda: platform.log.count(f"path={SUBSCRIPTIONS} ") >= 2, "the lines")
    for secret in (application.secret, application.token, application.refresh_token, device.secret,
                   device.token, "of-the-body", "of-the-query", "of-the-callback",
                   "of-the-location"):
        assert secret not in platform.log


def test_request_lines_are_switched_by_a_reload(start_platform):
    platform = start_platform(files_only=True)
    platform.write_config(log__requests="on")
    platform.reload()
    platform.wait_for_log("reload.*state=done")
    platform.api("GET", "/nowhere")
    platform.wait_for_log(r"INFO request listener=api .* path=/nowhere status=404 ")


# --- the audit file


class Audit:
    def __init__(self, file):
        self.file = file

    @property
    def text(self):
        return self.file.read_text()

    def wait_for(self, pattern):
        return wait_until(lambda: re.search(pattern, self.text, re.M), f"{pattern!r} in {self.text}")


@pytest.fixture
def audit(workdir):
    return Audit(workdir / "audit.log")


@pytest.fixture
def audited(start_platform, audit):
    return start_platform(log__audit_file=audit.file, log__level="error")


def test_changes_by_the_administrator_are_audited(audited, audit):
    application = audited.application("plant 7")
    who = rf"^\S+ INFO admin listener=admin peer=unix app={application.id}"
    audit.wait_for(who + r' method=POST path=/admin/v1/apps detail="plant 7" status=201$')
    application.freeze()
    audit.wait_for(who + r" method=POST path=\S+/freeze detail=- status=204$")
    for action in ("renew", "remove"):
        assert audited.ctl("app", "signing-key", action, application.id, "--yes").returncode == 0
    audit.wait_for(who + r" method=POST path=\S+/signing-key detail=- status=200$")
    audit.wait_for(who + r" method=DELETE path=\S+/signing-key detail=- status=204$")
    assert audited.ctl("app", "reset-secret", application.id).returncode == 0
    audit.wait_for(who + r" method=POST path=\S+/reset-secret detail=- status=200$")
    assert audited.ctl("delivery", "pause").returncode == 0
    audit.wait_for(r"admin listener=admin peer=unix app=- method=POST path=/admin/v1/delivery/pause")
    before = audit.text
    assert audited.ctl("app", "list").returncode == 0
    audited.status()
    assert audit.text == before


def test_refused_changes_are_audited(audited, audit):
    audited.admin("DELETE", "/admin/v1/apps/nobody")
    audit.wait_for(r"app=nobody method=DELETE path=/admin/v1/apps/nobody detail=- status=404$")


def test_wrong_admin_tokens_are_audited(start_platform, audit, workdir):
    token_file = workdir / "token"
    token_file.write_text("right\n")
    platform = start_platform(log__audit_file=audit.file, admin__listen_http="127.0.0.1:0",
                              admin__token_file=token_file)
    address = platform.address("admin-http")
    http.request(address, "GET", "/admin/v1/apps", None, {"Authorization": "Bearer wrong-one"})
    audit.wait_for(r"admin listener=admin-http peer=127\.0\.0\.1 .* detail=unauthorized status=401$")
    assert "wrong-one" not in audit.text


def test_failed_logins_are_audited(audited, audit):
    application = audited.application()
    application.login()
    assert "login" not in audit.text.replace(LOGIN, "")
    application.try_login(secret="not-the-secret")
    audit.wait_for(rf"^\S+ INFO login listener=api peer=127\.0\.0\.1 app={application.id} method=POST "
                   rf"path={LOGIN} detail=- status=4\d\d$")
    application.try_refresh("f" * 32)
    audit.wait_for(rf"INFO login .*app={application.id} .*/refreshToken ")
    assert "not-the-secret" not in audit.text and application.secret not in audit.text
    assert application.token not in audit.text


def test_an_application_id_cannot_fill_the_audit_file_or_break_its_lines(audited, audit):
    form = "appId=" + "A%0AB" * 20000 + "&secret=x"
    audited.api("POST", LOGIN, form, {"Content-Type": "application/x-www-form-urlencoded"})
    audit.wait_for("INFO login")
    assert len(audit.text) < 1000 and audit.text.count("\n") == 1


def test_changes_of_subscriptions_are_audited(audited, audit, receiver):
    application = audited.application()
    subscription = application.subscribe("deviceAdded", receiver.url("/added?token=secret-of-the-url"))
    who = rf"^\S+ INFO subscription listener=api peer=127\.0\.0\.1 app={application.id} "
    audit.wait_for(who + rf"method=POST path={SUBSCRIPTIONS} detail=deviceAdded status=201$")
    application.try_subscribe("deviceAdded", "ftp://nowhere")
    audit.wait_for(who + rf"method=POST path={SUBSCRIPTIONS} detail=deviceAdded status=4\d\d$")
    application.get(f"{SUBSCRIPTIONS}/{subscription['subscriptionId']}")
    application.unsubscribe(subscription)
    audit.wait_for(who + rf"method=DELETE path={SUBSCRIPTIONS}/{subscription['subscriptionId']} "
                   "detail=- status=204$")
    application.delete(f"{SUBSCRIPTIONS}?notifyType=deviceAdded")
    audit.wait_for(who + rf"method=DELETE path={SUBSCRIPTIONS} detail=deviceAdded status=404$")
    assert "method=GET" not in audit.text and "secret-of-the-url" not in audit.text


def test_the_audit_file_is_opened_again_at_a_reload(audited, audit):
    audited.application("first")
    audit.wait_for("detail=first")
    rotated = audit.file.rename(audit.file.with_suffix(".1"))
    audited.reload()
    wait_until(audit.file.exists, "the new file")
    audited.application("second")
    audit.wait_for("detail=second")
    assert "second" not in rotated.read_text() and audit.file.stat().st_mode & 0o137 == 0


def test_audit_lines_follow_the_form_of_the_log(start_platform, audit):
    platform = start_platform(log__audit_file=audit.file, log__format="json")
    application = platform.application("Größe 1")
    audit.wait_for("apps")
    line = json.loads(audit.text)
    assert line["area"] == "admin" and line["detail"] == "Größe 1" and line["status"] == 201
    assert line["app"] == application.id


def test_an_audit_file_that_cannot_be_opened_is_a_mistake_at_the_start(start_platform, workdir):
    platform = start_platform(wait=False, log__audit_file=workdir / "none" / "audit.log")
    assert platform.wait_for_exit() == 1
    assert "log.audit_file" in platform.log


def test_what_cannot_be_audited_is_counted_and_said(start_platform):
    platform = start_platform(log__audit_file="/dev/full")
    platform.application()
    assert platform.metric("audit_lost_lines_total") >= 1
    platform.wait_for_log("ERROR audit state=lost")

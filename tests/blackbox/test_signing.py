"""Signatures of notifications, and the administration of their keys."""

import json
import re

import pytest

from helpers.signature import signature_of
from helpers.waiting import wait_until


def signing_key(platform, application, action, *options):
    result = platform.ctl("app", "signing-key", action, application.id, "--json", *options)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout) if result.stdout else None


def renew(platform, application):
    return signing_key(platform, application, "renew", "--yes")["signingKey"]


def signatures(request):
    return request.headers["X-Notify-Signature"].split(", ")


def notification(device, receiver, n):
    device.report({"n": n})
    return receiver.wait_for_match(lambda r: r.json["service"]["data"]["n"] == n)


@pytest.fixture
def device(application, receiver):
    application.subscribe("deviceDataChanged", receiver.url("/data"))
    return application.register_device()


def test_an_application_without_key_gets_no_signature(device, receiver):
    assert "X-Notify-Signature" not in notification(device, receiver, 1).headers


def test_a_signature_verifies_and_covers_what_is_sent(platform, application, device, receiver):
    key = renew(platform, application)
    request = notification(device, receiver, 1)
    assert signatures(request) == [signature_of(key, request)]
    request.body += b" "
    assert signatures(request) != [signature_of(key, request)]


def test_a_repeated_attempt_has_its_own_time_and_signature(start_platform, receiver):
    platform = start_platform(push__retry_first="1500ms", push__retry_max="1500ms")
    application = platform.application()
    key = renew(platform, application)
    receiver.answers(503, then=200)
    application.subscribe("deviceDataChanged", receiver.url("/data"))
    application.register_device().report({"n": 1})
    first, second = receiver.wait_for(2)
    assert first.notify_id == second.notify_id
    assert first.headers["X-Notify-Timestamp"] != second.headers["X-Notify-Timestamp"]
    for request in (first, second):
        assert signatures(request) == [signature_of(key, request)]


def test_a_renewed_key_signs_beside_the_previous_one(platform, application, device, receiver):
    old = renew(platform, application)
    answer = signing_key(platform, application, "renew", "--yes")
    new = answer["signingKey"]
    assert old != new and re.fullmatch(r"\d{8}T\d{6}Z", answer["previousKeyEndTime"])
    request = notification(device, receiver, 1)
    assert signatures(request) == [signature_of(new, request), signature_of(old, request)]


def test_the_previous_key_ends_with_the_overlap(start_platform, receiver):
    platform = start_platform(push__signature_overlap="1s")
    application = platform.application()
    renew(platform, application)
    new = renew(platform, application)
    application.subscribe("deviceDataChanged", receiver.url("/data"))
    device = application.register_device()
    # Answers name the end of the time only while it lasts.
    wait_until(lambda: "previousKeyEndTime" not in signing_key(platform, application, "show"))
    request = notification(device, receiver, 1)
    assert signatures(request) == [signature_of(new, request)]


def test_without_overlap_only_the_new_key_signs(start_platform, receiver):
    platform = start_platform(push__signature_overlap="0")
    application = platform.application()
    application.subscribe("deviceDataChanged", receiver.url("/data"))
    device = application.register_device()
    renew(platform, application)
    notification(device, receiver, 1)
    new = renew(platform, application)
    request = notification(device, receiver, 2)
    assert signatures(request) == [signature_of(new, request)]


def test_a_removed_key_signs_no_more(platform, application, device, receiver):
    renew(platform, application)
    assert signatures(notification(device, receiver, 1))
    assert signing_key(platform, application, "remove", "--yes") is None
    assert "X-Notify-Signature" not in notification(device, receiver, 2).headers
    result = platform.ctl("app", "signing-key", "show", application.id)
    assert result.returncode == 1 and "no signing key" in result.stderr


def test_signing_can_be_switched_off(start_platform, receiver):
    platform = start_platform(push__signature="off")
    application = platform.application()
    renew(platform, application)
    application.subscribe("deviceDataChanged", receiver.url("/data"))
    request = notification(application.register_device(), receiver, 1)
    assert "X-Notify-Signature" not in request.headers


def test_another_instance_signs_with_the_new_key_soon(start_redis, start_platform, receiver):
    redis = start_redis()
    first, second = start_platform(redis=redis), start_platform(redis=redis)
    application = first.application()
    application.subscribe("deviceDataChanged", receiver.url("/data"))
    devices = [application.register_device() for _ in range(8)]
    keys = [renew(first, application)]
    keys.append(renew(second, application))

    def all_are_signed():
        marker = len(receiver.requests())
        for device in devices:
            device.report({"n": marker})
        receiver.wait_for(marker + len(devices))
        new = receiver.requests()[marker:]
        return all(r.headers.get("X-Notify-Signature") ==
                   f"{signature_of(keys[1], r)}, {signature_of(keys[0], r)}" for r in new)
    wait_until(all_are_signed, "two signatures from both instances")


def test_keys_survive_a_restart(start_platform, receiver):
    platform = start_platform()
    application = platform.application()
    key = renew(platform, application)
    application.subscribe("deviceDataChanged", receiver.url("/data"))
    device = application.register_device()
    platform.restart()
    request = notification(device, receiver, 1)
    assert signatures(request) == [signature_of(key, request)]


# --- the command line


def test_the_first_key_needs_no_question_and_the_next_one_does(platform, application):
    first = platform.ctl("-q", "app", "signing-key", "renew", application.name + " x")
    assert first.returncode == 1
    first = platform.ctl("-q", "app", "signing-key", "renew", application.id)
    assert first.returncode == 0, first.stderr
    for action in ("renew", "remove"):
        result = platform.ctl("app", "signing-key", action, application.id)
        assert result.returncode == 1 and "--yes" in result.stderr and result.stdout == ""
    assert platform.ctl("-q", "app", "signing-key", "show", application.id).stdout == first.stdout


def test_show_is_for_people_and_for_programs(platform, application):
    key = renew(platform, application)
    assert signing_key(platform, application, "show") == {"appId": application.id, "signingKey": key}
    text = platform.ctl("app", "signing-key", "show", application.id).stdout
    assert text == f"signing key   {key}\n"
    renew(platform, application)
    text = platform.ctl("app", "signing-key", "show", application.id).stdout
    assert re.search(r"^previous key  signs too until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d$", text, re.M)


def test_keys_are_neither_logged_nor_shown_elsewhere(platform, application, device, receiver):
    key = renew(platform, application)
    notification(device, receiver, 1)
    assert key not in platform.log
    assert key not in platform.ctl("app", "show", application.id, "--json").stdout
    assert key not in platform.ctl("app", "list", "--json").stdout


def test_unknown_actions_and_applications_are_said(platform, application):
    result = platform.ctl("app", "signing-key", "print", application.id)
    assert result.returncode == 2 and "renew" in result.stderr
    for method in ("GET", "POST", "DELETE"):
        response = platform.admin(method, "/admin/v1/apps/nobody/signing-key")
        assert response.status == 404 and response.json["error_code"] == "not_found"

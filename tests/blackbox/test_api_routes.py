"""
What every call of the v1 API answers alike: without a token, over the rate limit, for another application,
without Redis. The calls are taken from the tables of routes in the source, so that none is forgotten; one
that needs a body, or a query, has it in BODIES or QUERIES.
"""

import re
from pathlib import Path

import pytest

from helpers.errors import (APP_NOT_AUTHORIZED, APP_NOT_AUTHORIZED_200, APP_UNKNOWN, APP_UNKNOWN_200,
                            INTERNAL, NO_APP_KEY, THROTTLED, TOKEN_INVALID, expect_refusal)
from helpers.nouns import ADD_TO_GROUP, CREDENTIALS_BY_CODE, CREDENTIALS_BY_SECRET, GROUPS, REMOVE_FROM_GROUP
from helpers.waiting import wait_until

SOURCES = Path(__file__).resolve().parents[2] / "src/api/v1"


def routes():
    """(method, path) of every row that asks for a token."""
    for source in sorted(SOURCES.glob("*.c")):
        text = source.read_text(encoding="utf-8")
        macros = dict(re.findall(r'^#define (\w+) +"([^"]*)"$', text, re.M))
        for method, path in re.findall(r"\{EVHTTP_REQ_(\w+),\s*([^,]+),\s*V1_APP,", text):
            parts = re.findall(r'"([^"]*)"|(\w+)', path)
            yield method, "".join(string or macros[name] for string, name in parts)


ROUTES = list(routes())
every_route = pytest.mark.parametrize("method, path", ROUTES,
                                      ids=lambda value: value.replace("/iocm/app", ""))

SUBSCRIPTION = {"notifyType": "deviceAdded", "callbackUrl": "http://127.0.0.1:9/x"}
COMMAND = {"deviceId": "any", "command": {"serviceId": "any", "method": "any"}}
MEMBERS = {"devGroupId": "any", "deviceIds": ["any"]}

# By the path's end behind its version, which all versions of a call have in common.
BODIES = {
    ("POST", "deviceCredentials"): {"nodeId": "any", "deviceInfo": {"nodeId": "any"}},
    ("POST", "devices"): {"nodeId": "any"},
    ("PUT", "deviceCredentials/{deviceId}"): {},
    ("PUT", "devices/{deviceId}"): {"name": "x",
                                    "serviceDesireds": [{"serviceId": "any", "desired": {"any": 1}}]},
    ("POST", "queryDevicesByIds"): {"deviceIds": ["any"]},
    ("PUT", "devices/{deviceId}/services/{serviceId}"): {"muteCmds": []},
    ("POST", "queryDeviceRealtimeLocation"): {"deviceId": "any"},
    ("POST", "devGroups"): {"name": "any"},
    ("POST", "deviceCommands"): COMMAND,
    ("PUT", "deviceCommands/{deviceCommandId}"): {"status": "CANCELED"},
    ("POST", "deviceCommandCancelTasks"): {"deviceId": "any"},
    ("POST", "devices/{deviceId}/commands"): COMMAND,
    ("PUT", "devices/{deviceId}/commands/{deviceCommandId}"): {"status": "CANCELED"},
    ("POST", "cancelCmd"): {"deviceId": "any"},
    ("POST", "devices/{deviceId}/services/{serviceId}/sendCommand"): {"header": {"method": "any"}},
    ("PUT", "devGroups/{devGroupId}"): {"name": "any"},
    ("POST", "devices/addDevGroupTagToDevices"): MEMBERS,
    ("POST", "devices/deleteDevGroupTagFromDevices"): MEMBERS,
    ("POST", "subscriptions"): SUBSCRIPTION,
    ("POST", "subscribe"): {**SUBSCRIPTION, "notifyType": "swUpgradeResultNotify"},
}
QUERIES = {
    ("GET", "devices/ids"): "devGroupId=any",
    ("GET", "devices"): "pageNo=0",
    ("GET", "queryDeviceIdByNodeId"): "nodeId=any",
    ("GET", "deviceDataHistory"): "deviceId=any",
    ("GET", "deviceDesiredHistory"): "deviceId=any",
}


def end_of(path):
    return re.split(r"/v[\d.]+/", path)[1]


def call(application, method, path, query=""):
    end = end_of(path)
    assert method in ("GET", "DELETE") or (method, end) in BODIES, f"BODIES lacks {method} {end}"
    query = "&".join(filter(None, [QUERIES.get((method, end)), query]))
    target = re.sub(r"\{\w+\}", "any", path) + (f"?{query}" if query else "")
    return application.call(method, target, BODIES.get((method, end)))


def test_the_routes_are_found():
    assert {("POST", CREDENTIALS_BY_CODE), ("POST", CREDENTIALS_BY_SECRET), ("GET", GROUPS),
            ("POST", ADD_TO_GROUP), ("POST", REMOVE_FROM_GROUP)} <= set(ROUTES)
    assert len(ROUTES) > 35


@every_route
def test_a_call_needs_an_application_and_its_token(platform, application, method, path):
    target = re.sub(r"\{\w+\}", "any", path)
    for headers, refusal in (
            ({}, NO_APP_KEY), ({"Authorization": f"Bearer {application.token}"}, NO_APP_KEY),
            ({"app_key": application.id}, TOKEN_INVALID),
            ({"app_key": application.id, "Authorization": "Bearer x"}, TOKEN_INVALID),
            ({"app_key": "nobody", "Authorization": f"Bearer {application.token}"}, TOKEN_INVALID)):
        expect_refusal(platform.api(method, target, None, headers), refusal)


@every_route
@pytest.mark.parametrize("name", ["appId", "accessAppId"])
def test_another_application_is_not_to_be_meant(platform, application, method, path, name):
    other = platform.application()
    unknown, known = APP_UNKNOWN, APP_NOT_AUTHORIZED
    # At some calls they travel with 200.
    if path.startswith(GROUPS) or path.endswith(("/{deviceCommandId}", "/sendCommand")) and method != "GET":
        unknown, known = APP_UNKNOWN_200, APP_NOT_AUTHORIZED_200
    elif path.startswith("/iocm/app/cmd/") and not path.endswith(("CancelTasks", "cancelCmd")):
        unknown = APP_UNKNOWN_200
    expect_refusal(call(application, method, path, f"{name}=nobody"), unknown)
    expect_refusal(call(application, method, path, f"{name}={other.id}"), known)


def test_every_call_over_the_limit_is_throttled(start_platform):
    application = start_platform(auth__api_limit="1", auth__api_interval="1h").application()
    assert application.try_probe().status == 200
    for method, path in ROUTES:
        expect_refusal(call(application, method, path), THROTTLED)


def test_every_call_says_that_redis_is_gone(start_redis, start_platform):
    redis = start_redis()
    application = start_platform(redis=redis, cache__life="50ms").application()
    assert application.try_probe().status == 200
    redis.kill()
    # The application is in the cache for a moment.
    wait_until(lambda: application.post(CREDENTIALS_BY_CODE).status == 500, "the loss of Redis")
    for method, path in ROUTES:
        expect_refusal(call(application, method, path), INTERNAL)

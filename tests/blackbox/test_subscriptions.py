"""Subscriptions: making, replacing, listing and deleting them, and which callbacks are legal."""

import re
from urllib.parse import quote, urlencode

import pytest

from helpers.errors import (ALREADY_SUBSCRIBED, APP_NOT_AUTHORIZED, APP_UNKNOWN, CALLBACK_ILLEGAL,
                            INPUT_INVALID, MANAGEMENT_PARAMETER, NOT_FOUND, expect_empty, expect_json,
                            expect_refusal)
from helpers.nouns import SUBSCRIPTIONS

MANAGEMENT = "/iodm/app/sub/v1.1.0/subscribe"
OLD_FORM = "/iocm/app/sub/v1.1.0/subscribe"

BUSINESS_TYPES = [
    "deviceAdded", "bindDevice", "deviceInfoChanged", "deviceDataChanged", "deviceDatasChanged",
    "deviceCapabilitiesChanged", "deviceCapabilitiesAdded", "deviceCapabilitiesDeleted",
    "deviceDeleted", "messageConfirm", "commandRsp", "deviceEvent", "serviceInfoChanged",
    "deviceModelAdded", "deviceModelDeleted", "ruleEvent",
    "deviceDesiredPropertiesModifyStatusChanged"]
MANAGEMENT_TYPES = ["swUpgradeStateChangeNotify", "swUpgradeResultNotify",
                    "fwUpgradeStateChangeNotify", "fwUpgradeResultNotify"]
ALL_TYPES = BUSINESS_TYPES + MANAGEMENT_TYPES

URL = "http://127.0.0.1:9/x"  # nothing is sent there: no event happens


def listed(application, **query):
    response = application.get(f"{SUBSCRIPTIONS}?{urlencode(query)}")
    assert response.status == 200, response
    return response.json


def ids_of(page):
    return [s["subscriptionId"] for s in page["subscriptions"]]


def subscribe_each(application, *types, path="/x"):
    return [application.subscribe(t, f"http://127.0.0.1:9{path}") for t in types]


# --- subscribing


def test_a_subscription_is_answered_with_its_id(application):
    response = application.try_subscribe("deviceDataChanged", URL)
    subscription_id = response.json["subscriptionId"]
    expect_json(response, 201, {"subscriptionId": subscription_id,
                                "notifyType": "deviceDataChanged", "callbackUrl": URL})
    assert re.fullmatch("[0-9a-f-]{24,36}", subscription_id)


def test_every_type_can_be_subscribed(application):
    made = subscribe_each(application, *ALL_TYPES)
    assert len({s["subscriptionId"] for s in made}) == len(ALL_TYPES)
    assert listed(application)["totalCount"] == len(ALL_TYPES)


@pytest.mark.parametrize("body", [
    "", "{", "[]", "{}", '{"callbackUrl":"%s"}' % URL,
    '{"notifyType":"","callbackUrl":"%s"}' % URL, '{"notifyType":5,"callbackUrl":"%s"}' % URL,
    '{"notifyType":"unknown","callbackUrl":"%s"}' % URL,
    '{"notifyType":"devicedatachanged","callbackUrl":"%s"}' % URL,
    '{"notifyType":"deviceAdded","callbackUrl":5}',
    '{"notifyType":"deviceAdded","callbackUrl":"%s","channel":"PIGEON"}' % URL,
    '{"notifyType":"deviceAdded","callbackUrl":"%s","channel":5}' % URL])
def test_a_subscription_needs_a_proper_body(application, body):
    expect_refusal(application.post(SUBSCRIPTIONS, body), INPUT_INVALID)


def test_optional_members_may_be_empty_or_null(application):
    for members in ({"appId": ""}, {"appId": None}, {"appId": application.id}, {"channel": "http"},
                    {"channel": "HTTP"}, {"channel": None}, {"channel": ""}, {"unknown": 1}):
        application.subscribe("deviceAdded", URL, **members)
    response = application.post(f"{SUBSCRIPTIONS}?ownerFlag=true",
                                {"notifyType": "deviceAdded", "callbackUrl": URL})
    assert response.status == 201
    assert listed(application)["totalCount"] == 1


def test_events_of_another_application_need_its_authorization(platform, application):
    other = platform.application()
    expect_refusal(application.try_subscribe("deviceAdded", URL, appId=other.id), APP_NOT_AUTHORIZED)
    expect_refusal(application.try_subscribe("deviceAdded", URL, appId="nobody"), APP_UNKNOWN)


def test_subscriptions_outlive_tokens_and_the_server(start_platform):
    platform = start_platform()
    application = platform.application()
    made = subscribe_each(application, "deviceAdded", "deviceDeleted")
    application.login()
    platform.restart()
    assert listed(application)["subscriptions"] == made


# --- the callback


@pytest.mark.parametrize("url", [
    "", "/relative", "127.0.0.1:9/x", "ftp://127.0.0.1:9/x", "http://", "http:///x", "http://:9/x",
    "http://127.0.0.1/x", "http://127.0.0.1:9", "http://127.0.0.1", "http://127.0.0.1:9?query",
    "http://127.0.0.1:0/x", "http://127.0.0.1:65536/x", "http://127.0.0.1:port/x",
    "http://user@127.0.0.1:9/x", "http://user:secret@127.0.0.1:9/x", "http://127.0.0.1:9/x#here",
    "http://127.0.0.1:9/a b", " http://127.0.0.1:9/x", "http://127.0.0.1:9/x\r\nX-Header: 1",
    "http://127.0.0.1:9/x\u0000", "http://127.0.0.1:9/x\t", "http://127.0.0.1:9/ü",
    "http://2130706433:9/x", "http://0x7f.1:9/x", "http://127.1:9/x", "http://0177.0.0.1:9/x",
    "http://[::1:9/x", "http://[nonsense]:9/x", "http://exa mple.test:9/x",
    "http://127.0.0.1:9/" + "x" * 1006])
def test_an_illegal_callback_is_refused(application, url):
    # A NUL is refused already where JSON is read.
    refusals = (CALLBACK_ILLEGAL, INPUT_INVALID) if "\0" in url else (CALLBACK_ILLEGAL,)
    expect_refusal(application.try_subscribe("deviceAdded", url), *refusals)
    assert listed(application)["totalCount"] == 0


def test_a_missing_callback_is_an_illegal_one(application):
    expect_refusal(application.post(SUBSCRIPTIONS, {"notifyType": "deviceAdded"}),
                   CALLBACK_ILLEGAL, INPUT_INVALID)


@pytest.mark.parametrize("url", [
    "https://app.example.test:8443/iot/data", "http://app.example.test:80/", "http://127.0.0.1:9/",
    "http://127.0.0.1:9/a?b=c&d=%20/?", "http://[::1]:9/x", "http://8.8.8.8:65535/x",
    "http://127.0.0.1:9/" + "x" * 1005])
def test_a_legal_callback_is_echoed_unchanged(application, url):
    made = application.subscribe("deviceAdded", url)
    assert made["callbackUrl"] == url
    assert application.get(f"{SUBSCRIPTIONS}/{made['subscriptionId']}").json == made


@pytest.mark.parametrize("host", [
    "127.0.0.1", "127.8.8.8", "localhost", "LOCALHOST", "10.1.2.3", "172.16.0.1", "192.168.1.1",
    "169.254.169.254", "100.64.0.1", "0.0.0.0", "198.18.0.1", "224.0.0.1", "255.255.255.255",
    "[::1]", "[::]", "[fe80::1]", "[fd00::1]", "[ff02::1]", "[::ffff:127.0.0.1]",
    "[64:ff9b::7f00:1]"])
def test_addresses_that_are_not_public_are_refused_by_default(forbidding_application, host):
    expect_refusal(forbidding_application.try_subscribe("deviceAdded", f"http://{host}:9/x"),
                   CALLBACK_ILLEGAL)


@pytest.mark.parametrize("host", ["8.8.8.8", "app.example.test", "[2606:4700::1111]",
                                  "172.32.0.1", "100.128.0.1"])
def test_public_addresses_are_allowed_by_default(forbidding_application, host):
    forbidding_application.subscribe("deviceAdded", f"http://{host}:9/x")


@pytest.fixture(scope="module")
def forbidding_application():
    """Of a server that has no exceptions for the networks of callbacks."""
    from helpers.platform import Platform
    platform = Platform(push__allow_networks="").start()
    yield platform.application()
    platform.close()


def test_denied_networks_win_over_allowed_ones(start_platform):
    application = start_platform(push__allow_networks="private, loopback",
                                 push__deny_networks="10.0.0.0/8, 8.8.8.8").application()
    for host in ("10.1.2.3", "8.8.8.8", "169.254.1.1"):
        expect_refusal(application.try_subscribe("deviceAdded", f"http://{host}:9/x"),
                       CALLBACK_ILLEGAL)
    for host in ("192.168.1.1", "127.0.0.1", "8.8.4.4"):
        application.subscribe("deviceAdded", f"http://{host}:9/x")


def test_the_servers_own_listeners_are_never_called_back(platform, application):
    for address in (platform.api_address, platform.device_address):
        expect_refusal(application.try_subscribe("deviceAdded", f"http://{address}/x"),
                       CALLBACK_ILLEGAL)


def test_port_and_path_are_needed_unless_the_setting_says_otherwise(start_platform):
    application = start_platform(subscription__needs_port_and_path="off").application()
    for url in ("http://127.0.0.1/x", "http://127.0.0.1:9", "https://app.example.test"):
        assert application.subscribe("deviceAdded", url)["callbackUrl"] == url


def test_one_host_for_all_callbacks_is_a_setting(start_platform):
    application = start_platform(subscription__needs_one_host="on").application()
    application.subscribe("deviceAdded", "http://127.0.0.1:9/x")
    application.subscribe("deviceDeleted", "http://127.0.0.1:9/another/path")
    for url in ("http://127.0.0.1:10/x", "http://127.0.0.2:9/x"):
        expect_refusal(application.try_subscribe("bindDevice", url), CALLBACK_ILLEGAL)
    # The only subscription may move.
    for subscription in listed(application)["subscriptions"][1:]:
        application.unsubscribe(subscription)
    application.subscribe("deviceAdded", "http://127.0.0.1:10/x")


# --- the same type twice


def test_subscribing_again_replaces_the_callback(application):
    first = application.subscribe("deviceAdded", URL)
    assert application.subscribe("deviceAdded", URL) == first
    moved = application.subscribe("deviceAdded", URL + "2")
    assert moved == {**first, "callbackUrl": URL + "2"}
    assert listed(application)["subscriptions"] == [moved]


def test_conflict_refuses_a_second_subscription_of_a_type(start_platform):
    application = start_platform(subscription__same_type="conflict").application()
    first = application.subscribe("swUpgradeResultNotify", URL)
    for url in (URL, URL + "2"):
        expect_refusal(application.try_subscribe("swUpgradeResultNotify", url), ALREADY_SUBSCRIBED)
    # The older forms know no conflict.
    body = {"notifyType": "swUpgradeResultNotify", "callbackurl": URL + "3"}
    expect_empty(application.post(OLD_FORM, body), 201)
    expect_empty(application.post(MANAGEMENT, body), 200)
    assert listed(application)["subscriptions"] == [{**first, "callbackUrl": URL + "3"}]
    application.unsubscribe(first)
    application.subscribe("swUpgradeResultNotify", URL)


def test_fanout_sends_every_event_to_every_url(start_platform, receiver):
    application = start_platform(subscription__same_type="fanout",
                                 subscription__urls_per_application="2").application()
    first = application.subscribe("deviceAdded", receiver.url("/1"))
    expect_refusal(application.try_subscribe("deviceAdded", receiver.url("/1")), ALREADY_SUBSCRIBED)
    second = application.subscribe("deviceAdded", receiver.url("/2"))
    assert first["subscriptionId"] != second["subscriptionId"]
    expect_refusal(application.try_subscribe("deviceAdded", receiver.url("/3")), INPUT_INVALID)
    device = application.register_device()
    one, two = receiver.wait_for_one("/1"), receiver.wait_for_one("/2")
    assert one.body == two.body and one.json["deviceId"] == device.id
    assert one.notify_id != two.notify_id


# --- the two older forms


@pytest.mark.parametrize("spelling", ["callbackUrl", "callbackurl"])
def test_all_three_forms_take_both_spellings(application, spelling):
    made = application.post(SUBSCRIPTIONS, {"notifyType": "deviceAdded", spelling: URL})
    assert made.status == 201 and made.json["callbackUrl"] == URL
    expect_empty(application.post(OLD_FORM, {"notifyType": "bindDevice", spelling: URL}), 201)
    expect_empty(application.post(MANAGEMENT, {"notifyType": "swUpgradeResultNotify",
                                               spelling: URL}), 200)
    shown = [(s["notifyType"], s["callbackUrl"]) for s in listed(application)["subscriptions"]]
    assert shown == [("deviceAdded", URL), ("bindDevice", URL), ("swUpgradeResultNotify", URL)]


def test_the_older_forms_replace_the_callback(application):
    for url in (URL, URL, URL + "2"):
        expect_empty(application.post(OLD_FORM, {"notifyType": "bindDevice", "callbackurl": url}), 201)
        expect_empty(application.post(MANAGEMENT, {"notifyType": "fwUpgradeResultNotify",
                                                   "callbackurl": url}), 200)
    assert {s["callbackUrl"] for s in listed(application)["subscriptions"]} == {URL + "2"}
    assert listed(application)["totalCount"] == 2


@pytest.mark.parametrize("body", ["", "{", "{}", '{"callbackurl":"%s"}' % URL,
                                  '{"notifyType":"deviceAdded","callbackurl":"%s"}' % URL,
                                  '{"notifyType":"unknown","callbackurl":"%s"}' % URL,
                                  '{"notifyType":5,"callbackurl":"%s"}' % URL])
def test_management_takes_management_types_only(application, body):
    expect_refusal(application.post(MANAGEMENT, body), MANAGEMENT_PARAMETER)


def test_the_older_forms_check_callback_type_and_application(platform, application):
    other = platform.application()
    for path, notify_type in ((OLD_FORM, "deviceAdded"), (MANAGEMENT, "swUpgradeResultNotify")):
        body = {"notifyType": notify_type, "callbackurl": "http://127.0.0.1/x"}
        expect_refusal(application.post(path, body), CALLBACK_ILLEGAL)
    body = {"notifyType": "deviceAdded", "callbackurl": URL}
    expect_refusal(application.post(OLD_FORM, {**body, "appId": other.id}), APP_NOT_AUTHORIZED)
    expect_refusal(application.post(OLD_FORM, {**body, "appId": "nobody"}), APP_UNKNOWN)
    expect_refusal(application.post(OLD_FORM, {**body, "notifyType": "unknown"}), INPUT_INVALID)


# --- listing


def test_without_a_page_number_everything_is_listed_oldest_first(application):
    assert listed(application) == {"totalCount": 0, "pageNo": 0, "pageSize": 0, "subscriptions": []}
    made = subscribe_each(application, *ALL_TYPES)
    expected = {"totalCount": 21, "pageNo": 0, "pageSize": 21, "subscriptions": made}
    assert listed(application) == expected
    assert listed(application, pageSize=2) == expected
    # Replacing does not move it.
    moved = application.subscribe(ALL_TYPES[3], URL + "2")
    assert listed(application)["subscriptions"][3] == moved


def test_pages_follow_each_other(application):
    made = subscribe_each(application, *ALL_TYPES)
    assert listed(application, pageNo=0) == {
        "totalCount": 21, "pageNo": 0, "pageSize": 10, "subscriptions": made[:10]}
    assert listed(application, pageNo=2)["subscriptions"] == made[20:]
    assert listed(application, pageNo=1, pageSize=4) == {
        "totalCount": 21, "pageNo": 1, "pageSize": 4, "subscriptions": made[4:8]}
    assert listed(application, pageNo=3) == {
        "totalCount": 21, "pageNo": 3, "pageSize": 10, "subscriptions": []}
    assert listed(application, pageNo=2147483647, pageSize=2147483647)["subscriptions"] == []


@pytest.mark.parametrize("query", ["pageNo=-1", "pageNo=x", "pageNo=1.5", "pageNo=0&pageSize=0",
                                   "pageNo=0&pageSize=-1", "pageNo=0&pageSize=x",
                                   "pageNo=99999999999999999999"])
def test_a_page_is_named_by_numbers(application, query):
    expect_refusal(application.get(f"{SUBSCRIPTIONS}?{query}"), INPUT_INVALID)


def test_a_list_can_be_filtered(application):
    one, two = subscribe_each(application, "deviceAdded", "bindDevice", path="/a?b=c")
    three = application.subscribe("deviceDeleted", URL)
    assert ids_of(listed(application, notifyType="bindDevice")) == ids_of({"subscriptions": [two]})
    assert listed(application, callbackUrl="http://127.0.0.1:9/a?b=c")["subscriptions"] == [one, two]
    assert listed(application, callbackUrl=URL, notifyType="deviceDeleted")["subscriptions"] == [three]
    assert listed(application, callbackUrl=URL, notifyType="deviceAdded")["totalCount"] == 0
    assert listed(application, channel="HTTP")["totalCount"] == 3
    assert listed(application, channel="MQTTS")["totalCount"] == 0
    page = listed(application, pageNo=1, pageSize=1, callbackUrl="http://127.0.0.1:9/a?b=c")
    assert page == {"totalCount": 2, "pageNo": 1, "pageSize": 1, "subscriptions": [two]}


def test_a_subscription_is_found_by_its_own_application_only(platform, application):
    made = application.subscribe("deviceAdded", URL)
    path = f"{SUBSCRIPTIONS}/{made['subscriptionId']}"
    expect_json(application.get(path), 200, made)
    other = platform.application()
    for response in (other.get(path), other.delete(path), application.get(f"{SUBSCRIPTIONS}/0"),
                     application.get(f"{SUBSCRIPTIONS}/{'0' * 300}"),
                     application.delete(f"{SUBSCRIPTIONS}/{'0' * 24}")):
        expect_refusal(response, NOT_FOUND)
    assert listed(other)["totalCount"] == 0


# --- deleting


def test_a_deleted_subscription_is_gone(application):
    one, two = subscribe_each(application, "deviceAdded", "bindDevice")
    path = f"{SUBSCRIPTIONS}/{one['subscriptionId']}"
    expect_empty(application.delete(path, headers={"Content-Type": "application/json"}), 204)
    expect_refusal(application.delete(path), NOT_FOUND)
    expect_refusal(application.get(path), NOT_FOUND)
    assert listed(application)["subscriptions"] == [two]
    again = application.subscribe("deviceAdded", URL)
    assert again["subscriptionId"] != one["subscriptionId"]


def delete_batch(application, **query):
    return application.delete(f"{SUBSCRIPTIONS}?{urlencode(query, quote_via=quote)}")


@pytest.mark.parametrize("query, left", [
    ({}, []),
    ({"channel": "HTTP"}, []),
    ({"channel": ""}, []),
    ({"channel": "MQTTS"}, ["deviceAdded", "bindDevice", "deviceDeleted"]),
    ({"channel": "PIGEON"}, ["deviceAdded", "bindDevice", "deviceDeleted"]),
    ({"channel": "PIGEON", "notifyType": "bindDevice"}, ["deviceAdded", "bindDevice", "deviceDeleted"]),
    ({"notifyType": "bindDevice"}, ["deviceAdded", "deviceDeleted"]),
    ({"callbackUrl": "http://127.0.0.1:9/a?b=c&d=e"}, ["deviceDeleted"]),
    ({"callbackUrl": URL, "notifyType": "deviceDeleted"}, ["deviceAdded", "bindDevice"]),
    ({"callbackUrl": URL, "notifyType": "deviceAdded"}, ["deviceAdded", "bindDevice", "deviceDeleted"]),
    ({"callbackUrl": "http://127.0.0.1:9/other"}, ["deviceAdded", "bindDevice", "deviceDeleted"]),
    ({"unknown": "x"}, []),
], ids=str)
def test_a_batch_delete_takes_what_all_filters_match(platform, application, query, left):
    other = platform.application()
    subscribe_each(other, "deviceAdded", "bindDevice")
    subscribe_each(application, "deviceAdded", "bindDevice", path="/a?b=c&d=e")
    application.subscribe("deviceDeleted", URL)
    expect_empty(delete_batch(application, **query), 204)
    assert [s["notifyType"] for s in listed(application)["subscriptions"]] == left
    assert listed(other)["totalCount"] == 2


def test_a_batch_delete_of_a_type_that_is_not_subscribed_finds_nothing(application):
    application.subscribe("deviceAdded", URL)
    expect_refusal(delete_batch(application, notifyType="bindDevice"), NOT_FOUND)
    expect_refusal(delete_batch(application, notifyType="unknown"), NOT_FOUND)
    expect_empty(delete_batch(application), 204)
    expect_empty(delete_batch(application), 204)

"""What devices have reported: deviceDataHistory, how much of it is kept, and for how long."""

import time
from urllib.parse import urlencode

import pytest

from helpers import http
from helpers.errors import (APP_NOT_AUTHORIZED, APP_UNKNOWN, APPLICATION_INPUT, DEVICE_OR_GATEWAY,
                            HISTORY_UNKNOWN, INTERNAL, expect_refusal)
from helpers.waiting import wait_until, wait_until_clock

HISTORY = "/iocm/app/data/v1.2.0/deviceDataHistory"
OLDER_HISTORY = "/iocm/app/data/v1.1.0/deviceDataHistory"


def ask(application, path=HISTORY, **query):
    return application.get(f"{path}?{urlencode(query)}")


def history(application, path=HISTORY, **query):
    response = ask(application, path, **query)
    assert response.status == 200 and "totalCount" in response.json, response
    return response.json


def records(application, **query):
    return history(application, **{"pageSize": 2000, **query})["deviceDataHistoryDTOs"]


def litres(found):
    return [record["data"]["litres"] for record in found]


def report_litres(device, *values, **members):
    for value in values:
        device.report({"litres": value}, **members)


# --- the answer


@pytest.mark.parametrize("path", [HISTORY, OLDER_HISTORY])
def test_a_report_is_a_record_for_each_service_the_last_one_first(application, device, path):
    device.report_services([
        {"service_id": "Flow", "properties": {"litres": 0.10, "text": "ü"},
         "event_time": "20190822T014400Z"},
        {"service_id": "Valve", "properties": {"position": [1, {"a": None}]},
         "event_time": "20190822T014500Z"}])
    common = {"deviceId": device.id, "gatewayId": device.id, "appId": application.id}
    response = ask(application, path, deviceId=device.id, gatewayId=device.id, pageNo=0, pageSize=10)
    assert response.json == {
        "totalCount": 2, "pageNo": 0, "pageSize": 10, "deviceDataHistoryDTOs": [
            {**common, "serviceId": "Valve", "data": {"position": [1, {"a": None}]},
             "timestamp": "20190822T014500Z"},
            {**common, "serviceId": "Flow", "data": {"litres": 0.10, "text": "ü"},
             "timestamp": "20190822T014400Z"}]}
    assert b'"litres":0.1' in response.body
    assert response.headers["Content-Type"] == "application/json"


def test_a_device_that_has_reported_nothing_has_an_empty_history(application, device):
    assert history(application, deviceId=device.id) == {
        "totalCount": 0, "pageNo": 0, "pageSize": 1, "deviceDataHistoryDTOs": []}


def test_messages_are_not_in_the_history(application, device):
    assert device.try_message("hello").status == 200
    assert history(application, deviceId=device.id)["totalCount"] == 0


def test_pages_come_newest_first_and_have_one_record_by_default(application, device):
    report_litres(device, 1, 2, 3, 4, 5)
    page = history(application, deviceId=device.id)
    assert (page["totalCount"], page["pageSize"], litres(page["deviceDataHistoryDTOs"])) == (5, 1, [5])
    pages = [history(application, deviceId=device.id, pageNo=n, pageSize=2) for n in range(4)]
    assert [litres(p["deviceDataHistoryDTOs"]) for p in pages] == [[5, 4], [3, 2], [1], []]
    assert [(p["totalCount"], p["pageNo"], p["pageSize"]) for p in pages] == [
        (5, n, 2) for n in range(4)]


def test_more_than_a_slice_is_read_whole(application, device):
    with http.Client(application.platform.device_address) as client:
        for value in range(120):
            device.report({"litres": value}, client=client)
    assert litres(records(application, deviceId=device.id)) == list(range(119, -1, -1))


def test_a_service_and_a_property_can_be_picked(application, device):
    device.report({"litres": 1})
    device.report({"position": 2}, service="Valve")
    device.report({"litres": 3, "position": 4})
    assert litres(records(application, deviceId=device.id, serviceId="Flow")) == [3, 1]
    assert [r["data"] for r in records(application, deviceId=device.id, property="position")] == [
        {"litres": 3, "position": 4}, {"position": 2}]
    page = history(application, deviceId=device.id, serviceId="Valve", property="litres", pageSize=9)
    assert (page["totalCount"], page["deviceDataHistoryDTOs"]) == (0, [])


def test_a_range_of_time_includes_both_ends(application, device):
    for second in range(5):
        device.report({"litres": second}, event_time=f"2019-08-22T01:44:0{second}.500Z")

    def within(**query):
        return litres(records(application, deviceId=device.id, **query))
    assert within(startTime="20190822T014401Z") == [4, 3, 2, 1]
    assert within(endTime="20190822T014401Z") == [1, 0]
    assert within(startTime="20190822T014402Z", endTime="20190822T014403Z") == [3, 2]
    assert within(startTime="20190822T014405Z") == []


# --- refusals


@pytest.mark.parametrize("wrong", [
    {"pageSize": 2001}, {"pageSize": 0}, {"pageSize": "many"}, {"pageSize": -1}, {"pageNo": -1},
    {"pageNo": "first"}, {"pageNo": 2 ** 31}, {"startTime": "yesterday"}, {"endTime": "20190231T000000Z"},
    {"startTime": "20190822T014402Z", "endTime": "20190822T014401Z"}, {"serviceId": "x" * 257},
    {"property": "x" * 257}, {"gatewayId": "x" * 257}])
def test_a_wrong_parameter_is_refused(application, device, wrong):
    expect_refusal(ask(application, deviceId=device.id, **wrong), APPLICATION_INPUT)


def test_the_largest_page_is_allowed(application, device):
    assert history(application, deviceId=device.id, pageSize=2000)["pageSize"] == 2000


@pytest.mark.parametrize("query", [{}, {"deviceId": "", "gatewayId": ""}, {"pageNo": 0}])
def test_a_device_or_a_gateway_must_be_named(application, query):
    expect_refusal(ask(application, **query), DEVICE_OR_GATEWAY)


def test_a_device_that_is_not_there_has_no_history(application, platform, device):
    expect_refusal(ask(application, deviceId="nobody"), HISTORY_UNKNOWN)
    expect_refusal(ask(application, gatewayId="nobody"), HISTORY_UNKNOWN)
    expect_refusal(ask(application, deviceId="%00/.."), HISTORY_UNKNOWN)
    stranger = platform.application()
    expect_refusal(ask(stranger, deviceId=device.id), HISTORY_UNKNOWN)
    expect_refusal(ask(stranger, gatewayId=device.id), HISTORY_UNKNOWN)


def test_another_application_cannot_be_asked_for(application, platform, device):
    other = platform.application()
    assert history(application, deviceId=device.id, appId=application.id)["totalCount"] == 0
    expect_refusal(ask(application, deviceId=device.id, appId=other.id), APP_NOT_AUTHORIZED)
    expect_refusal(ask(application, deviceId=device.id, appId="nobody"), APP_UNKNOWN)


def test_without_redis_the_history_is_an_internal_error(start_redis, start_platform):
    redis = start_redis()
    platform = start_platform(redis=redis, redis__command_timeout="300ms")
    application = platform.application()
    device = application.register_device()
    assert history(application, deviceId=device.id)["totalCount"] == 0
    redis.freeze()
    try:
        expect_refusal(ask(application, deviceId=device.id), INTERNAL)
    finally:
        redis.thaw()


# --- behind a gateway


def test_a_gateway_alone_asks_for_all_its_devices_newest_first(application):
    gateway = application.register_device()
    first, second = (application.register_device(gateway=gateway) for _ in range(2))
    for report in (lambda: report_litres(gateway, 1), lambda: gateway.report_for(first, litres=2),
                   lambda: gateway.report_for(second, litres=3),
                   lambda: gateway.report_for(first, litres=4), lambda: report_litres(gateway, 5)):
        report()
        wait_until_clock(time.time() + 0.002)  # between devices the millisecond counts
    found = records(application, gatewayId=gateway.id)
    assert litres(found) == [5, 4, 3, 2, 1]
    assert [r["deviceId"] for r in found] == [gateway.id, first.id, second.id, first.id, gateway.id]
    assert {r["gatewayId"] for r in found} == {gateway.id}
    page = history(application, gatewayId=gateway.id, pageNo=1, pageSize=2)
    assert (page["totalCount"], litres(page["deviceDataHistoryDTOs"])) == (5, [3, 2])
    assert litres(records(application, gatewayId=gateway.id, deviceId=second.id)) == [3]


def test_many_slices_of_several_devices_are_merged(application):
    gateway = application.register_device()
    children = [application.register_device(gateway=gateway) for _ in range(3)]
    for value in range(0, 60, 2):
        gateway.report_for(children[0], litres=value)
        gateway.report_for(children[1 + value % 4 // 2], litres=value + 1)
    found = records(application, gatewayId=gateway.id)
    assert sorted(litres(found)) == list(range(60))
    for child in children:  # between devices the millisecond counts
        own = litres(r for r in found if r["deviceId"] == child.id)
        assert own == sorted(own, reverse=True)
    assert max(abs(a - b) for a, b in zip(litres(found), range(59, -1, -1))) < 10


def test_a_gateway_with_too_many_devices_is_not_read_at_once(start_platform):
    application = start_platform(history__gateway_devices="2").application()
    gateway = application.register_device()
    for _ in range(2):
        application.register_device(gateway=gateway)
    assert history(application, gatewayId=gateway.id)["totalCount"] == 0
    child = application.register_device(gateway=gateway)
    expect_refusal(ask(application, gatewayId=gateway.id), APPLICATION_INPUT)
    assert history(application, gatewayId=gateway.id, deviceId=child.id)["totalCount"] == 0


# --- what is kept


def test_the_number_of_reports_kept_is_limited(start_platform):
    application = start_platform(history__max_entries="10").application()
    device = application.register_device()
    report_litres(device, *range(230))
    found = litres(records(application, deviceId=device.id))
    assert 10 <= len(found) < 120  # a stream forgets a hundred at a time
    assert found == list(range(229, 229 - len(found), -1))


def test_large_reports_leave_room_for_few(start_platform):
    application = start_platform(history__max_bytes="20k").application()
    device = application.register_device()
    for value in range(30):
        device.report({"litres": value, "text": "x" * 5200})
    found = litres(records(application, deviceId=device.id))
    assert found == [29, 28, 27, 26]


def test_no_history_is_kept_when_none_is_wanted(start_platform):
    platform = start_platform(history__max_entries="0")
    application = platform.application()
    device = application.register_device()
    device.report({"litres": 1})
    assert history(application, deviceId=device.id)["totalCount"] == 0


def test_a_device_decides_by_its_aging_time(application, device):
    report_litres(device, 1)
    device.modify(deviceConfig={"dataConfig": {"dataAgingTime": 0}})
    report_litres(device, 2)
    assert history(application, deviceId=device.id)["totalCount"] == 0
    device.modify(deviceConfig={"dataConfig": {"dataAgingTime": 90}})
    report_litres(device, 3)
    assert litres(records(application, deviceId=device.id)) == [3, 1]
    device.modify(deviceConfig={"dataConfig": {}})
    report_litres(device, 4)
    assert litres(records(application, deviceId=device.id)) == [4, 3, 1]


def test_what_has_grown_too_old_is_not_shown(start_platform):
    application = start_platform(history__max_age="1s").application()
    device = application.register_device()
    device.report({"litres": 1}, event_time="2199-01-01T00:00:00.000Z")
    wait_until(lambda: history(application, deviceId=device.id)["totalCount"] == 0, "aging")


def test_an_answer_that_would_be_too_large_ends_early(start_platform):
    application = start_platform(history__answer_bytes="4k").application()
    device = application.register_device()
    for value in range(10):
        device.report({"litres": value, "text": "x" * 1100})
    page = history(application, deviceId=device.id, pageSize=10)
    assert page["totalCount"] == 10
    assert litres(page["deviceDataHistoryDTOs"]) == [9, 8]
    page = history(application, deviceId=device.id, pageNo=1, pageSize=2)
    assert litres(page["deviceDataHistoryDTOs"]) == [7, 6]


def test_the_history_goes_with_its_device(start_redis, start_platform):
    redis = start_redis()
    application = start_platform(redis=redis).application()
    device = application.register_device()
    device.report({"litres": 1})
    client = redis.client()
    assert b":h:" in client("KEYS", "*:h:*")[0]
    device.delete()
    assert client("KEYS", "*:h:*") == []
    expect_refusal(ask(application, deviceId=device.id), HISTORY_UNKNOWN)

"""Queries for several devices: by attributes and page, by node id, by ids."""

import itertools
import time
from datetime import datetime, timezone

import pytest

from helpers.cluster import at
from helpers.errors import (APP_NOT_AUTHORIZED, APP_UNKNOWN, APPLICATION_INPUT, DEVICE_UNKNOWN,
                            GATEWAY_AND_PAGE_MISSING, INPUT_INVALID, QUERY_PARAMETER, TOKEN_INVALID,
                            expect_json, expect_refusal)
from helpers.nouns import CREDENTIALS_BY_CODE, DEVICES, new_name
from helpers.waiting import wait_until

BY_NODE = "/iocm/app/dm/v1.1.0/queryDeviceIdByNodeId"
BY_IDS = "/iocm/app/dm/v1.1.0/queryDevicesByIds"


def find(application, path=DEVICES, **query):
    response = application.get(path + "?" + "&".join(f"{k}={v}" for k, v in query.items()))
    assert response.status == 200, response
    return response.json


def ids(answer):
    return [device["deviceId"] for device in answer["devices"]]


def found(application, **query):
    """All that match, newest first; the count agrees."""
    answer = find(application, pageNo=0, pageSize=250, **query)
    assert answer["totalCount"] == len(answer["devices"])
    return ids(answer)


def wait_until_found(application, wanted, **query):
    def agrees():
        answer = find(application, pageNo=0, pageSize=250, **query)
        return (answer["totalCount"], ids(answer)) == (len(wanted), wanted)
    wait_until(agrees, f"{query} to give {wanted}")


def register(application, count, **how):
    return [application.register_device(**how) for _ in range(count)]


# --- pages


@pytest.mark.parametrize("version", ["v1.4.0", "v1.3.0", "v1.1.0"])
def test_a_page_holds_whole_devices_newest_first(application, version):
    devices = register(application, 3, info={"name": "meter", "deviceType": "WaterMeter"})
    answer = find(application, f"/iocm/app/dm/{version}/devices", pageNo=0)
    assert answer == {"totalCount": 3, "pageNo": 0, "pageSize": 25,
                      "devices": [device.query() for device in reversed(devices)]}


def test_pages_follow_each_other_in_both_directions(application):
    wanted = [device.id for device in register(application, 7)]
    for sort, order in (("ASC", wanted), ("desc", wanted[::-1])):
        pages = [find(application, pageNo=n, pageSize=3, sort=sort) for n in range(4)]
        assert [ids(page) for page in pages] == [order[:3], order[3:6], order[6:], []]
        assert [(p["totalCount"], p["pageNo"], p["pageSize"]) for p in pages] == \
            [(7, n, 3) for n in range(4)]


def test_pages_far_beyond_the_end_are_empty(application, device):
    answer = find(application, pageNo=2147483647, pageSize=250)
    assert (answer["totalCount"], answer["devices"]) == (1, [])


def test_an_application_without_devices_has_an_empty_page(application):
    assert find(application, pageNo=0) == {"totalCount": 0, "pageNo": 0, "pageSize": 25,
                                           "devices": []}


def test_devices_of_other_applications_are_not_among_them(platform, application, device):
    other = platform.application()
    assert found(other) == []
    register(other, 1)
    assert found(application) == [device.id]


def test_a_gateway_without_page_number_gives_all_behind_it_and_itself(application):
    gateway = application.register_device()
    children = register(application, 30, gateway=gateway)
    register(application, 2)
    answer = find(application, gatewayId=gateway.id)
    assert ids(answer) == [d.id for d in reversed([gateway, *children])]
    assert (answer["totalCount"], answer["pageNo"], answer["pageSize"]) == (31, 0, 31)
    answer = find(application, gatewayId=gateway.id, pageNo=1, pageSize=30)
    assert (answer["totalCount"], ids(answer)) == (31, [gateway.id])


def test_a_query_without_pages_has_a_limit(start_platform):
    application = start_platform(device__per_query="3").application()
    gateway = application.register_device()
    register(application, 4, gateway=gateway)
    answer = find(application, gatewayId=gateway.id)
    assert (answer["totalCount"], len(answer["devices"]), answer["pageSize"]) == (5, 3, 3)


def test_the_imsi_is_shown_when_it_is_selected(application):
    application.register_device(by_code=True, imsi="460011234567890")
    assert find(application, pageNo=0)["devices"][0]["deviceInfo"]["imsi"] is None
    shown = find(application, pageNo=0, select="IMSI")["devices"][0]
    assert shown["deviceInfo"]["imsi"] == "460011234567890"


# --- filters


def test_each_text_filters_exactly(application):
    one = application.register_device(info={"name": "north gate", "deviceType": "Gate",
                                            "location": "Tromsø"})
    two = application.register_device(info={"name": "south gate", "deviceType": "Gate",
                                            "location": "Oslo"})
    register(application, 2)
    assert found(application, name="north%20gate") == [one.id]
    assert found(application, name="gate") == []
    assert found(application, deviceType="Gate") == [two.id, one.id]
    assert found(application, deviceType="gate") == []
    assert found(application, location="Troms%C3%B8") == [one.id]
    assert found(application, location="Oslo", deviceType="Gate", name="south%20gate") == [two.id]
    assert found(application, location="Oslo", name="north%20gate") == []
    assert len(found(application, name="")) == 4


def test_node_types_are_told_apart(application):
    gateway = application.register_device()
    child = application.register_device(gateway=gateway)
    assert found(application, nodeType="GATEWAY") == [gateway.id]
    assert found(application, nodeType="endpoint") == [child.id]
    assert found(application, nodeType="UNKNOWN") == found(application, nodeType="Unknow") == []


def test_status_is_followed(application):
    active, idle = register(application, 2)
    assert found(application, status="INACTIVE") == [idle.id, active.id]
    active.report({"litres": 1})
    wait_until_found(application, [active.id], status="online")
    assert found(application, status="INACTIVE") == found(application, status="INBOX") == [idle.id]
    assert found(application, status="OFFLINE") == [idle.id], "what is shown as OFFLINE"
    assert found(application, status="ABNORMAL") == []


def test_with_the_new_status_set_inactive_devices_are_not_offline(start_platform):
    platform = start_platform(device__old_status_set="off", device__abnormal_after="0",
                              device__offline_after="1s")
    application = platform.application()
    active, idle = register(application, 2)
    assert found(application, status="OFFLINE") == []
    assert found(application, status="INACTIVE") == [idle.id, active.id]
    active.report({"litres": 1})
    wait_until_found(application, [active.id], status="OFFLINE")
    assert found(application, status="INACTIVE") == [idle.id]
    assert found(application, status="ONLINE") == []


def test_silence_is_followed(start_platform):
    platform = start_platform(device__abnormal_after="300ms", device__offline_after="1h")
    application = platform.application()
    device = application.register_device()
    device.report({"litres": 1})
    wait_until_found(application, [device.id], status="ABNORMAL")
    assert found(application, status="ONLINE") == []


def created(device):
    text = device.query()["createTime"]
    return text, datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc).timestamp()


def shifted(seconds, by):
    return datetime.fromtimestamp(seconds + by, timezone.utc).strftime("%Y%m%dT%H%M%SZ")


def test_times_of_registration_are_inclusive(application):
    device = application.register_device()
    text, seconds = created(device)
    assert found(application, startTime=text, endTime=text) == [device.id]
    assert found(application, startTime=text) == found(application, endTime=text) == [device.id]
    assert found(application, startTime=shifted(seconds, 1)) == []
    assert found(application, endTime=shifted(seconds, -1)) == []
    assert found(application, startTime=shifted(seconds, 2), endTime=shifted(seconds, -2)) == []


def test_times_divide_devices_by_their_registration(application):
    early = register(application, 3)
    _, seconds = created(early[-1])
    wait_until(lambda: time.time() >= seconds + 1, "the next second")
    late = register(application, 2, info={"name": "late"})
    border = created(late[0])[0]
    assert found(application, startTime=border) == [d.id for d in reversed(late)]
    assert found(application, endTime=shifted(seconds, 0)) == [d.id for d in reversed(early)]
    assert found(application, startTime=border, name="late", status="INACTIVE") == \
        [d.id for d in reversed(late)]
    page = find(application, startTime=border, pageNo=1, pageSize=1, sort="ASC")
    assert (page["totalCount"], ids(page)) == (2, [late[1].id])


def test_all_filters_together_give_what_each_of_them_leaves(application):
    values = {"name": ("a", "b"), "deviceType": ("x", "y"), "location": ("here", "there")}
    gateway = application.register_device()
    made = {}
    for choice in itertools.product(*values.values()):
        info = dict(zip(values, choice))
        made[choice] = [application.register_device(info=info),
                        application.register_device(info=info, gateway=gateway)]
    for choice, (direct, child) in made.items():
        query = dict(zip(values, choice))
        assert found(application, **query, nodeType="ENDPOINT", gatewayId=gateway.id) == [child.id]
        assert found(application, **query, nodeType="GATEWAY", status="INACTIVE") == [direct.id]
        assert found(application, **query) == [child.id, direct.id]


# --- the index follows


def test_a_modification_is_seen_at_once(application, device):
    device.modify(name="new name", location="somewhere")
    assert found(application, name="new%20name") == [device.id]
    device.modify(name="other name", deviceType="Lamp")
    assert found(application, name="new%20name") == []
    assert found(application, name="other%20name", deviceType="Lamp", location="somewhere") == \
        [device.id]


def test_a_deleted_device_is_not_counted_any_more(application):
    one, two, three = register(application, 3, info={"name": "same"})
    two.delete()
    assert found(application) == found(application, name="same") == [three.id, one.id]
    one.delete()
    three.delete()
    assert found(application) == found(application, name="same") == []
    four = application.register_device(info={"name": "same"})
    assert found(application, name="same") == [four.id]


def test_children_that_lose_their_gateway_become_gateways(application):
    gateway = application.register_device()
    child = application.register_device(gateway=gateway)
    gateway.delete("?cascade=false")
    assert found(application, nodeType="GATEWAY") == [child.id]
    assert found(application, gatewayId=gateway.id) == []
    assert found(application, gatewayId=child.id) == [child.id]


def test_a_failed_registration_leaves_nothing_behind(application):
    code = new_name()
    first = application.register_device(by_code=True, verifyCode=code)
    response = application.try_register(CREDENTIALS_BY_CODE, nodeId=new_name(), verifyCode=code)
    assert response.status == 400, response
    assert found(application) == [first.id]


def test_an_expired_registration_is_not_counted_any_more(start_platform):
    application = start_platform().application()
    kept = application.register_device()
    application.register_device(by_code=True, timeout=1)
    wait_until_found(application, [kept.id])


def test_what_no_request_has_written_the_owner_writes(start_redis, start_platform):
    """The record says something else, and it is marked: as after a crash between the two."""
    redis = start_redis()
    platform = start_platform(redis=redis)
    application = platform.application()
    device = application.register_device(info={"name": "old"})
    client = redis.client()
    record = next(k for k in client("KEYS", f"*:d:{device.id}")).decode()
    tag = record[:record.index("}") + 1]
    client("HSET", record, "name", "new", "version", "7")
    client("SADD", f"{tag}:dirty", f"{application.id}:{device.id}")
    wait_until_found(application, [device.id], name="new")
    assert found(application, name="old") == []
    client("DEL", record)
    client("SADD", f"{tag}:working", f"{application.id}:{device.id}")
    wait_until_found(application, [])
    wait_until(lambda: not client("KEYS", "{p*}:dirty") and not client("KEYS", "{p*}:working"),
               "the marks to be gone")
    assert client("KEYS", f"{{a{application.id}}}:x:*") == [], "the block is gone with its last device"
    platform.wait_for_metric("device_index_updates_total", 1, result="done")
    client.close()


def test_an_older_state_does_not_replace_a_newer_one(start_redis, start_platform):
    redis = start_redis()
    application = start_platform(redis=redis).application()
    device = application.register_device(info={"name": "first"})
    device.modify(name="second")
    client = redis.client()
    record = next(k for k in client("KEYS", f"*:d:{device.id}")).decode()
    tag = record[:record.index("}") + 1]
    client("HSET", record, "version", "1")
    client("SADD", f"{tag}:dirty", f"{application.id}:{device.id}")
    wait_until(lambda: not client("EXISTS", f"{tag}:dirty", f"{tag}:working"), "the mark to be taken")
    assert found(application, name="second") == [device.id]
    client.close()


def test_an_application_that_is_deleted_leaves_no_index(start_redis, start_platform):
    redis = start_redis()
    platform = start_platform(redis=redis)
    application = platform.application()
    register(application, 5, info={"name": "x"})
    assert platform.admin("DELETE", f"/admin/v1/apps/{application.id}?cascade=true").status == 204
    client = redis.client()
    assert client("KEYS", f"{{a{application.id}}}:*") == []
    client.close()


def test_the_index_is_the_same_at_all_instances(cluster):
    members = cluster(2).members
    application = members[0].application()
    device = application.register_device(info={"name": "n"})
    there = at(application, members[1])
    assert found(there, name="n") == [device.id]
    device.modify(name="m")
    assert found(there, name="m") == [device.id]
    device.report({"litres": 1})
    wait_until_found(there, [device.id], status="ONLINE")
    device.delete()
    assert found(there) == []


def test_a_killed_owner_leaves_the_rest_to_the_next_one(cluster):
    machine = cluster(2)
    application = machine.members[0].application()
    devices = register(application, 20, info={"name": "n"})
    there = at(application, machine.members[1])
    for device in devices:
        device.report({"litres": 1})
    machine.kill(machine.members[0])
    wait_until_found(there, [d.id for d in reversed(devices)], status="ONLINE", name="n")


# --- many devices: ordinals are moved on, as if more had been registered before


def with_ordinals_from(redis, platform, ordinal):
    application = platform.application()
    client = redis.client()
    client("HSET", f"{{a{application.id}}}:ord", "next", ordinal)
    client.close()
    return application


@pytest.mark.parametrize("first", [65_530, 8_190, 5_000_000_000 - 6])
def test_pages_go_over_the_borders_of_blocks(start_redis, start_platform, first):
    redis = start_redis()
    platform = start_platform(redis=redis)
    application = with_ordinals_from(redis, platform, first)
    devices = [application.register_device(info={"name": f"n{i % 2}"}) for i in range(13)]
    wanted = [d.id for d in devices]
    for sort, order in (("ASC", wanted), ("DESC", wanted[::-1])):
        pages = [find(application, pageNo=n, pageSize=5, sort=sort) for n in range(3)]
        assert sum(map(ids, pages), []) == order
        assert {page["totalCount"] for page in pages} == {13}
    assert found(application, name="n0", status="INACTIVE") == wanted[::2][::-1]
    border = created(devices[6])[0]
    assert found(application, startTime=border, endTime=border) == \
        [d.id for d in reversed(devices) if created(d)[0] == border]
    devices[0].modify(name="other")
    devices[12].modify(name="other")
    assert found(application, name="other") == [wanted[12], wanted[0]]
    for device in devices[:7]:
        device.delete()
    assert found(application) == wanted[:6:-1]
    assert found(application, name="n1") == [wanted[i] for i in (11, 9, 7)]


@pytest.mark.parametrize("first", [0, 64_900])
def test_many_at_once_are_indexed_like_one_after_the_other(start_redis, start_platform, first):
    redis = start_redis()
    platform = start_platform(redis=redis)
    application = with_ordinals_from(redis, platform, first)
    rows = [{"nodeId": f"n{i}", "name": f"name {i % 250}", "deviceType": f"type {i % 3}",
             "location": f"place {i % 7}"} for i in range(1200)]
    for begin in range(0, len(rows), 400):
        answer = platform.admin("POST", f"/admin/v1/apps/{application.id}/devices",
                                {"devices": rows[begin:begin + 400]})
        assert answer.status == 200 and all("secret" in result for result in answer.json["results"])
    for kind, place in itertools.product(range(3), range(7)):
        wanted = {row["nodeId"] for i, row in enumerate(rows) if (i % 3, i % 7) == (kind, place)}
        answer = find(application, pageNo=0, pageSize=250, deviceType=f"type%20{kind}",
                      location=f"place%20{place}")
        assert answer["totalCount"] == len(wanted)
        assert {device["deviceInfo"]["nodeId"] for device in answer["devices"]} == wanted
    assert len(found(application, name="name%20249")) == 4
    assert find(application, pageNo=4, pageSize=250, status="INACTIVE")["totalCount"] == 1200


def test_a_query_leaves_nothing_in_redis_and_its_files(start_redis, start_platform):
    redis = start_redis("--appendfsync", "always")
    application = start_platform(redis=redis).application()
    device = application.register_device(info={"name": "n"})
    client = redis.client()
    keys = sorted(client("KEYS", "{a*"))
    assert found(application, name="n", status="OFFLINE", deviceType="") == [device.id]
    assert sorted(client("KEYS", "{a*")) == keys
    client.close()
    written = b"".join(f.read_bytes() for f in redis.directory.glob("appendonlydir/*.aof"))
    assert b":name:" in written and b"scratch" not in written


def test_queries_work_when_redis_has_no_memory_left(start_redis, start_platform):
    redis = start_redis()
    platform = start_platform(redis=redis)
    application = platform.application()
    device = application.register_device(info={"name": "n"})
    application.login()
    client = redis.client()
    client("CONFIG", "SET", "maxmemory", "1")
    assert found(application, name="n") == [device.id]
    client("CONFIG", "SET", "maxmemory", "0")
    client.close()


# --- errors


@pytest.mark.parametrize("query, refusal", [
    ("", GATEWAY_AND_PAGE_MISSING),
    ("pageSize=10&status=ONLINE", GATEWAY_AND_PAGE_MISSING),
    ("pageNo=", GATEWAY_AND_PAGE_MISSING),
    ("pageNo=-1", APPLICATION_INPUT),
    ("pageNo=x", APPLICATION_INPUT),
    ("pageNo=2147483648", APPLICATION_INPUT),
    ("pageNo=0&pageSize=0", APPLICATION_INPUT),
    ("pageNo=0&pageSize=251", APPLICATION_INPUT),
    ("gatewayId=g&pageSize=no", APPLICATION_INPUT),
    ("pageNo=0&status=ASLEEP", QUERY_PARAMETER),
    ("pageNo=0&nodeType=HUB", QUERY_PARAMETER),
    ("pageNo=0&sort=UP", QUERY_PARAMETER),
    ("pageNo=0&select=secret", QUERY_PARAMETER),
    ("pageNo=0&startTime=yesterday", QUERY_PARAMETER),
    ("pageNo=0&endTime=20190231T000000Z", QUERY_PARAMETER),
    (f"pageNo=0&name={'n' * 8193}", QUERY_PARAMETER),
])
def test_wrong_queries_are_refused(application, query, refusal):
    expect_refusal(application.get(f"{DEVICES}?{query}"), refusal)


def test_other_applications_cannot_be_asked_for(platform, application):
    other = platform.application()
    for path in (f"{DEVICES}?pageNo=0&", f"{BY_NODE}?nodeId=n&"):
        expect_refusal(application.get(f"{path}appId={other.id}"), APP_NOT_AUTHORIZED)
        expect_refusal(application.get(f"{path}appId=nobody"), APP_UNKNOWN)
        assert application.get(f"{path}appId={application.id}").status != 403
    expect_refusal(application.post(f"{BY_IDS}?appId={other.id}", {"deviceIds": []}),
                   APP_NOT_AUTHORIZED)


def test_a_token_is_needed(platform):
    expect_refusal(platform.api("GET", f"{DEVICES}?pageNo=0", None, {"app_key": "x"}), TOKEN_INVALID)


# --- by node id, by ids


def test_a_device_is_found_by_its_node_id(platform, application, device):
    expect_json(application.get(f"{BY_NODE}?nodeId={device.node_id}"), 200, {"deviceId": device.id})
    expect_refusal(application.get(f"{BY_NODE}?nodeId=nothing"), DEVICE_UNKNOWN)
    expect_refusal(application.get(BY_NODE), QUERY_PARAMETER)
    expect_refusal(platform.application().get(f"{BY_NODE}?nodeId={device.node_id}"), DEVICE_UNKNOWN)
    device.delete()
    expect_refusal(application.get(f"{BY_NODE}?nodeId={device.node_id}"), DEVICE_UNKNOWN)


def test_a_new_node_id_finds_the_device_and_the_old_one_does_not(application):
    device = application.register_device(by_code=True)
    node_id = new_name()
    assert application.put(f"{CREDENTIALS_BY_CODE}/{device.id}", {"nodeId": node_id}).status == 200
    expect_json(application.get(f"{BY_NODE}?nodeId={node_id}"), 200, {"deviceId": device.id})
    expect_refusal(application.get(f"{BY_NODE}?nodeId={device.node_id}"), DEVICE_UNKNOWN)


def test_devices_are_found_by_their_ids(platform, application):
    devices = register(application, 60)
    other = platform.application().register_device()
    wanted = [device.id for device in devices]
    answer = application.post(BY_IDS, {"deviceIds": [*wanted, other.id, "nothing", "no id", ""]})
    assert answer.status == 200 and list(answer.json) == ["devices"]
    assert ids(answer.json) == wanted
    assert answer.json["devices"][0] == devices[0].query()
    expect_json(application.post(BY_IDS, {"deviceIds": []}), 200, {"devices": []})


def test_devices_show_their_groups(application):
    devices = register(application, 3)
    group = application.create_group(None, devices[1])
    wanted = [[], [group["id"]], []]
    page = find(application, pageNo=0, sort="ASC")
    listed = application.post(BY_IDS, {"deviceIds": [device.id for device in devices]}).json
    for answer in (page, listed):
        assert [device["devGroupIds"] for device in answer["devices"]] == wanted


@pytest.mark.parametrize("body", [b"no json", {}, {"deviceIds": "x"}, {"deviceIds": [1]},
                                  {"deviceIds": [None]}, {"deviceIds": ["x"] * 1001}])
def test_wrong_lists_of_ids_are_refused(application, body):
    expect_refusal(application.post(BY_IDS, body), INPUT_INVALID)

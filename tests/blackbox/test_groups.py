"""Groups of devices: made, changed, deleted, listed; their members; what is refused."""

import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from helpers.errors import (APP_NOT_AUTHORIZED, APP_NOT_AUTHORIZED_200, APP_UNKNOWN, APP_UNKNOWN_200,
                            GROUP_FULL, GROUP_NAME_USED, GROUP_PARAMETER, GROUP_QUOTA,
                            GROUP_TOO_MANY, GROUP_UNKNOWN, INPUT_INVALID, TOKEN_INVALID, expect_empty,
                            expect_json, expect_refusal)
from helpers.nouns import ADD_TO_GROUP, DEVICES, GROUP_MEMBERS, GROUPS, REMOVE_FROM_GROUP, new_name
from helpers.waiting import wait_until


@pytest.fixture
def devices(application):
    return [application.register_device() for _ in range(3)]


def shown(application, group):
    response = application.get(f"{GROUPS}/{group['id']}")
    assert response.status == 200, response
    return response.json


def groups_of(device):
    return device.query()["devGroupIds"]


# --- making


def test_a_group_is_made_with_its_first_members(application, devices):
    ids = [d.id for d in devices[:2]]
    response = application.post(GROUPS, {"name": "Hall3", "description": "pumps of \"hall\" 3 ü",
                                         "maxDevNum": 50, "deviceIds": ids})
    group_id = response.json["id"]
    assert re.fullmatch("[0-9a-f]{20}", group_id)
    expect_json(response, 200, {
        "name": "Hall3", "description": "pumps of \"hall\" 3 ü", "id": group_id, "appId": application.id,
        "maxDevNum": 50, "curDevNum": 2, "deviceIds": ids})
    assert list(response.json) == ["name", "description", "id", "appId", "maxDevNum", "curDevNum",
                                   "deviceIds"]
    assert sorted(application.members(response.json)) == sorted(ids)
    assert groups_of(devices[0]) == [group_id]
    assert groups_of(devices[2]) == []


def test_a_group_needs_a_name_only(application):
    response = application.post(GROUPS, {"name": "a"})
    expect_json(response, 200, {"name": "a", "description": None, "id": response.json["id"],
                                "appId": application.id, "maxDevNum": 0, "curDevNum": 0})
    empty = application.post(GROUPS, {"name": "Z" * 50, "description": "ü" * 1024, "appId": application.id,
                                      "maxDevNum": 2147483647, "deviceIds": [], "unknown": 1}).json
    assert (empty["deviceIds"], empty["curDevNum"], empty["description"]) == ([], 0, "ü" * 1024)


@pytest.mark.parametrize("body", [
    "", "{", "[]", "{}", '{"name":null}', '{"name":""}', '{"name":5}', '{"name":"%s"}' % ("n" * 51),
    '{"name":"two words"}', '{"name":"a-b"}', '{"name":"ü"}',
    '{"name":"n","description":5}', '{"name":"n","description":"%s"}' % ("d" * 1025),
    '{"name":"n","maxDevNum":-1}', '{"name":"n","maxDevNum":"5"}', '{"name":"n","maxDevNum":2147483648}',
    '{"name":"n","deviceIds":"x"}', '{"name":"n","deviceIds":[5]}', '{"name":"n","appId":5}'])
def test_a_wrong_body_makes_no_group(application, body):
    expect_refusal(application.post(GROUPS, body), INPUT_INVALID)
    assert application.get(GROUPS).json["totalCount"] == 0


def test_a_name_is_used_once_in_an_application(platform, application):
    first = application.create_group("Hall3")
    expect_refusal(application.try_create_group("Hall3"), GROUP_NAME_USED)
    platform.application().create_group("Hall3")
    other = application.create_group("hall3")
    expect_refusal(application.put(f"{GROUPS}/{other['id']}", {"name": "Hall3"}), GROUP_NAME_USED)
    assert application.delete(f"{GROUPS}/{first['id']}").status == 200
    application.create_group("Hall3")


def test_of_many_groups_of_one_name_one_is_made(application):
    assert application.token
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: application.try_create_group("Hall3"), range(8)))
    assert len([a for a in answers if "id" in a.json]) == 1
    for answer in answers:
        if "id" not in answer.json:
            expect_refusal(answer, GROUP_NAME_USED)


def test_members_that_cannot_be_make_no_group(platform, application, devices):
    foreign = platform.application().register_device()
    application.create_group("Taken", devices[0])
    for wrong in ("nothing", "", "a b", "x" * 300, foreign.id, devices[0].id):
        response = application.try_create_group("Hall3", deviceIds=[devices[1].id, wrong])
        expect_refusal(response, INPUT_INVALID)
    expect_refusal(application.try_create_group("Hall3", maxDevNum=2, deviceIds=[d.id for d in devices[1:]]
                                                + [application.register_device().id]), GROUP_TOO_MANY)
    expect_refusal(application.try_create_group("Hall3", deviceIds=["x"] * 1001), GROUP_TOO_MANY)
    assert groups_of(devices[1]) == []
    assert application.get(GROUPS).json["totalCount"] == 1
    application.create_group("Hall3", *devices[1:])


def test_an_application_has_a_limited_number_of_groups(start_platform):
    platform = start_platform(group__per_application="2")
    application = platform.application()
    first, _ = application.create_group(), application.create_group()
    expect_refusal(application.try_create_group(), GROUP_QUOTA)
    platform.application().create_group()
    application.delete(f"{GROUPS}/{first['id']}")
    application.create_group()


# --- changing


def test_a_group_is_changed(application, devices):
    group = application.create_group("Hall3", devices[0], description="old", maxDevNum=50)
    path = f"{GROUPS}/{group['id']}"
    changed = {"name": "Hall4", "description": "new", "id": group["id"], "appId": application.id,
               "maxDevNum": 80, "curDevNum": 1}
    expect_json(application.put(path, {"name": "Hall4", "description": "new", "maxDevNum": 80}), 200, changed)
    assert shown(application, group) == {**changed, "creator": application.id}
    # What is not named stays.
    expect_json(application.put(path, {"name": "Hall4"}), 200, changed)
    expect_json(application.put(path, {"name": "Hall5", "description": ""}), 200,
                {**changed, "name": "Hall5", "description": ""})
    expect_json(application.put(path, {"name": "Hall5", "maxDevNum": 0}), 200,
                {**changed, "name": "Hall5", "description": "", "maxDevNum": 0})
    application.create_group("Hall3")
    application.create_group("Hall4")


def test_the_limit_of_a_group_is_not_set_below_its_members(application, devices):
    group = application.create_group("Hall3", *devices)
    path = f"{GROUPS}/{group['id']}"
    expect_refusal(application.put(path, {"name": "Other", "maxDevNum": 2}), GROUP_FULL)
    assert shown(application, group)["name"] == "Hall3"
    assert application.put(path, {"name": "Hall3", "maxDevNum": 3}).json["maxDevNum"] == 3


@pytest.mark.parametrize("body", [
    "", "{", "[]", "{}", '{"description":"d"}', '{"name":""}', '{"name":"a b"}', '{"name":"%s"}' % ("n" * 51),
    '{"name":"n","description":"%s"}' % ("d" * 1025), '{"name":"n","maxDevNum":-1}',
    '{"name":"n","maxDevNum":1.5}'])
def test_a_wrong_body_changes_nothing(application, body):
    group = application.create_group("Hall3", description="d")
    expect_refusal(application.put(f"{GROUPS}/{group['id']}", body), INPUT_INVALID)
    assert shown(application, group) == {**group, "creator": application.id}


# --- deleting


def test_a_deleted_group_leaves_its_devices(application, devices):
    group = application.create_group("Hall3", *devices)
    expect_empty(application.delete(f"{GROUPS}/{group['id']}"), 200)
    for answer in (application.delete(f"{GROUPS}/{group['id']}"),
                   application.get(f"{GROUPS}/{group['id']}"),
                   application.get(f"{GROUP_MEMBERS}?devGroupId={group['id']}"),
                   application.put(f"{GROUPS}/{group['id']}", {"name": "Hall3"}),
                   application.try_add(group, devices[0]),
                   application.try_remove(group, devices[0])):
        expect_refusal(answer, GROUP_UNKNOWN)
    assert application.get(GROUPS).json["totalCount"] == 0
    assert [groups_of(d) for d in devices] == [[], [], []]
    application.create_group("Other", *devices)


def test_a_deleted_device_leaves_its_group(application, devices):
    gateway = application.register_device()
    child = application.register_device(gateway=gateway)
    group = application.create_group("Hall3", *devices, gateway, child)
    devices[0].delete()
    gateway.delete()
    assert shown(application, group)["curDevNum"] == 2
    assert sorted(application.members(group)) == sorted(d.id for d in devices[1:])


def test_a_registration_that_ends_leaves_its_group(application):
    device = application.register_device(by_code=True, timeout=1)
    group = application.create_group("Hall3", device)
    assert group["curDevNum"] == 1
    wait_until(lambda: shown(application, group)["curDevNum"] == 0, "the end of the registration")


def test_an_application_is_deleted_with_its_groups(start_redis, start_platform):
    server = start_redis()
    redis = server.client()
    platform = start_platform(redis=server)
    application = platform.application()
    application.create_group("Hall3", application.register_device())
    assert len(redis("KEYS", f"{{a{application.id}}}:grp*")) == 5
    response = platform.admin("DELETE", f"/admin/v1/apps/{application.id}?cascade=true")
    assert response.status == 204, response
    assert redis("KEYS", f"{{a{application.id}}}:*") == []


# --- listing


def test_groups_are_listed_page_by_page_oldest_first(application):
    names = [f"Hall{n}" for n in range(5)]
    groups = [{**application.create_group(name), "creator": application.id} for name in names]
    expect_json(application.get(GROUPS), 200,
                {"totalCount": 5, "pageNo": 0, "pageSize": 1, "list": groups[:1]})
    found = []
    for page in range(3):
        answer = application.get(f"{GROUPS}?pageNo={page}&pageSize=2").json
        assert (answer["totalCount"], answer["pageNo"], answer["pageSize"]) == (5, page, 2)
        found += answer["list"]
    assert [g["name"] for g in found] == names
    expect_json(application.get(f"{GROUPS}?pageNo=3&pageSize=2"), 200,
                {"totalCount": 5, "pageNo": 3, "pageSize": 2, "list": []})
    assert application.get(f"{GROUPS}?pageNo=2147483647&pageSize=500").json["list"] == []
    expect_json(application.get(f"{GROUPS}?pageSize=10&name=Hall3"), 200,
                {"totalCount": 1, "pageNo": 0, "pageSize": 10, "list": [groups[3]]})
    assert application.get(f"{GROUPS}?pageNo=1&name=Hall3").json["list"] == []
    assert application.get(f"{GROUPS}?name=Hall").json == {
        "totalCount": 0, "pageNo": 0, "pageSize": 1, "list": []}


@pytest.mark.parametrize("query", ["pageNo=-1", "pageNo=x", "pageNo=2147483648", "pageSize=0", "pageSize=501",
                                   "pageSize=x", "name=a%20b", f"name={'n' * 51}"])
def test_a_wrong_query_lists_no_groups(application, query):
    expect_refusal(application.get(f"{GROUPS}?{query}"), INPUT_INVALID)


# --- members


def test_devices_are_put_in_and_taken_out(application, devices):
    group = application.create_group("Hall3")
    expect_json(application.try_add(group, *devices), 200,
                {"devGroupId": group["id"], "deviceIds": [d.id for d in devices]})
    expect_json(application.try_add(group, devices[0], devices[0]), 200,
                {"devGroupId": group["id"], "deviceIds": [devices[0].id] * 2})
    assert shown(application, group)["curDevNum"] == 3
    assert groups_of(devices[1]) == [group["id"]]
    expect_empty(application.try_remove(group, devices[0], devices[0], devices[1]), 200)
    expect_empty(application.try_remove(group, devices[0]), 200)
    assert application.members(group) == [devices[2].id]
    assert groups_of(devices[1]) == []


def test_queries_for_many_devices_show_their_groups(application, devices):
    first = application.create_group("First", devices[0])
    second = application.create_group("Second", devices[2])
    expected = {devices[0].id: [first["id"]], devices[1].id: [], devices[2].id: [second["id"]]}
    page = application.get(f"{DEVICES}?pageNo=0&pageSize=10").json
    by_ids = application.post("/iocm/app/dm/v1.1.0/queryDevicesByIds", {"deviceIds": list(expected)}).json
    for answer in (page, by_ids):
        assert {d["deviceId"]: d["devGroupIds"] for d in answer["devices"]} == expected


def test_a_device_is_in_one_group_at_most(application, devices):
    first = application.create_group("First", devices[0])
    second = application.create_group("Second")
    expect_refusal(application.try_add(second, devices[1], devices[0]), GROUP_PARAMETER)
    assert application.members(second) == []
    expect_empty(application.try_remove(second, devices[0]), 200)  # no member of this one
    assert application.members(first) == [devices[0].id]
    assert application.try_remove(first, devices[0]).status == 200
    assert application.try_add(second, devices[0]).json["devGroupId"] == second["id"]


def test_a_device_may_be_in_several_groups_when_that_is_set(start_platform):
    application = start_platform(group__per_device="2").application()
    device, other = application.register_device(), application.register_device()
    first, second, third = (application.create_group(name, device if name != "Third" else other)
                            for name in ("First", "Second", "Third"))
    assert groups_of(device) == [first["id"], second["id"]]
    expect_refusal(application.try_add(third, device), GROUP_PARAMETER)
    assert application.try_remove(first, device).status == 200
    assert application.try_add(third, device).json["deviceIds"] == [device.id]
    assert groups_of(device) == [second["id"], third["id"]]
    application.delete(f"{GROUPS}/{third['id']}")
    assert groups_of(device) == [second["id"]]
    device.delete()
    assert (application.members(first), application.members(second)) == ([], [])


def test_a_full_group_takes_no_more(application, devices):
    group = application.create_group("Hall3", devices[0], maxDevNum=2)
    expect_refusal(application.try_add(group, devices[1], devices[2]), GROUP_FULL)
    assert application.members(group) == [devices[0].id]
    assert application.try_add(group, devices[0], devices[1]).status == 200
    expect_refusal(application.try_add(group, devices[2]), GROUP_FULL)
    assert application.try_add(group, devices[1]).json["deviceIds"] == [devices[1].id]
    devices[0].delete()
    assert application.try_add(group, devices[2]).json["deviceIds"] == [devices[2].id]


def test_a_device_that_does_not_exist_is_neither_put_in_nor_taken_out(platform, application, devices):
    foreign = platform.application().register_device()
    gone = application.register_device()
    gone.delete()
    group = application.create_group("Hall3", devices[0])
    for wrong in ("nothing", "", "a b", "x" * 300, foreign.id, gone.id):
        expect_refusal(application.try_add(group, devices[1], wrong), GROUP_PARAMETER)
        expect_refusal(application.try_remove(group, devices[0], wrong), GROUP_PARAMETER)
    assert application.members(group) == [devices[0].id]


@pytest.mark.parametrize("path", [ADD_TO_GROUP, REMOVE_FROM_GROUP])
def test_wrong_members_bodies_are_refused(application, device, path):
    group = application.create_group("Hall3")
    for body in ("", "{", "[]", "{}", {"devGroupId": group["id"]}, {"deviceIds": [device.id]},
                 {"devGroupId": 5, "deviceIds": [device.id]}, {"devGroupId": "g" * 51, "deviceIds": ["x"]},
                 {"devGroupId": group["id"], "deviceIds": []}, {"devGroupId": group["id"], "deviceIds": [5]},
                 {"devGroupId": group["id"], "deviceIds": device.id},
                 {"devGroupId": group["id"], "deviceIds": [device.id] * 1001}):
        expect_refusal(application.post(path, body), INPUT_INVALID)
    for unknown in ("nothing", "a b", "%"):
        expect_refusal(application.post(path, {"devGroupId": unknown, "deviceIds": [device.id]}),
                       GROUP_UNKNOWN)


def test_the_number_of_ids_in_a_call_is_a_setting(start_platform):
    application = start_platform(group__ids_per_call="2").application()
    devices = [application.register_device() for _ in range(3)]
    group = application.create_group("Hall3")
    expect_refusal(application.try_add(group, *devices), INPUT_INVALID)
    expect_refusal(application.try_create_group("Hall4", deviceIds=[d.id for d in devices]), GROUP_TOO_MANY)
    assert application.try_add(group, *devices[:2]).status == 200


def test_members_are_answered_page_by_page(application):
    devices = [application.register_device() for _ in range(12)]
    application.create_group("Before", application.register_device())
    group = application.create_group("Hall3", *devices)
    application.create_group("After", application.register_device())
    query = f"{GROUP_MEMBERS}?devGroupId={group['id']}"
    expect_json(application.get(query), 200,
                {"totalCount": 12, "pageNo": 0, "pageSize": 10, "deviceIds": application.members(group)[:10]})
    pages = [application.members(group, 5, page) for page in range(4)]
    assert [len(p) for p in pages] == [5, 5, 2, 0]
    assert sorted(sum(pages, [])) == sorted(d.id for d in devices)
    assert application.get(f"{query}&pageNo=2147483647&pageSize=1000").json["deviceIds"] == []


@pytest.mark.parametrize("query", [
    "", "devGroupId=", "devGroupId={id}&pageNo=-1", "devGroupId={id}&pageNo=x", "devGroupId={id}&pageSize=0",
    "devGroupId={id}&pageSize=1001"])
def test_a_wrong_query_for_members_is_refused(application, query):
    group = application.create_group("Hall3")
    expect_refusal(application.get(f"{GROUP_MEMBERS}?{query.format(id=group['id'])}"), INPUT_INVALID)


def test_a_large_group_is_filled_and_emptied_in_slices(application):
    """More members than one step of the deletion takes."""
    assert application.token
    with ThreadPoolExecutor(4) as pool:
        devices = list(pool.map(lambda _: application.register_device(), range(1100)))
    group = application.create_group("Large", *devices[:1000])
    assert application.try_add(group, *devices[1000:]).status == 200
    assert shown(application, group)["curDevNum"] == 1100
    assert len(application.members(group)) == 1000
    assert len(application.members(group, 1000, 1)) == 100
    assert application.delete(f"{GROUPS}/{group['id']}").status == 200
    # At once, whatever is left of the old one.
    again = application.create_group("Large", *devices[:1000])
    assert application.try_add(again, *devices[1000:]).status == 200
    assert shown(application, again)["curDevNum"] == 1100
    assert groups_of(devices[-1]) == [again["id"]]


def test_what_a_crash_left_of_a_deleted_group_is_cleaned_up(start_redis, start_platform):
    server = start_redis()
    redis = server.client()
    application = start_platform(redis=server).application()
    device, other = application.register_device(), application.register_device()
    tag = f"{{a{application.id}}}"
    redis("SADD", f"{tag}:grpdead", "dead")
    redis("ZADD", f"{tag}:grpmember", 0, f"dead {device.id}", 0, f"dead {other.id}")
    redis("HSET", f"{tag}:grpof", device.id, "dead", other.id, "dead")
    assert groups_of(device) == []
    group = application.create_group("Hall3", device)
    assert groups_of(device) == [group["id"]]
    wait_until(lambda: redis("EXISTS", f"{tag}:grpdead") == 0, "the end of the sweep")
    assert redis("ZCARD", f"{tag}:grpmember") == 1
    assert redis("HLEN", f"{tag}:grpof") == 1


# --- the command line


def test_groups_are_listed_and_shown_to_people(platform, application, devices):
    empty = platform.ctl("group", "list", "--app", application.id)
    assert (empty.returncode, empty.stdout) == (0, "The application has no groups.\n")
    first = application.create_group("Hall3", *devices, description="pumps", maxDevNum=50)
    application.create_group("Hall4")
    lines = platform.ctl("group", "list", "--app", application.id).stdout.splitlines()
    assert re.split("  +", lines[0]) == ["ID", "NAME", "DEVICES", "AT MOST", "CREATED (UTC)", "DESCRIPTION"]
    rows = sorted(line.split()[1:] for line in lines[1:])
    assert (rows[0][:3], rows[0][-1]) == (["Hall3", "3", "50"], "pumps")
    assert rows[1][:4] == ["Hall4", "0", "no", "limit"]
    for name in (first["id"], "Hall3"):
        said = platform.ctl("group", "show", name, "--app", application.id)
        assert said.returncode == 0, said.stderr
        shown_to_people = dict(re.split("  +", line, maxsplit=1) for line in said.stdout.splitlines())
        assert shown_to_people["id"] == first["id"] and shown_to_people["devices"] == "3"
        assert (shown_to_people["description"], shown_to_people["at most"]) == ("pumps", "50")
    members = platform.ctl("group", "show", "Hall3", "--app", application.id, "--members")
    assert members.stdout.split() == sorted(d.id for d in devices)


def test_groups_are_shown_to_programs(platform, application, device):
    group = application.create_group("Hall3", device)
    quiet = platform.ctl("-q", "group", "list", "--app", application.id)
    assert quiet.stdout == group["id"] + "\n"
    listed = json.loads(platform.ctl("--json", "group", "list", "--app", application.id).stdout)
    assert re.fullmatch(r"\d{8}T\d{6}Z", listed.pop("createTime"))
    assert listed == {"id": group["id"], "name": "Hall3", "devices": 1, "maxDevices": 0, "description": None}
    one = json.loads(platform.ctl("--json", "group", "show", "Hall3", "--app", application.id).stdout)
    del one["createTime"]
    assert one == {"app": application.id, **listed, "members": [device.id]}
    ids = platform.ctl("--json", "group", "show", "Hall3", "--members", "--app", application.id)
    assert json.loads(ids.stdout) == device.id


def test_what_is_wrong_about_a_group_is_said(platform, application):
    for arguments, code, text in [
            (["list"], 2, "--app"), (["show", "Hall3"], 2, "--app"),
            (["show", "--app", application.id], 2, "GROUP"),
            (["list", "--app", "nothing"], 1, "nothing"),
            (["show", "Hall3", "--app", application.id], 1, "no group"),
            (["show", "a b", "--app", application.id], 1, "no group"),
            (["list", "--app", application.id, "--members"], 2, "--members")]:
        said = platform.ctl("group", *arguments)
        assert (said.returncode, said.stdout) == (code, ""), said
        assert text in said.stderr
    for path in ("groups", "groups/x"):
        assert platform.admin("GET", f"/admin/v1/apps/nothing/{path}").status == 404
        answer = platform.admin("GET", f"/admin/v1/apps/{application.id}/{path}?page=-1")
        assert (answer.status, answer.json["error_code"]) == (400, "bad_request")


def test_the_command_line_shows_all_pages(platform, application):
    assert application.token
    with ThreadPoolExecutor(4) as pool:
        devices = list(pool.map(lambda _: application.register_device(), range(1001)))
        list(pool.map(lambda n: application.create_group(f"g{n}"), range(501)))
    group = application.create_group("Large", *devices[:1000])
    assert application.try_add(group, devices[1000]).status == 200
    ids = platform.ctl("group", "show", "Large", "--members", "--app", application.id).stdout.split()
    assert ids == sorted(d.id for d in devices)
    assert len(set(platform.ctl("-q", "group", "list", "--app", application.id).stdout.split())) == 502


# --- whose groups


def test_groups_belong_to_their_application(platform, application, device):
    group = application.create_group("Hall3", device)
    other = platform.application()
    own = other.register_device()
    for answer in (other.get(f"{GROUPS}/{group['id']}"), other.delete(f"{GROUPS}/{group['id']}"),
                   other.put(f"{GROUPS}/{group['id']}", {"name": "Mine"}), other.try_add(group, own),
                   other.get(f"{GROUP_MEMBERS}?devGroupId={group['id']}"), other.try_remove(group, own)):
        expect_refusal(answer, GROUP_UNKNOWN)
    assert application.members(group) == [device.id]
    for unknown in ("nothing", "a%20b", "g" * 300, "-"):
        expect_refusal(application.get(f"{GROUPS}/{unknown}"), GROUP_UNKNOWN)
    expect_refusal(platform.api("GET", GROUPS, None, {"app_key": other.id, "Authorization": "Bearer x"}),
                   TOKEN_INVALID)


@pytest.mark.parametrize("name", ["appId", "accessAppId"])
def test_another_application_may_not_be_meant(platform, application, device, name):
    group = application.create_group("Hall3")
    other = platform.application()
    tag = {"devGroupId": group["id"], "deviceIds": [device.id]}

    def calls(query):
        one = f"{GROUPS}/{group['id']}?{query}"
        mild = [application.post(f"{GROUPS}?{query}", {"name": "New"}),
                application.put(one, {"name": "New"}), application.get(f"{GROUPS}?{query}"),
                application.get(one)]
        strict = [application.get(f"{GROUP_MEMBERS}?devGroupId={group['id']}&{query}"),
                  application.post(f"{ADD_TO_GROUP}?{query}", tag),
                  application.post(f"{REMOVE_FROM_GROUP}?{query}", tag)]
        return mild + [application.delete(one)], strict
    for app_id, refusals in ((other.id, (APP_NOT_AUTHORIZED_200, APP_NOT_AUTHORIZED)),
                             ("nothing", (APP_UNKNOWN_200, APP_UNKNOWN))):
        for answers, refusal in zip(calls(f"{name}={app_id}"), refusals):
            for answer in answers:
                expect_refusal(answer, refusal)
    expect_refusal(application.try_create_group("New", appId=other.id), APP_NOT_AUTHORIZED_200)
    expect_refusal(application.try_create_group("New", appId="nothing"), APP_UNKNOWN_200)
    # The own one may be named.
    assert [a.status for part in calls(f"{name}={application.id}") for a in part] == [200] * 8


def test_the_newest_name_of_a_group_counts(application):
    """A name can be handed on at once."""
    group = application.create_group("Hall3")
    for n in range(3):
        name = new_name("g").replace("-", "")
        assert application.put(f"{GROUPS}/{group['id']}", {"name": name}).json["name"] == name
        assert application.create_group("Hall3" if n == 0 else f"Free{n}")
        assert application.get(f"{GROUPS}?name={name}").json["list"][0]["id"] == group["id"]

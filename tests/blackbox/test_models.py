"""Product models: packages that are taken and refused, what the administrator does with them, and the
notifications that come of it."""

import io
import json
import stat
import struct
import time
import zipfile

import pytest

from helpers.models import (FLOW, METER, VALVE, files, pack, package, path_of, prop, service,
                            try_upload, upload)
from helpers.waiting import wait_until

DEVICE_FILE = "profile/devicetype-capability.json"
FLOW_FILE = "service/Flow/profile/servicetype-capability.json"
VALVE_FILE = "service/Valve/profile/servicetype-capability.json"


def now_ms():
    return int(time.time() * 1000)


def show(application, product_id):
    response = application.platform.admin("GET", path_of(application, product_id))
    assert response.status == 200, response
    return response.json


def list_models(application):
    response = application.platform.admin("GET", path_of(application))
    assert response.status == 200, response
    return response.json["models"]


def expect_refusal(application, content, *words, query=""):
    """A 400 that says which file and why; nothing is stored."""
    response = try_upload(application, content, query)
    assert (response.status, response.json["error_code"]) == (400, "bad_request"), response
    for word in words:
        assert word in response.json["error_msg"], response.json["error_msg"]
    assert list_models(application) == []


# ---- what is taken


def test_a_package_becomes_a_model(application):
    made = upload(application, query="?name=WaterMeter_ACME01_WM200.zip")
    assert len(made["productId"]) == 24
    assert {key: made[key] for key in ("manufacturerId", "model", "deviceType", "services",
                                       "replaced")} == {
        "manufacturerId": "ACME01", "model": "WM200", "deviceType": "WaterMeter", "services": 3,
        "replaced": False}
    listed, = list_models(application)
    assert listed["productId"] == made["productId"] and listed["protocolType"] == "CoAP"
    assert listed["packageBytes"] == len(package())
    shown = show(application, made["productId"])
    assert [s["serviceId"] for s in shown["serviceCapabilities"]] == ["Flow", "Valve", "Bypass"]


@pytest.mark.parametrize("name", ["", "?name=WaterMeter_ACME01_WM200.zip",
                                  "?name=some/where/WaterMeter_ACME01_WM200.ZIP",
                                  "?name=WaterMeter_ACME01_WM200"])
def test_the_file_name_may_have_a_path_or_be_missing(application, name):
    upload(application, query=name)


def test_other_files_of_the_two_folders_are_left_alone(application):
    upload(application, pack({**files(), "profile/devicetype-display.json": "{ no JSON",
                              "service/Flow/profile/servicetype-display.json": b"\xff\x00",
                              "service/Flow/icons/icon.png": b"\x89PNG"}))


def test_folders_may_have_entries_of_their_own(application):
    upload(application, pack({"profile/": "", "service/": "", "service/Flow/": "",
                              "service/Flow/profile/": "", **files()}))


def test_files_may_be_stored_without_packing_and_begin_with_a_mark(application):
    with_mark = {name: b"\xef\xbb\xbf" + json.dumps(content).encode()
                 for name, content in files().items()}
    upload(application, pack(with_mark, zipfile.ZIP_STORED))


def test_numbers_may_be_texts_and_members_may_be_missing(application):
    bare = service("Flow", [{"propertyName": "a", "dataType": "int", "min": "0", "max": "9",
                             "step": "1", "maxLength": "0", "required": "true"},
                            {"propertyName": "b", "dataType": "STRING", "enumList": "x, y"}])
    del bare["services"][0]["commands"]
    made = upload(application, package(services={"Flow": bare, "Valve": VALVE}))
    flow = show(application, made["productId"])["serviceCapabilities"][0]
    assert flow == {"serviceId": "Flow", "serviceType": "Flow", "option": "Mandatory",
                    "description": "", "commands": [], "properties": [
                        {"propertyName": "a", "dataType": "int", "required": True, "min": "0",
                         "max": "9", "step": 1.0, "maxLength": 0},
                        {"propertyName": "b", "dataType": "STRING", "enumList": ["x", "y"]}]}


# ---- what is refused: the archive


@pytest.mark.parametrize("name,word", [
    ("/profile/x", "absolute"), ("C:/profile/x", "absolute"), ("profile/../x", ".."),
    ("../profile/x", ".."), ("profile//x", "empty parts"), ("profile/./x", "empty parts"),
    ("profile\\x", "\\"), ("readme.txt", "at the top"), ("__MACOSX/profile/x", "at the top"),
    ("Profile/x", "at the top"), ("service/readme.txt", "folders only"),
    ("profile/line\nbreak", "printable")])
def test_a_path_that_leads_astray_is_refused(application, name, word):
    expect_refusal(application, pack({**files(), name: "x"}), word)


def test_a_wrapping_folder_is_refused_with_the_file(application):
    expect_refusal(application, pack({f"Meter/{name}": content for name, content in files().items()}),
                   "Meter/profile/devicetype-capability.json", "at the top")


def test_a_link_is_refused(application):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files().items():
            archive.writestr(name, json.dumps(content))
        link = zipfile.ZipInfo("profile/passwd")
        link.create_system = 3
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    expect_refusal(application, out.getvalue(), "profile/passwd", "link")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_twice_is_refused(application):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in [*files().items(), (FLOW_FILE, FLOW)]:
            archive.writestr(name, json.dumps(content))
    expect_refusal(application, out.getvalue(), FLOW_FILE, "twice")


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x05\x06", package()[:-30],
                                     package()[:200]],
                         ids=["nothing", "text", "end", "cut off", "begin"])
def test_what_is_no_zip_is_refused(application, content):
    expect_refusal(application, content, "ZIP")


def test_a_damaged_file_is_refused(application):
    whole = package()
    place = whole.index(b"devicetype-capability.json") + 40
    damaged = whole[:place] + bytes(b ^ 0x55 for b in whole[place:place + 20]) + whole[place + 20:]
    expect_refusal(application, damaged, DEVICE_FILE)


def test_other_methods_than_deflate_are_refused(application):
    expect_refusal(application, pack(files(), zipfile.ZIP_LZMA), DEVICE_FILE, "deflate")


def test_an_encrypted_file_is_refused(application):
    content = bytearray(package())
    for mark, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        place = content.index(mark) + offset
        content[place] |= 1
    expect_refusal(application, bytes(content), DEVICE_FILE, "encrypted")


def test_a_package_larger_than_allowed_is_refused(start_platform):
    application = start_platform(model__package_bytes="8k").application()
    expect_refusal(application, pack({**files(), "profile/x": b"\0" * 9000}, zipfile.ZIP_STORED),
                   "model.package_bytes (8192)")


def test_too_many_files_are_refused(start_platform):
    application = start_platform(model__files="10").application()
    many = {f"profile/{n}": "" for n in range(8)}
    upload(application, pack({**files(), **{name: "" for name in list(many)[:7]}}))
    platform_of_it = try_upload(application, pack({**files(), **many}), "?replace=true")
    assert platform_of_it.status == 400 and "model.files (10)" in platform_of_it.json["error_msg"]


def test_a_bomb_ends_at_the_declared_size(start_platform):
    application = start_platform(model__unpacked_bytes="100k").application()
    expect_refusal(application, pack({**files(), "profile/zeros": b"\0" * 10_000_000}),
                   "profile/zeros", "model.unpacked_bytes (102400)")


def test_many_small_bombs_count_together(start_platform):
    application = start_platform(model__unpacked_bytes="100k").application()
    expect_refusal(application, pack({**files(), **{f"profile/{n}": b"\0" * 30_000
                                                    for n in range(4)}}),
                   "profile/3", "model.unpacked_bytes")


def test_capability_files_have_a_limit_of_their_own(start_platform):
    application = start_platform(model__content_bytes="4k").application()
    expect_refusal(application, package(services={"Flow": FLOW, "Valve": service(
        "Valve", [], description="x" * 4000)}), VALVE_FILE, "model.content_bytes (4096)")


def with_declared_size(content, name, size):
    """The package, with a lie about how large a file is in both of its headers."""
    content = bytearray(content)
    for mark, at_size, at_name in ((b"PK\x03\x04", 22, 30), (b"PK\x01\x02", 24, 46)):
        place = -1
        while True:
            place = content.index(mark, place + 1)
            if content[place + at_name:place + at_name + len(name)] == name.encode():
                break
        content[place + at_size:place + at_size + 4] = struct.pack("<I", size)
    return bytes(content)


@pytest.mark.parametrize("size", [0, 10, 100_000])
def test_a_file_that_lies_about_its_size_is_refused(application, size):
    expect_refusal(application, with_declared_size(package(), FLOW_FILE, size), FLOW_FILE)


def test_a_service_that_is_shared_too_often_is_refused(start_platform):
    application = start_platform(model__unpacked_bytes="1m").application()
    large = service("Valve", description="x" * 10_000)
    capabilities = [{"serviceId": f"V{n}", "serviceType": "Valve", "option": "Optional"}
                    for n in range(200)]
    expect_refusal(application, package(services={"Valve": large},
                                        serviceTypeCapabilities=capabilities),
                   DEVICE_FILE, "model.unpacked_bytes")


# ---- what is refused: the files


@pytest.mark.parametrize("missing", [DEVICE_FILE, FLOW_FILE, VALVE_FILE])
def test_a_missing_file_is_named(application, missing):
    contents = files()
    if missing == FLOW_FILE:
        contents["service/Flow/other"] = ""
    del contents[missing]
    if missing == DEVICE_FILE:
        contents["profile/other"] = ""
    if missing == VALVE_FILE:
        expect_refusal(application, pack(contents), DEVICE_FILE, "no service/Valve")
    else:
        expect_refusal(application, pack(contents), missing, "is missing")


@pytest.mark.parametrize("folder", ["profile", "service"])
def test_a_missing_folder_is_named(application, folder):
    contents = {name: c for name, c in files().items() if not name.startswith(f"{folder}/")}
    expect_refusal(application, pack(contents), f"the folder {folder} is missing")


@pytest.mark.parametrize("name", [DEVICE_FILE, FLOW_FILE])
@pytest.mark.parametrize("content,word", [
    ("", "empty"), ("{", "too early"), (b'{"a":"\xff"}', "UTF-8"), ("[]", "array of one object"),
    ("{}", "array of one object"), ('{"devices":[],"services":[]}', "array of one object"),
    ('{"devices":[{},{}],"services":[{},{}]}', "array of one object"),
    ('{"devices":[1],"services":[1]}', "array of one object"),
    ('{"devices":{},"services":{}}', "array of one object"), ("[" * 40, "nested")])
def test_a_file_that_is_not_what_it_should_be_is_named(application, name, content, word):
    expect_refusal(application, pack({**files(), name: content}), name, word)


@pytest.mark.parametrize("member", ["manufacturerId", "manufacturerName", "protocolType",
                                    "deviceType", "model", "serviceTypeCapabilities"])
def test_a_device_type_needs_its_members(application, member):
    expect_refusal(application, package({k: v for k, v in METER.items() if k != member}),
                   DEVICE_FILE, f"{member} is missing")
    expect_refusal(application, package(**{member: 5}), DEVICE_FILE, member)
    expect_refusal(application, package(**{member: None}), DEVICE_FILE, f"{member} is missing")


@pytest.mark.parametrize("change,word", [
    ({"manufacturerId": "Zähler"}, "manufacturerId: ASCII"), ({"model": "型号"}, "model: ASCII"),
    ({"model": ""}, "model: 1 to 256"), ({"model": "x" * 257}, "model: 1 to 256"),
    ({"model": "a\nb"}, "model: 1 to 256"), ({"deviceType": "Water_Meter"}, "must not have a _"),
    ({"manufacturerId": "AC_ME"}, "must not have a _"),
    ({"serviceTypeCapabilities": {}}, "an array is needed"),
    ({"serviceTypeCapabilities": [5]}, "serviceTypeCapabilities[0].serviceType is missing"),
    ({"serviceTypeCapabilities": [{"serviceType": "Flow"}]}, "serviceId is missing"),
    ({"serviceTypeCapabilities": [{"serviceType": "Flow", "serviceId": "a/b"}]}, "/"),
    ({"serviceTypeCapabilities": [{"serviceType": "Other", "serviceId": "a"}]}, "service/Other"),
    ({"serviceTypeCapabilities": [{"serviceType": "Flow", "serviceId": "a"}] * 2}, "a is there twice"),
    ({"serviceTypeCapabilities": [{"serviceType": "Flow", "serviceId": "a", "option": 5}]}, "option")])
def test_a_device_type_is_checked(application, change, word):
    expect_refusal(application, package(**change), DEVICE_FILE, word)


def changed(**members):
    return {"services": [{**FLOW["services"][0], **members}]}


def with_property(**members):
    return service("Flow", [{**prop("litres"), **members}])


@pytest.mark.parametrize("flow,word", [
    (changed(serviceType="Other"), "name of its folder"), (changed(serviceType=None), "serviceType"),
    (changed(properties=None), "properties is missing"), (changed(properties={}), "properties: an array"),
    (changed(commands={}), "commands: an array"), (changed(description=5), "description"),
    (changed(commands=[{}]), "commands[0].commandName is missing"),
    (changed(commands=[{"commandName": "A", "paras": 5}]), "commands[0].paras"),
    (changed(commands=[{"commandName": "A", "paras": [{}]}]), "commands[0].paras[0].paraName"),
    (changed(commands=[{"commandName": "A", "responses": [{}]}]),
     "commands[0].responses[0].responseName"),
    (changed(commands=[{"commandName": "A"}] * 2), "commandName A is there twice"),
    (service("Flow", [prop("litres"), prop("litres")]), "propertyName litres is there twice"),
    (with_property(propertyName=""), "properties[0].propertyName"),
    (with_property(dataType=None), "properties[0].dataType is missing"),
    (with_property(dataType="number"), "properties[0].dataType: none of int"),
    (with_property(min="low"), "properties[0].min: a number"),
    (with_property(max=[]), "properties[0].max: a number"),
    (with_property(step={}), "properties[0].step: a number"),
    (with_property(min=5, max=4), "min is larger than max"),
    (with_property(maxLength=-1), "maxLength"), (with_property(maxLength=1.5), "maxLength"),
    (with_property(required=1), "required: true or false"),
    (with_property(method="RX"), "method: letters"), (with_property(method=5), "method: letters"),
    (with_property(enumList={}), "enumList"), (with_property(enumList=[{}]), "enumList")])
def test_a_service_type_is_checked(application, flow, word):
    expect_refusal(application, package(services={"Flow": flow, "Valve": VALVE}), FLOW_FILE, word)


@pytest.mark.parametrize("name", ["Meter_ACME01_WM200.zip", "WaterMeter_ACME01.zip",
                                  "WaterMeter_ACME01_WM200_2.zip", "watermeter_acme01_wm200.zip"])
def test_a_wrong_file_name_is_refused(application, name):
    expect_refusal(application, package(), "WaterMeter_ACME01_WM200.zip", query=f"?name={name}")


# ---- one model for each manufacturer and model


def test_a_second_upload_is_refused_unless_it_replaces(application):
    made = upload(application)
    response = try_upload(application, package(manufacturerName="Acme Ltd"))
    assert response.status == 409 and made["productId"] in response.json["error_msg"]
    assert list_models(application)[0]["manufacturerName"] == "Acme"
    replaced = upload(application, package(manufacturerName="Acme Ltd"), "?replace=true")
    assert replaced["productId"] == made["productId"] and replaced["replaced"]
    listed, = list_models(application)
    assert listed["manufacturerName"] == "Acme Ltd"
    assert show(application, made["productId"])["manufacturerName"] == "Acme Ltd"


def test_replacing_what_is_not_there_adds_it(application):
    assert not upload(application, query="?replace=true")["replaced"]


def test_models_differ_by_manufacturer_and_by_model(application):
    for change in ({}, {"model": "WM300"}, {"manufacturerId": "ACME02"}):
        upload(application, package(**change))
    assert [(m["manufacturerId"], m["model"]) for m in list_models(application)] == [
        ("ACME01", "WM200"), ("ACME01", "WM300"), ("ACME02", "WM200")]


def test_another_applications_models_are_its_own(platform, application):
    other = platform.application()
    made = upload(application)
    upload(other)
    assert platform.admin("GET", path_of(other, made["productId"])).status == 404
    assert platform.admin("DELETE", path_of(other, made["productId"])).status == 404
    assert len(list_models(application)) == len(list_models(other)) == 1


def test_an_application_has_a_limited_number_of_models(start_platform):
    application = start_platform(model__per_application="2").application()
    for number in range(2):
        upload(application, package(model=f"M{number}"))
    response = try_upload(application, package(model="M2"))
    assert response.status == 409 and "model.per_application" in response.json["error_msg"]
    upload(application, package(model="M1"), "?replace=true")


@pytest.mark.parametrize("method,rest", [("GET", ""), ("POST", "")])
def test_an_application_that_does_not_exist_has_no_models(platform, application, method, rest):
    path = path_of(application).replace(application.id, "nobody") + rest
    response = platform.admin(method, path, package() if method == "POST" else None)
    assert response.status == 404 and "application" in response.json["error_msg"]


@pytest.mark.parametrize("product_id", ["0" * 24, "revision", "x", "%7Bp1%7D:q"])
def test_a_model_that_does_not_exist_is_not_found(platform, application, product_id):
    upload(application)
    for method, rest in (("GET", ""), ("GET", "/package"), ("DELETE", "")):
        response = platform.admin(method, path_of(application, product_id) + rest)
        assert (response.status, response.json["error_code"]) == (404, "not_found")


def test_the_package_is_given_back_as_it_was(platform, application):
    content = pack({**files(), "profile/devicetype-display.json": "{}"})
    made = upload(application, content)
    response = platform.admin("GET", path_of(application, made["productId"]) + "/package")
    assert (response.status, response.body) == (200, content)
    assert response.headers["Content-Type"] == "application/zip"
    assert response.headers["X-Package-Name"] == "WaterMeter_ACME01_WM200.zip"


def test_a_deleted_model_is_gone(platform, application):
    made = upload(application)
    assert platform.admin("DELETE", path_of(application, made["productId"])).status == 204
    assert platform.admin("GET", path_of(application, made["productId"])).status == 404
    assert list_models(application) == []
    assert upload(application)["productId"] != made["productId"]


def test_an_application_takes_its_models_along(platform):
    application = platform.application()
    upload(application)
    assert platform.admin("DELETE", f"/admin/v1/apps/{application.id}").status == 204
    assert platform.admin("GET", path_of(application)).status == 404


def test_models_survive_a_restart(start_platform):
    platform = start_platform()
    application = platform.application()
    made = upload(application)
    platform.restart()
    assert show(application, made["productId"])["model"] == "WM200"


# ---- notifications


def body(notify_type, application, **changes):
    facts = {**METER, **changes}
    return json.dumps({"notifyType": notify_type, "appId": application.id, **{
        key: facts[key] for key in ("deviceType", "manufacturerName", "manufacturerId", "model",
                                    "protocolType")}}, separators=(",", ":"))


def test_changes_of_models_are_pushed(platform, application, receiver):
    types = ("deviceModelAdded", "deviceModelDeleted", "deviceCapabilitiesAdded",
             "deviceCapabilitiesChanged", "deviceCapabilitiesDeleted")
    for notify_type in types:
        application.subscribe(notify_type, receiver.url(f"/{notify_type}"))
    made = upload(application)
    for notify_type in ("deviceModelAdded", "deviceCapabilitiesAdded"):
        assert receiver.wait_for_one(f"/{notify_type}").text == body(notify_type, application)
    upload(application, package(protocolType="MQTT"), "?replace=true")
    assert receiver.wait_for_one("/deviceCapabilitiesChanged").text == body(
        "deviceCapabilitiesChanged", application, protocolType="MQTT")
    platform.admin("DELETE", path_of(application, made["productId"]))
    for notify_type in ("deviceModelDeleted", "deviceCapabilitiesDeleted"):
        assert receiver.wait_for_one(f"/{notify_type}").text == body(notify_type, application,
                                                                     protocolType="MQTT")
    assert len(receiver.requests()) == 5


def test_a_refused_upload_is_not_pushed(application, receiver):
    application.subscribe("deviceModelAdded", receiver.url("/added"))
    upload(application)
    assert try_upload(application, package()).status == 409
    upload(application, package(model="WM300"))
    assert [r.json["model"] for r in receiver.wait_for(2, "/added")] == ["WM200", "WM300"]


# ---- instances


def test_a_model_of_one_instance_is_seen_by_the_other(cluster):
    one, two = cluster().members
    application = one.application()
    made = upload(application)

    def seen_at_two():
        response = two.admin("GET", path_of(application, made["productId"]))
        return response.status == 200
    wait_until(seen_at_two, "the model at the other instance")
    upload(application, package(manufacturerName="Other"), "?replace=true")
    wait_until(lambda: two.admin("GET", path_of(application, made["productId"])).json.get(
        "manufacturerName") == "Other", "the change at the other instance")


# ---- faults


def test_an_event_that_a_crash_left_behind_is_pushed(start_redis, start_platform, receiver):
    """As a crash between the two tags leaves it: stored with the model, in no stream."""
    redis = start_redis()
    platform = start_platform(redis=redis)
    application = platform.application()
    application.subscribe("deviceModelAdded", receiver.url("/added"))
    product = upload(application)["productId"]
    receiver.wait_for_one("/added")
    client = redis.client()
    key = f"{{a{application.id}}}:modelevents"
    assert client("EXISTS", key) == 0  # nothing is left when all is well
    payload = json.dumps({k: METER[k] for k in ("deviceType", "manufacturerName", "manufacturerId",
                                                "model", "protocolType")})
    client("ZADD", key, 1, f"left 1 model.added {application.id} {product} {product} {now_ms()} {payload}")
    assert len(list_models(application)) == 1  # reads the catalogue
    first, second = receiver.wait_for(2, "/added")
    assert first.text == second.text and first.notify_id != second.notify_id
    wait_until(lambda: client("EXISTS", key) == 0, "the entry's being taken out")
    client.close()


def test_an_event_that_is_just_being_appended_is_left_to_its_maker(start_redis, start_platform, receiver):
    redis = start_redis()
    application = start_platform(redis=redis).application()
    application.subscribe("deviceModelAdded", receiver.url("/added"))
    client = redis.client()
    key = f"{{a{application.id}}}:modelevents"
    client("ZADD", key, now_ms() + 60_000, f"fresh 1 model.added {application.id} p p {now_ms()} {{}}")
    client("ZADD", key, 1, "no event at all")
    upload(application)
    assert len(list_models(application)) == 1
    assert receiver.wait_for_one("/added").json["model"] == "WM200"
    wait_until(lambda: client("ZCARD", key) == 1, "the end of what is no event")
    client.close()


def test_without_redis_a_package_is_not_taken(start_redis, start_platform):
    redis = start_redis()
    platform = start_platform(redis=redis, redis__command_timeout="500ms")
    application = platform.application()
    redis.stop()
    for method, content in (("POST", package()), ("GET", None)):
        assert platform.admin(method, path_of(application), content).status == 503
    redis.start()
    platform.wait_until_ready()
    upload(application)
